"""The simulator as the oracle of a test bench: $readmemh of what vectors wrote, compare with what the bench wrote."""

from __future__ import annotations

import subprocess
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

import bittrue
from bittrue.cli import app
from simulator.records.vectors.manifest import read_manifest
from support.doc_examples import blocks, run, transcript
from support.verilator import RTL, build_bench, needs_verilator

pytestmark = needs_verilator

LANES, PIXELS, FOLDS = 4, 6, 3


@pytest.fixture(scope="module")
def network(tmp_path_factory) -> Path:
    rng = np.random.default_rng(3)
    net = bittrue.networks.gemm(PIXELS, LANES * FOLDS, LANES, bias=True)
    weights = rng.integers(-128, 128, (LANES * FOLDS, LANES))
    path = tmp_path_factory.mktemp("net") / "gemm.npz"
    return net.with_weights(weights, rng.integers(-(2**15), 2**15, LANES)).save(path)


def export(network: Path, folder: Path, *more: str) -> Path:
    """Write vectors of a 4 x 4 array with narrow registers; return the manifest."""
    registers = {"partial_sum": "{bits: 14, overflow: saturate}", "accumulator": "{bits: 15, overflow: wrap}"}
    changes = {"array.rows": LANES, "array.cols": LANES, "arithmetic.requantizer": "fixed_point_single"}
    changes |= {f"arithmetic.{name}": value for name, value in registers.items()}
    settings = [part for key, value in changes.items() for part in ("--set", f"{key}={value}")]
    arguments = [
        "vectors",
        str(network),
        "-a",
        "edge_32x32",
        "--input-seed",
        "5",
        "--layer",
        "output",
        "-o",
        str(folder),
    ]
    result = CliRunner().invoke(app, [*arguments, "--format", "memh", "--lanes", str(LANES), *settings, *more])
    assert result.exit_code == 0, result.stderr
    return folder / "manifest.json"


def run_bench(manifest: Path, results: Path) -> None:
    """Run the engine on vectors, its registers as the manifest says."""
    order = read_manifest(manifest).layer_constants["fold_order"]
    parameters = {"LANES": order["fold_length"], "PIXELS": PIXELS, "K_FOLDS": FOLDS}
    for register in ("partial_sum", "accumulator"):
        parameters[f"{register.upper()}_BITS"] = order[register]["bits"]
        parameters[f"{register.upper()}_SATURATES"] = order[register]["mode"] == "saturate"
    program = build_bench(RTL / "bench" / "vectors_bench.sv", parameters)
    results.mkdir()
    command = [str(program), f"+vectors={manifest.parent}", f"+results={results}"]
    ran = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert ran.returncode == 0, ran.stdout + ran.stderr


def compare(manifest: Path, results: Path):
    return CliRunner().invoke(app, ["compare", str(manifest), str(results)])


@pytest.mark.slow
def test_the_engine_gives_what_the_vectors_expect(network, tmp_path):
    manifest = export(network, tmp_path / "vectors")
    run_bench(manifest, tmp_path / "results")
    result = compare(manifest, tmp_path / "results")
    assert result.exit_code == 0, result.stdout
    assert "1 compared, 0 differ" in result.stdout
    wide = export(network, tmp_path / "wide", "--set", "arithmetic.partial_sum.bits=32")
    found = compare(wide, tmp_path / "results")  # so its registers did overflow, and the comparison can fail
    assert found.exit_code == 1
    assert "output[" in found.stdout


def bench(words: str, tmp_path: Path) -> tuple[int, str]:
    """Judge with the bench whose expected output is `words`; the folder holds what the README's commands made."""
    (tmp_path / "vectors" / "output.memh").write_text(words)
    return run("build/bench +vectors=vectors")


@pytest.mark.slow
def test_the_commands_of_the_readme_pass_and_fail_when_a_word_is_altered(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MAKEFLAGS", "OPT_FAST=-O0 OPT_SLOW=-O0 OPT_GLOBAL=-O0")  # it runs a moment, and is built anew
    (tmp_path / "rtl").symlink_to(RTL)
    _, after = (RTL / "README.md").read_text().split("## A layer's vectors through the array")
    (tmp_path / "section.md").write_text(after.split("\n## ")[0])
    network, vectors, built = blocks(tmp_path / "section.md")
    exec(network.text)
    for block in (vectors, built):
        for command, printed in transcript(block.text):
            status, found = run(command)
            assert status == 0, found
            assert printed is None or printed.startswith("...") or found.startswith(printed.split("...")[0])
    good = (tmp_path / "vectors" / "output.memh").read_text()
    lines = good.splitlines(keepends=True)
    altered = [*lines[:2], f"{int(lines[2], 16) ^ 0x100:08x}\n", *lines[3:]]
    status, found = bench("".join(altered), tmp_path)
    assert status != 0
    assert "output word 2 is" in found
    assert "FAIL: 1 of 6 words differ" in found
    status, found = bench("".join(lines[:-1]), tmp_path)
    assert status != 0
    assert "has no word 5" in found
    (tmp_path / "vectors" / "bias.memh").unlink()
    status, found = bench(good, tmp_path)
    assert status != 0
    assert "vectors/bias.memh cannot be read" in found
