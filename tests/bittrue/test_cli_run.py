"""`bittrue run` end to end: right values, complete folders, nothing half-written."""

from __future__ import annotations

import csv
import json
import os
import signal
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

import bittrue
from bittrue.cli import app
from workloads.exporters.npz import save_network

M, K, N = 6, 40, 5


@pytest.fixture(scope="module")
def case(tmp_path_factory):
    """Folder with a product of integers as a network file and its input; the weights."""
    folder = tmp_path_factory.mktemp("case")
    rng = np.random.default_rng(7)
    x = rng.integers(-128, 128, (M, K), np.int8)
    w = rng.integers(-128, 128, (K, N), np.int8)
    save_network(bittrue.networks.gemm(M, K, N, out="int32").with_weights(w), folder / "gemm.npz")
    np.save(folder / "x.npy", x)
    return folder, x, w


@pytest.fixture
def cli(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    def invoke(*arguments):
        return CliRunner().invoke(app, [str(argument) for argument in arguments])

    return invoke


def _outputs(folder):
    with np.load(folder / "outputs.npz") as file:
        return {name: file[name] for name in file.files}


def _contents(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_a_run_gives_the_right_values_and_a_complete_folder(case, cli, tmp_path):
    folder, x, w = case
    result = cli("run", folder / "gemm.npz", "-a", "edge_32x32", "-i", folder / "x.npy", "-o", "out/first")
    assert result.exit_code == 0, result.stderr
    out = tmp_path / "out" / "first"
    (value,) = _outputs(out).values()
    np.testing.assert_array_equal(value, x.astype(np.int64) @ w.astype(np.int64))
    names = {"command.json", "layers.csv", "outputs.npz", "report.html", "run.json", "trace.json.gz"}
    assert set(_contents(out)) == names
    assert [line.strip() for line in result.stdout.splitlines()[-len(names) :]] == sorted(names)
    with (out / "layers.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert sum(int(row["macs"]) for row in rows) == M * K * N
    assert json.loads((out / "run.json").read_text())["accelerator"] == "edge_32x32"
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["first"]


def test_the_table_is_the_record(case, cli, tmp_path):
    folder, *_ = case
    result = cli("run", folder / "gemm.npz", "-a", "edge_32x32", "-i", folder / "x.npy", "-o", "out")
    assert result.exit_code == 0, result.stderr
    with (tmp_path / "out" / "layers.csv").open() as file:
        layers = list(csv.DictReader(file))
    lines = result.stdout.splitlines()
    rule = next(index for index, line in enumerate(lines) if line and not line.strip("-"))
    assert len({len(line) for line in lines[rule + 1 : rule + 1 + len(layers)]}) == 1  # aligned to the last column
    for line, layer in zip(lines[rule + 1 :], layers, strict=False):
        assert line.split()[0] == layer["name"]
        assert f"{int(layer['total_cycles']) / 1000:,.1f}" in line.split()
    total = max(int(layer["end_cycle"]) for layer in layers)
    assert f"cycles         {total:,} at 800 MHz" in lines
    assert any(line.startswith("bottleneck ") and " bound: " in line for line in lines)


def test_the_same_bytes_at_any_thread_count(case, cli, tmp_path):
    folder, *_ = case
    for threads in (1, 2):
        arguments = ("-i", folder / "x.npy", "-o", f"out{threads}", "--threads", threads)
        assert cli("run", folder / "gemm.npz", "-a", "edge_32x32", *arguments).exit_code == 0
    assert _contents(tmp_path / "out1") == _contents(tmp_path / "out2")


def test_a_run_replaces_the_run_in_its_folder(case, cli, tmp_path):
    folder, *_ = case
    for accelerator in ("edge_32x32", "edge_16x16_os"):
        assert cli("run", folder / "gemm.npz", "-a", accelerator, "--timing-only", "-o", "out").exit_code == 0
    assert json.loads((tmp_path / "out" / "run.json").read_text())["accelerator"] == "edge_16x16_os"


def test_timing_only_needs_no_input_and_shows_no_overflow(case, cli, tmp_path):
    folder, *_ = case
    for arguments in ((), ("--timing-only",), ("--timing-only", "-i", folder / "x.npy")):
        result = cli("run", folder / "gemm.npz", "-a", "edge_32x32", *arguments, "-o", "out")
        assert result.exit_code == 0, result.stderr
        assert "overflow" not in result.stdout
        assert "energy" in result.stdout
        assert not (tmp_path / "out" / "outputs.npz").exists()


def test_values_only_shows_no_time(case, cli, tmp_path):
    folder, x, _ = case
    arguments = ("-i", folder / "x.npy", "--values-only", "-o", "out", "--keep-tensors")
    result = cli("run", folder / "gemm.npz", "-a", "edge_32x32", *arguments)
    assert result.exit_code == 0, result.stderr
    assert "overflow" in result.stdout
    assert "cycles" not in result.stdout
    assert not (tmp_path / "out" / "trace.json.gz").exists()
    with np.load(tmp_path / "out" / "tensors.npz") as file:
        assert any(np.array_equal(file[name], x) for name in file.files)


def test_a_sweep_is_a_table_of_widths(case, cli, tmp_path):
    folder, x, w = case
    arguments = ("-i", folder / "x.npy", "--accumulator-sweep", "24, 16", "-o", "out")
    result = cli("run", folder / "gemm.npz", "-a", "edge_32x32", *arguments)
    assert result.exit_code == 0, result.stderr
    points = json.loads((tmp_path / "out" / "run.json").read_text())["accumulator_sweep"]
    exact = x.astype(np.int64) @ w.astype(np.int64)
    wrong = int(((exact < -(2**15)) | (exact >= 2**15)).sum())  # wrapped, and so off by a multiple of 2^16
    assert wrong
    assert [point["outputs"][0]["differing"] for point in points] == [wrong, 0]
    lines = result.stdout.splitlines()
    table = lines[lines.index("registers of other widths, against 32 bits") :]
    rows = [line.split() for line in table if line.split()[:1] in (["16"], ["24"])]
    assert [row[:3] for row in rows] == [
        ["16", f"{100 * wrong / exact.size:.2f}", f"{2**16:,}"],
        ["24", "0.00", "0"],
    ]
    assert "24 bits is the narrowest from which on" in result.stdout
    assert '<section id="sweep">' in (tmp_path / "out" / "report.html").read_text()
    again = cli("report", "out")
    assert again.exit_code == 0
    assert "registers of other widths" in again.stdout


@pytest.mark.parametrize(
    ("sweep", "message"),
    [("16,x", "write whole numbers"), ("16,", "write whole numbers"), ("4", "8 to 64, not 4"), ("16,16", "twice")],
)
def test_a_sweep_of_nonsense_is_refused(case, cli, sweep, message):
    folder, *_ = case
    arguments = ("-i", folder / "x.npy", "--accumulator-sweep", sweep)
    result = cli("run", folder / "gemm.npz", "-a", "edge_32x32", *arguments)
    assert result.exit_code == 2
    assert message in result.stderr


def test_a_sweep_without_values_is_refused(case, cli):
    folder, *_ = case
    for arguments in ((), ("-i", folder / "x.npy", "--timing-only")):
        result = cli("run", folder / "gemm.npz", "-a", "edge_32x32", "--accumulator-sweep", "16", *arguments)
        assert result.exit_code == 2
        assert "--accumulator-sweep needs values" in result.stderr


def test_set_changes_the_accelerator(case, cli, tmp_path):
    folder, x, w = case
    exact = x.astype(np.int64) @ w.astype(np.int64)
    register = "{bits: 16, overflow: wrap}"
    result = cli(
        *("run", folder / "gemm.npz", "-a", "edge_32x32", "-i", folder / "x.npy", "-o", "out"),
        *("--set", f"arithmetic.accumulator={register}", "--set", f"arithmetic.partial_sum={register}"),
        *("--set", "array.rows=8"),
    )
    assert result.exit_code == 0, result.stderr
    (value,) = _outputs(tmp_path / "out").values()
    # A 16-bit wrapping sum is right modulo 2^16 whatever the order of its additions.
    np.testing.assert_array_equal(value, (exact + 2**15) % 2**16 - 2**15)
    assert json.loads((tmp_path / "out" / "run.json").read_text())["spec"]["array"]["rows"] == 8
    assert " events hit " in result.stdout


def test_a_trap_is_told_with_its_place(case, cli, tmp_path):
    folder, *_ = case
    register = "{bits: 12, overflow: trap}"
    result = cli(
        *("run", folder / "gemm.npz", "-a", "edge_16x16_os", "-i", folder / "x.npy", "-o", "out"),
        *("--set", f"arithmetic.accumulator={register}"),
    )
    assert result.exit_code == 2
    assert "the 12-bit accumulator overflowed at output " in result.stderr
    assert list(tmp_path.iterdir()) == []


def test_arrays_come_by_name_or_in_order(case, cli, tmp_path):
    folder, x, w = case
    (name,) = bittrue.load_network(folder / "gemm.npz").graph.inputs
    np.savez(tmp_path / "named.npz", **{name: x})
    np.savez(tmp_path / "ordered.npz", x)
    for file in ("named.npz", "ordered.npz"):
        assert cli("run", folder / "gemm.npz", "-a", "edge_32x32", "-i", file, "-o", "out").exit_code == 0
        (value,) = _outputs(tmp_path / "out").values()
        np.testing.assert_array_equal(value, x.astype(np.int64) @ w.astype(np.int64))


def test_inputs_that_do_not_suit_are_refused(case, cli, tmp_path):
    folder, x, _ = case
    np.savez(tmp_path / "stranger.npz", stranger=x)
    np.savez(tmp_path / "two.npz", x, x)
    np.save(tmp_path / "wide.npy", x.astype(np.int32))
    np.save(tmp_path / "shape.npy", x[:3])
    np.save(tmp_path / "objects.npy", np.array([{}]), allow_pickle=True)
    (tmp_path / "broken.npz").write_bytes(b"PK\x03\x04 nothing")
    (tmp_path / "text.txt").write_text("x")
    Image.new("RGB", (4, 4)).save(tmp_path / "photo.png")
    before = set(tmp_path.iterdir())
    for file, message in (
        ("stranger.npz", "'stranger' is no input of the network"),
        ("two.npz", "holds 2 arrays"),
        ("wide.npy", "int32"),
        ("shape.npy", "3"),
        ("objects.npy", "not a readable .npy file of plain arrays"),
        ("broken.npz", "not a readable .npz file of plain arrays"),
        ("text.txt", "a .npy or a .npz file"),
        ("photo.png", "does not take an image"),
    ):
        result = cli("run", folder / "gemm.npz", "-a", "edge_32x32", "-i", file, "-o", "out")
        assert result.exit_code == 2, file
        assert message in result.stderr
        assert "Traceback" not in result.stderr
    assert set(tmp_path.iterdir()) == before


def test_a_folder_with_something_else_in_it_is_left_alone(case, cli, tmp_path):
    folder, *_ = case
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("years of work")
    result = cli("run", folder / "gemm.npz", "-a", "edge_32x32", "--timing-only", "-o", "mine")
    assert result.exit_code == 2
    assert "is not a run folder" in result.stderr
    assert "lower" not in result.stderr  # refused before computing
    assert [path.name for path in (tmp_path / "mine").iterdir()] == ["thesis.txt"]


def test_report_draws_a_saved_run_again(case, cli, tmp_path):
    folder, *_ = case
    ran = cli("run", folder / "gemm.npz", "-a", "edge_32x32", "-i", folder / "x.npy", "-o", "out")
    page = (tmp_path / "out" / "report.html").read_bytes()
    (tmp_path / "out" / "report.html").unlink()
    result = cli("report", "out")
    assert result.exit_code == 0, result.stderr
    assert (tmp_path / "out" / "report.html").read_bytes() == page
    assert result.stdout.splitlines()[:5] == ran.stdout.splitlines()[:5]
    assert result.stdout.splitlines()[-1] == "out/report.html"


def test_report_refuses_what_is_no_run(cli, tmp_path):
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "run.json").write_text('{"schema_version": 1, "net')
    for name in ("broken", "nowhere"):
        result = cli("report", name)
        assert result.exit_code == 2
        assert name in result.stderr
        assert "Traceback" not in result.stderr


def test_a_built_in_network_is_seeded_and_calibrated_and_says_so(cli, tmp_path):
    rng = np.random.default_rng(3)
    Image.fromarray(rng.integers(0, 256, (40, 60, 3), np.uint8)).save(tmp_path / "photo.png")
    small = ("--net", "size=33", "--net", "width=0.125")
    result = cli("run", "deeplabv3_resnet50", "-a", "narrow_16x16", *small, "-i", "photo.png", "-o", "out")
    assert result.exit_code == 0, result.stderr
    assert "calibrate deeplabv3_resnet50 on photo.png" in result.stderr
    assert "note: weights are seeded random numbers" in result.stdout
    assert "calibrated on 1 image" in result.stdout
    (labels,) = _outputs(tmp_path / "out").values()
    assert labels.shape == (1, 33, 33)


@pytest.mark.skipif(os.name == "nt", reason="signals of a POSIX shell")
def test_ctrl_c_ends_cleanly(tmp_path):
    Image.new("RGB", (64, 64)).save(tmp_path / "photo.png")
    command = [sys.executable, "-m", "bittrue", "run", "fcn_vgg16", "-a", "edge_32x32", "-i", "photo.png", "-o", "out"]
    # A background job of a shell ignores the signal, and so would what the tests start there.
    heeds = {"preexec_fn": lambda: signal.signal(signal.SIGINT, signal.SIG_DFL)}
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    with subprocess.Popen(command, cwd=tmp_path, **pipes, **heeds) as process:
        for line in process.stderr:
            if line.startswith("calibrate"):
                process.send_signal(signal.SIGINT)
                break
        rest = process.stderr.read()
        assert process.wait(timeout=60) == 130
    assert rest.splitlines()[-1] == "interrupted"
    assert "Traceback" not in rest
    assert [path.name for path in tmp_path.iterdir()] == ["photo.png"]


def test_warmup_leaves_compiled_kernels(cli, tmp_path):
    result = cli("warmup")
    assert result.exit_code == 0, result.stderr
    assert result.stdout.startswith("kernels compiled and kept, in ")
    assert list(tmp_path.iterdir()) == []
