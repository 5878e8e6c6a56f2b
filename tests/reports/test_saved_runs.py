"""Runs that were saved once: opened by later versions, and drawn on machines without a compiler."""

from __future__ import annotations

import csv
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from reports.html import render
from simulator.records.store import read_run

SAVED = Path(__file__).parent / "data" / "run_schema_1"
ROOT = Path(__file__).resolve().parents[2]

WITHOUT = """
import sys
class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {names!r}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)
sys.meta_path.insert(0, Absent())
sys.argv = ["bittrue", "report", {folder!r}]
from bittrue.cli import main
main()
"""


@pytest.fixture
def saved(tmp_path) -> Path:
    return Path(shutil.copytree(SAVED, tmp_path / "run"))


def test_an_older_folder_opens_with_all_that_is_in_it():
    stored = read_run(SAVED)
    with (SAVED / "layers.csv").open() as file:
        rows = list(csv.DictReader(file))
    layers = stored.record.layers
    assert [layer.name for layer in layers] == [row["name"] for row in rows] == ["stem", "head", "labels"]
    assert [layer.total_cycles for layer in layers] == [int(row["total_cycles"]) for row in rows]
    assert [layer.energy_pj for layer in layers] == pytest.approx([float(row["energy_pj"]) for row in rows])
    assert [la.overflow.events for la in layers] == [int(row["overflow.events"]) for row in rows]
    assert stored.preview.shape == (12, 16, 3)
    assert stored.outputs["labels"].shape == (1, 6, 8)
    assert [point.accumulator_bits for point in stored.record.accumulator_sweep] == [12, 16]
    assert stored.record.events
    assert {layer.live_bytes for layer in layers} == {0}  # kept since


def test_an_older_folder_gives_a_whole_report():
    stored = read_run(SAVED)
    page = render(stored.record, stored.outputs, stored.preview)
    for section in ("segmentation", "totals", "roofline", "timeline", "overflow", "sweep", "layers", "provenance"):
        assert f'<section id="{section}"' in page or f'id="{section}"><h2>' in page
    shares = np.bincount(stored.outputs["labels"].ravel().astype(int)) / 48
    assert all(f"{100 * share:.1f} %" in page for share in shares if share)


def test_the_report_is_drawn_where_there_is_neither_compiler_nor_simulator(saved):
    names = ("numba", "llvmlite", "simpy", "onnx", "tflite", "pandas", "torch")
    code = WITHOUT.format(names=names, folder=str(saved))
    env = os.environ | {"PYTHONPATH": str(ROOT), "COLUMNS": "160"}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=env, check=False)
    assert done.returncode == 0, done.stderr
    assert "289 events hit 148 outputs" in done.stdout
    stored = read_run(SAVED)
    drawn = (saved / "report.html").read_text(encoding="utf-8")
    assert drawn == render(stored.record, stored.outputs, stored.preview)


def test_the_blocker_blocks():
    code = WITHOUT.format(names=("numba",), folder="").split("sys.argv")[0] + "import numba"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert "No module named 'numba'" in done.stderr
