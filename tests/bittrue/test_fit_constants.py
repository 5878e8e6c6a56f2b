"""bittrue fit: planted constants are found again, and what cannot be used is refused with its place."""

from __future__ import annotations

import csv
import os
from pathlib import Path

import pytest
from typer.testing import CliRunner

import bittrue
from accel_models.load import preset_names
from accel_models.save import save_accelerator
from bittrue.cli import app
from bittrue.fitting.rows import read_rows
from simulator.errors import InputError, SpecError

GEMMS = [
    (64, 64, 64),
    (96, 32, 128),
    (16, 256, 32),
    (200, 64, 48),
    (128, 128, 16),
    (33, 65, 31),
    (1, 512, 64),
    (80, 80, 80),
]


def measured(tmp_path: Path, accelerator: bittrue.Accelerator) -> Path:
    """Rows whose cycles another device, of other constants, took."""
    path = tmp_path / "rows.csv"
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(
            ["kind", "m", "k", "n", "height", "width", "channels", "filters", "kernel", "padding", "cycles"]
        )
        for m, k, n in GEMMS:
            cycles = bittrue.simulate(bittrue.networks.gemm(m, k, n), accelerator).record.total_cycles
            writer.writerow(["gemm", m, k, n, "", "", "", "", "", "", cycles])
        for size, channels in ((14, 32), (28, 16), (9, 40), (20, 24)):
            net = bittrue.networks.conv2d(size, size, channels, 24, 3, padding=1, bias=False)
            cycles = bittrue.simulate(net, accelerator).record.total_cycles
            writer.writerow(["conv", "", "", "", size, size, channels, 24, 3, 1, cycles])
    return path


def test_planted_constants_are_found_again(tmp_path):
    start = bittrue.load_accelerator("edge_32x32")
    truth = start.evolve({"dma.setup_cycles": 57, "dram.latency_cycles": 131})
    free = {"dma.setup_cycles": (0, 200), "dram.latency_cycles": (0, 400)}
    found = bittrue.fit(start, measured(tmp_path, truth), free)
    assert {row.held_back for row in found.rows} == {True, False}
    # Where one request serves a transfer only the sum of both shows, so the constants need not be the planted ones.
    assert max(abs(row.error_percent) for row in found.rows) < 1
    assert max(abs(row.error_before_percent) for row in found.rows) > 10
    assert found.accelerator.dma.setup_cycles == found.constants["dma.setup_cycles"][1]


def test_rows_change_the_accelerator_for_themselves(tmp_path):
    path = tmp_path / "rows.csv"
    path.write_text("m,k,n,dram.latency_cycles,cycles\n16,16,16,1,181\n16,16,16,20,230\n")
    rows = read_rows(path, bittrue.load_accelerator("gemmini_16x16"))
    assert [dict(row.changes) for row in rows] == [{"dram.latency_cycles": 1}, {"dram.latency_cycles": 20}]
    assert [row.cycles for row in rows] == [181, 230]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("m,k,n\n1,1,1\n", "rows.csv:1: no column cycles; there are m, k, n$"),
        ("m;k;n;cycles\n1;1;1;9\n", "rows.csv:1: no column cycles; there are m;k;n;cycles; commas part columns"),
        ("", "rows.csv: the file is empty; its first line names the columns"),
        ("m,k,n,cylces,cycles\n1,1,1,1,1\n", "rows.csv:1: column 'cylces'"),
        ("m,k,n,cycles\n1,1,1,9\n1,x,1,9\n", "rows.csv:3: k: 'x' is not a number"),
        ("m,k,n,cycles\n1,1,1,9\n1,0,1,9\n", "rows.csv:3: k: '0' is not a whole number of at least 1"),
        ("m,k,n,cycles\n1,1,1,9\n1,1,1,0\n", "rows.csv:3: cycles: '0'"),
        ("m,k,n,cycles\n1,1,1,9\n", "1 rows"),
        ("m,k,n,cycles\n1,1,1,9\n1,1,1\n", "rows.csv:3: more or fewer cells"),
        ("m,k,n,dram.speed,cycles\n1,1,1,2,9\n1,1,1,2,9\n", "rows.csv:2: .*dram.speed"),
        ("kind,m,k,n,cycles\npool,1,1,1,9\n", "rows.csv:2: kind: 'pool'"),
        ("m,k,n,bias,cycles\n1,1,1,maybe,9\n", "rows.csv:2: bias: 'maybe'"),
    ],
)
def test_files_that_cannot_be_used(tmp_path, text, told):
    path = tmp_path / "rows.csv"
    path.write_text(text)
    with pytest.raises(InputError, match=told):
        read_rows(path, bittrue.load_accelerator("edge_32x32"))


