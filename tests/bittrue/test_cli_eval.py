"""`bittrue eval` end to end: the table, exit statuses, and what is left after Ctrl-C and after a kill."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time

import pytest
from typer.testing import CliRunner

import bittrue
from bittrue.cli import app
from bittrue.evaluation.journal import JOURNAL
from simulator.errors import InputError
from support.segmenter import CLASSES, float_segmenter, integer_segmenter, write_dataset
from workloads.exporters.npz import save_network

IMAGES = 4
FILES = ["evaluation.csv", "evaluation.json", "images.jsonl"]


@pytest.fixture(scope="module")
def case(tmp_path_factory):
    """Folder with the networks, and the specification of a data set."""
    folder = tmp_path_factory.mktemp("case")
    save_network(integer_segmenter(), folder / "int.npz")
    save_network(float_segmenter(), folder / "float.npz")
    return folder, write_dataset(folder / "data", IMAGES)


@pytest.fixture
def cli(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    def invoke(network, spec, *arguments):
        command = ["eval", network, "-d", spec, "-a", "edge_32x32", "--split", "all", *arguments]
        return CliRunner().invoke(app, [str(argument) for argument in command])

    return invoke


def test_one_table_of_float_integer_and_widths(case, cli, tmp_path):
    folder, spec = case
    options = ("--float", folder / "float.npz", "--accumulator-sweep", "12,16", "-o", "out", "--classes")
    result = cli(folder / "int.npz", spec, *options)
    assert result.exit_code == 0, result.stderr
    record = bittrue.evaluate(
        integer_segmenter(),
        bittrue.load_accelerator("edge_32x32"),
        spec,
        split="all",
        float_network=float_segmenter(),
        accumulator_sweep=(12, 16),
    )
    for row in record.rows:
        assert f"{100 * row.miou:.2f}" in result.stdout
    assert "points of mIoU lost against float" in result.stdout
    assert all(f"\n{name} " in result.stdout for name in CLASSES)
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == sorted([*FILES, "miou.svg"])
    data = json.loads((tmp_path / "out/evaluation.json").read_text())
    assert [row["correct"] for row in data["rows"]] == [row.correct for row in record.rows]


def test_a_float_network_is_quantized_as_asked(case, cli):
    folder, spec = case
    result = cli(folder / "float.npz", spec, "--quantize", "scheme=affine", "--calibrate", "2")
    assert result.exit_code == 0, result.stderr
    assert "quantized on 2 images of folder all (scheme=affine)" in result.stdout
    other = cli(folder / "float.npz", spec, "--pixel-mean", "10", "--pixel-std", "200", "--calibrate", "2")
    assert other.exit_code == 0, other.stderr
    assert other.stdout != result.stdout


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--split", "val"], "has no split 'val'; it has all"),
        (["--accumulator-sweep", "wide"], "whole numbers of bits"),
        (["--map", "sky"], "write NAME=NAME"),
        (["--pixel-mean", "3"], "given together"),
        (["--quantize", "scheme=affine"], "integer already"),
        (["--map", "sky=moon"], "no class 'moon'"),
    ],
)
def test_bad_input_is_refused(case, cli, tmp_path, arguments, message):
    folder, spec = case
    result = cli(folder / "int.npz", spec, *arguments, "-o", "out")
    assert (result.exit_code, result.stdout) == (2, "")
    assert message in result.stderr
    assert not (tmp_path / "out").exists()


def test_bad_files_are_listed_and_the_exit_status_tells(case, cli, tmp_path):
    folder, _ = case
    spec = write_dataset(tmp_path / "data", IMAGES)
    bad = tmp_path / "data/images/im01.png"
    bad.write_bytes(b"no image")
    result = cli(folder / "int.npz", spec)
    assert result.exit_code == 2
    assert f"left out: {bad}: not an image" in result.stderr
    assert "1 of 4 samples cannot be used and count in no score; 3 are evaluated" in result.stderr
    assert "edge_32x32" in result.stdout


def test_ctrl_c_says_what_is_finished_and_the_same_command_goes_on(case, cli, monkeypatch):
    folder, spec = case
    from bittrue.evaluation import evaluate

    predict, calls = evaluate.predict, []

    def interrupted(plan, ready):
        calls.append(ready.sample.name)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return predict(plan, ready)

    monkeypatch.setattr(evaluate, "predict", interrupted)
    first = cli(folder / "int.npz", spec, "-o", "out")
    assert first.exit_code == 130
    assert "interrupted: 2 of 4 images are finished (they are kept in out/" in first.stderr
    assert "2 of 4 images" in first.stdout
    second = cli(folder / "int.npz", spec, "-o", "out")
    assert second.exit_code == 0, second.stderr
    assert "2 of 4 images were finished before" in second.stderr
    assert calls[3:] == ["im02", "im03"]
    assert second.stdout == cli(folder / "int.npz", spec, "-o", "out").stdout


def test_an_error_in_the_middle_says_what_is_finished(case, cli, monkeypatch):
    folder, spec = case
    from bittrue.evaluation import evaluate

    predict, calls = evaluate.predict, []

    def trapped(plan, ready):
        calls.append(ready.sample.name)
        if len(calls) == 3:
            raise InputError("trapped here")
        return predict(plan, ready)

    monkeypatch.setattr(evaluate, "predict", trapped)
    result = cli(folder / "int.npz", spec, "-o", "out")
    assert result.exit_code == 2
    assert "stopped: 2 of 4 images are finished (they are kept in out/, the same command goes on)" in result.stderr
    assert "trapped here" in result.stderr


@pytest.mark.skipif(os.name == "nt", reason="signals of a POSIX shell")
def test_a_killed_process_loses_no_finished_image(case, cli, tmp_path):
    folder, _ = case
    spec = write_dataset(tmp_path / "data", 300)
    journal = tmp_path / "out" / JOURNAL
    command = [sys.executable, "-m", "bittrue", "eval", str(folder / "int.npz"), "-d", spec, "-a", "edge_32x32"]
    with subprocess.Popen(
        [*command, "--split", "all", "-o", "out"], cwd=tmp_path, stderr=subprocess.DEVNULL
    ) as process:
        while process.poll() is None and not (journal.exists() and journal.read_bytes().count(b"\n") > 3):
            time.sleep(0.002)
        process.kill()
    kept = journal.read_bytes().count(b"\n") - 1
    assert 3 <= kept < 300
    result = cli(folder / "int.npz", spec, "-o", "out")
    assert result.exit_code == 0, result.stderr
    assert f"{kept} of 300 images were finished before" in result.stderr
    assert cli(folder / "int.npz", spec, "-o", "whole").exit_code == 0
    for name in FILES:
        assert (tmp_path / "out" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()
