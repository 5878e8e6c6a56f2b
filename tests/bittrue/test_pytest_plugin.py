"""The pytest fixture: a hardware team's own tests, run by a pytest within."""

from __future__ import annotations

import configparser
import subprocess
import sys
from importlib.metadata import entry_points
from pathlib import Path

import numpy as np
import pytest

import bittrue
from bittrue.golden.check import check
from bittrue.golden.result import CheckResult

pytest_plugins = ["pytester"]

MODULE = "bittrue.golden.pytest_plugin"
INSTALLED = any(point.value == MODULE for point in entry_points(group="pytest11"))
OPTIONS = [] if INSTALLED else ["-p", MODULE]

GOLDEN = """\
cases:
  gemm:
    network: gemm.npz
    accelerator: edge_32x32
    inputs: {seed: 0}
    expect:
      hashes: {output: }
      total_cycles: 1   # of the whole layer
"""
TESTS = """
import numpy as np

def test_golden(bittrue_golden):
    bittrue_golden("gemm.yaml")

def test_hardware(bittrue_golden):
    y = bittrue_golden.check("gemm.yaml", "gemm").cases[0].tensors["output"]
    bittrue_golden.check("gemm.yaml", "gemm", found={"output": y.astype(np.int32)})
"""


@pytest.fixture(scope="module")
def network():
    rng = np.random.default_rng(0)
    return bittrue.networks.gemm(3, 5, 4).with_weights(rng.integers(-128, 128, (5, 4)))


@pytest.fixture
def team(pytester, network):
    """A team's folder below the root. All that a check imports is imported before it runs within."""
    folder = pytester.mkdir("hw")
    network.save(folder / "gemm.npz")
    (folder / "gemm.yaml").write_text(GOLDEN)
    (folder / "test_hw.py").write_text(TESTS)
    assert isinstance(check(folder / "gemm.yaml"), CheckResult)
    return pytester


def test_the_plugin_is_an_entry_point():
    setup = configparser.ConfigParser()
    setup.read(Path(__file__).parents[2] / "setup.cfg")
    assert setup["options.entry_points"]["pytest11"].split() == ["bittrue", "=", MODULE]


def test_a_golden_that_differs_fails_and_update_mends_it(team):
    result = team.runpytest(*OPTIONS)
    result.assert_outcomes(failed=2)
    result.stdout.fnmatch_lines(["*hw/gemm.yaml:8: total_cycles: 1 expected, * found (+*"])
    assert "Traceback" not in result.stdout.str()
    result = team.runpytest(*OPTIONS, "--bittrue-update")
    result.assert_outcomes(passed=2)
    assert "gemm.yaml: gemm.total_cycles: 1 -> " in result.stdout.str()
    assert "gemm.yaml: gemm.hashes.output: not recorded -> sha256:" in result.stdout.str()
    assert (team.path / "hw" / "gemm.yaml").read_text().endswith("   # of the whole layer\n")
    team.runpytest(*OPTIONS).assert_outcomes(passed=2)


def test_what_hardware_gave_is_held_to_the_simulator(team):
    team.runpytest(*OPTIONS, "--bittrue-update").assert_outcomes(passed=2)
    path = team.path / "hw" / "test_hw.py"
    path.write_text(TESTS.replace("y.astype(np.int32)", "y.astype(np.int32) + (np.arange(12) == 6).reshape(3, 4)"))
    result = team.runpytest(*OPTIONS)
    result.assert_outcomes(passed=1, failed=1)
    result.stdout.fnmatch_lines(["output[[]1, 2[]]: * expected, * found; 1 of 12 values differ, by 1 at most"])
    path.write_text(TESTS.replace('"gemm", found={"output"', '"gemm", found={"nothing"'))
    team.runpytest(*OPTIONS).stdout.fnmatch_lines(["*InputError: case gemm has no tensor 'nothing'; it has output"])
    path.write_text(TESTS.replace('"gemm", found', "found"))
    team.runpytest(*OPTIONS).stdout.fnmatch_lines(["*InputError: found is held to one case: name it"])


def test_a_requirement_fails_under_update_too(team):
    path = team.path / "hw" / "gemm.yaml"
    path.write_text(GOLDEN.replace("total_cycles: 1 ", "total_cycles: {value: 1, most: 2} "))
    result = team.runpytest(*OPTIONS, "--bittrue-update")
    result.assert_outcomes(failed=2)
    result.stdout.fnmatch_lines(["*gemm.yaml:8: total_cycles: at most 2 required, * found"])


def test_update_is_refused_in_several_processes(team):
    pytest.importorskip("xdist")
    result = team.runpytest(*OPTIONS, "-p", "xdist", "-n", "1", "--bittrue-update")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["*--bittrue-update rewrites files: run it without -n"])


def test_the_plugin_loads_nothing_before_it_is_used():
    code = f"import sys, {MODULE}; print([m for m in ('numba', 'numpy', 'yaml', 'pydantic') if m in sys.modules])"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"