def test_no_file_is_told(tmp_path):
    with pytest.raises(InputError, match=r"none\.csv: cannot be read: No such file"):
        read_rows(tmp_path / "none.csv", bittrue.load_accelerator("edge_32x32"))


@pytest.mark.parametrize(
    ("free", "told"),
    [
        ({"dma.speed": (0, 9)}, "dma.speed: the accelerator has no such field"),
        ({"array.dataflow": (0, 9)}, "array.dataflow is .*no whole number"),
        ({"dma.setup_cycles": (9, 0)}, "from 9 to 0"),
    ],
)
def test_constants_that_cannot_be_free(tmp_path, free, told):
    device = bittrue.load_accelerator("edge_32x32")
    with pytest.raises(InputError, match=told):
        bittrue.fit(device, measured(tmp_path, device), free)


def test_command_writes_an_accelerator_that_loads(tmp_path):
    start = bittrue.load_accelerator("edge_32x32")
    rows = measured(tmp_path, start.evolve({"dma.setup_cycles": 40}))
    out = tmp_path / "mine.yaml"
    asked = ["fit", "edge_32x32", str(rows), "--free", "dma.setup_cycles=0..100", "-o", str(out)]
    result = CliRunner().invoke(app, asked)
    assert result.exit_code == 0, result.output
    assert bittrue.load_accelerator(out).dma.setup_cycles == 40
    assert "all held back" in result.stdout
    refused = CliRunner().invoke(app, [*asked[:3], "--free", "dma.setup_cycles=5"])
    assert refused.exit_code == 2
    assert "KEY=LOW..HIGH" in refused.output
    for target, told in ((tmp_path / "no" / "mine.yaml", "there is no folder"), (tmp_path, "it is a folder")):
        refused = CliRunner().invoke(app, [*asked[:-1], str(target)])
        assert refused.exit_code == 2
        assert told in refused.stderr
        assert refused.stdout == ""  # before anything is fitted


@pytest.mark.parametrize("name", preset_names())
def test_a_saved_accelerator_is_the_same(tmp_path, name):
    accelerator = bittrue.load_accelerator(name)
    assert bittrue.load_accelerator(save_accelerator(accelerator, tmp_path / "saved.yaml", "note")) == accelerator


def test_a_folder_that_is_not_there_is_told(tmp_path):
    with pytest.raises(SpecError, match="cannot be written"):
        save_accelerator(bittrue.load_accelerator("edge_32x32"), tmp_path / "no" / "saved.yaml")


@pytest.mark.assets
def test_rtl_rows_of_gemmini_pull_a_spoilt_preset_back(tmp_path):
    source = Path(os.environ["BITTRUE_ASSETS"]) / "validation" / "gemmini16_gemm_ws.csv"
    with source.open(newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["out"] == "int8" and row["bias"] == "none"]
    small = [row for row in rows if int(row["macs"]) <= 1 << 19]
    path = tmp_path / "rows.csv"
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["m", "k", "n", "dram.latency_cycles", "cycles"])
        writer.writerows([[row[key] for key in ("M", "K", "N", "mem_latency", "cycles")] for row in small])
    preset = bittrue.load_accelerator("gemmini_16x16")
    assert preset.controller is not None
    key = "controller.write_cycles"
    spoilt = preset.evolve({key: preset.controller.write_cycles + 60})
    found = bittrue.fit(spoilt, path, {key: (0, 200)})
    errors = {name: values for name, _, *values in found.summary()}
    before, _, after, _ = errors["all held back"]
    assert after < before / 3
