"""`bittrue report`: a saved run again, as tables, a page, or another format."""

from __future__ import annotations

import gzip
import json
import shutil
from pathlib import Path
from typing import get_args

import pytest
from typer.testing import CliRunner

from bittrue.cli import app
from bittrue.commands.report import Format
from reports.formats import FORMATS, made
from simulator.records.store import read_run
from support.trace_format import complaints

SAVED = Path(__file__).parents[1] / "reports" / "data" / "run_schema_1"


@pytest.fixture
def cli(tmp_path, monkeypatch):
    shutil.copytree(SAVED, tmp_path / "run")
    monkeypatch.chdir(tmp_path)
    return lambda *arguments: CliRunner().invoke(app, ["report", "run", *arguments])


def test_alone_it_prints_the_tables_and_draws_the_page_again(cli):
    result = cli()
    assert result.exit_code == 0
    assert "289 events hit 148 outputs in 2 layers" in result.stdout
    assert "<!DOCTYPE html>" in Path("run/report.html").read_text()


@pytest.mark.parametrize("name", ["md", "csv", "model-explorer", "html"])
def test_texts_are_printed_or_written(cli, name):
    expected = made(read_run(SAVED), name, "total_cycles")
    assert cli("--format", name).stdout.encode() == expected
    assert cli("--format", name, "-o", "file").exit_code == 0
    assert Path("file").read_bytes() == expected


def test_the_option_offers_every_format():
    assert get_args(Format) == FORMATS


def test_the_trace_is_written_with_its_counters(cli):
    assert cli("--format", "trace", "-o", "trace.json.gz").exit_code == 0
    trace = json.loads(gzip.decompress(Path("trace.json.gz").read_bytes()))
    assert complaints(trace) == []
    assert {event["name"] for event in trace["traceEvents"] if event["ph"] == "C"} == {
        "DRAM read, B/cycle",
        "DRAM written, B/cycle",
        "array utilization, %",
    }


def test_a_layers_colour_shows_the_field_that_is_asked_for(cli):
    data = json.loads(cli("--format", "model-explorer", "--field", "events").stdout)
    assert data["results"] == {"stem": {"value": 272}, "head": {"value": 17}, "labels": {"value": 0}}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--format", "parquet"], "--format parquet is no text: give -o FILE"),
        (["--format", "model-explorer", "--field", "speed"], "no layer of this run has a number 'speed'"),
        (["--format", "md", "-o", "absent/file.md"], "absent/file.md cannot be written: No such file or directory"),
    ],
)
def test_what_cannot_be_is_refused(cli, arguments, message):
    result = cli(*arguments)
    assert result.exit_code == 2
    assert message in " ".join(result.stderr.split())
    assert sorted(path.name for path in Path().iterdir()) == ["run"]
