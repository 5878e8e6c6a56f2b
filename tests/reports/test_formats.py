"""A run as Markdown, CSV, Parquet and Model Explorer's node data."""

from __future__ import annotations

import csv
import io
import json
import re
import subprocess
import sys
from dataclasses import replace

import pytest

from reports.folder import save_run
from reports.formats import FORMATS, made
from reports.markdown import markdown
from reports.model_explorer import node_data
from reports.parquet import columns, parquet
from simulator.errors import InputError
from simulator.records.store import StoredRun, layer_columns
from support.records import renamed, run_record
from support.small_runs import small_run


def tables(text: str) -> list[list[list[str]]]:
    """Every table of a Markdown text, as rows of cells, the line of dashes left out."""
    found = re.findall(r"(?:^\|.*\|\n)+", text, flags=re.MULTILINE)
    rows = [[re.split(r"(?<!\\)\|", line)[1:-1] for line in table.splitlines()] for table in found]
    assert all(len({len(row) for row in table}) == 1 for table in rows)
    return [[[cell.strip() for cell in row] for row in table[:1] + table[2:]] for table in rows]


def test_markdown_tells_verdicts_totals_and_the_longest_layers():
    text = markdown(small_run())
    assert "**Bottleneck:** memory bound: 41.7 % of all cycles are waiting for DRAM loads" in text
    assert "**Overflow:** 7 events hit 2 outputs in 1 layers; conv needs the most: 21 bits." in text
    totals, longest, worst = tables(text)
    assert ["cycles", "1,200 at 1000 MHz"] in totals
    assert [row[:2] for row in longest[1:]] == [["0", "conv"], ["1", "add"]]
    assert longest[1][-1] == "83.3 %"
    assert worst[1] == ["0", "conv", "21", "7", "2"]


def test_markdown_folds_blocks_away_with_their_sums():
    record = small_run()
    names = ("a.conv", "b.x", "a.add", "b.y")
    layers = [replace(record.layers[i % 2], index=i, name=name) for i, name in enumerate(names)]
    text = markdown(replace(record, layers=tuple(layers)))
    blocks = tables(text[text.index("<details>") :])[0]
    column = blocks[0].index("kcycles")
    assert [(row[0], row[column]) for row in blocks[1:]] == [("a", "2.0"), ("b", "0.4")]
    assert "</details>" in text
    assert "<details>" not in markdown(record)


HOSTILE = ["<img src=x>", "a|b", "[x](http://y)", "`c`", "*d*", "@everyone", "$e$", "&lt;", "f\ng"]


@pytest.mark.parametrize("hostile", HOSTILE)
def test_names_stay_text_in_markdown(hostile):
    text = markdown(replace(renamed(small_run(), hostile), network=hostile, notes=(hostile,)))
    tables(text)  # no cell broke its row
    assert not re.search(r"(?<!\\)" + re.escape(hostile), text)
    assert not re.search(r"(?<!\\)<(?!/?(?:sub|details|summary)>)", text)


@pytest.mark.parametrize("mode", ["timing", "values"])
def test_markdown_leaves_out_what_was_not_computed(mode):
    text = markdown(run_record(6, mode=mode))
    assert ("longest" in text) == (mode == "timing")
    assert ("**Overflow:**" in text) == (mode == "values")


def test_csv_is_that_of_the_folder(tmp_path):
    save_run(tmp_path / "run", small_run(), {})
    content = made(StoredRun(small_run(), {}, None), "csv", "")
    assert content == (tmp_path / "run" / "layers.csv").read_bytes()
    rows = list(csv.DictReader(io.StringIO(content.decode())))
    assert [row["total_cycles"] for row in rows] == ["1000", "200"]


def read_parquet(content: bytes):
    pq = pytest.importorskip("pyarrow.parquet")
    return pq.read_table(io.BytesIO(content))


def test_parquet_gives_the_values_of_the_records_back():
    record = small_run()
    table = read_parquet(parquet(record))
    for row, layer in zip(table.to_pylist(), record.layers, strict=True):
        assert {name: value for name, value in row.items() if value is not None} == {
            name: value for name, value in layer_columns(layer).items() if value is not None
        }
    assert table.schema.metadata[b"bittrue.network"] == record.network.encode()


def test_parquet_has_the_same_columns_for_every_run():
    schemas = [read_parquet(parquet(run_record(n, mode=mode))).schema for n, mode in ((0, "both"), (6, "timing"))]
    assert schemas[0].equals(schemas[1])
    assert schemas[0].names == list(columns())


def test_columns_hold_all_that_a_layer_has():
    shown = set(columns())
    for layer in (*small_run().layers, *run_record(6, overflow=True).layers):
        assert set(layer_columns(layer)) <= shown


def test_without_pyarrow_the_extra_is_named():
    code = (
        "import sys; sys.modules['pyarrow'] = None\n"
        "from reports.parquet import parquet\n"
        "from support.small_runs import small_run\n"
        "from simulator.errors import InputError\n"
        "try: parquet(small_run())\n"
        "except InputError as error: print(error)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env={"PYTHONPATH": ":".join(sys.path)}
    )
    assert "pip install 'bittrue[parquet]'" in done.stdout, done.stderr


def test_node_data_has_a_value_for_every_layer_by_its_whole_name():
    data = node_data(small_run(), "energy_pj")
    assert data["results"] == {"conv": {"value": 500.5}, "add": {"value": 0.0}}
    assert [item["stop"] for item in data["gradient"]] == [0.0, 0.5, 1.0]
    assert all(re.fullmatch("#[0-9a-f]{6}", item["bgColor"]) for item in data["gradient"])
    assert set(data) == {"results", "gradient"}


def test_node_data_of_the_ledger_leaves_layers_without_one_out():
    assert node_data(small_run(), "needed_bits")["results"] == {"conv": {"value": 21}}


@pytest.mark.parametrize("field", ["name", "nonsense", "needed_bits"])
def test_what_is_no_number_of_a_layer_is_refused(field):
    with pytest.raises(InputError, match=f"no layer of this run has a number '{field}'"):
        node_data(small_run("timing"), field)


def test_every_format_is_made_the_same_twice():
    pytest.importorskip("pyarrow")
    stored = StoredRun(small_run(), {}, None)
    for name in FORMATS:
        assert made(stored, name, "macs") == made(stored, name, "macs") != b""
    assert json.loads(made(stored, "model-explorer", "macs"))["results"]["conv"] == {"value": 6912}


def test_a_run_without_time_has_no_trace():
    with pytest.raises(InputError, match="no timeline"):
        made(StoredRun(run_record(2, mode="values"), {}, None), "trace", "")
