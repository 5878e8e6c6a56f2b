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
from support.verilator import build_bench, needs_verilator

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
    program = build_bench(Path(__file__).parent / "vectors_bench.sv", parameters)
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
