"""Kernels mean the same compiled, interpreted and bounds-checked, and all are compiled by the one decorator."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest

from support.kernel_cases import CASES

ROOT = Path(__file__).parents[2]
KERNELS = sorted((ROOT / "simulator" / "kernels").glob("*.py"))
COMPILERS = {"njit", "jit", "vectorize", "guvectorize", "cfunc", "stencil", "jit_module", "generated_jit"}


@pytest.mark.slow
@pytest.mark.parametrize("variable", ["NUMBA_DISABLE_JIT", "NUMBA_BOUNDSCHECK"])
def test_cases_hold_in_the_other_modes(variable, tmp_path):
    # Numba reads these when it is imported, and its cache does not tell the modes apart: a new interpreter and folder.
    environment = {**os.environ, variable: "1", "NUMBA_CACHE_DIR": str(tmp_path)}
    environment["PYTHONPATH"] = os.pathsep.join([str(ROOT), str(ROOT / "tests")])
    run = subprocess.run(
        [sys.executable, "-m", "support.kernel_cases"], env=environment, cwd=ROOT, capture_output=True, text=True
    )
    assert run.returncode == 0, run.stderr[-3000:]
    assert run.stdout.split() == [case.__name__ for case in CASES]


def compilers_used(source: str) -> list[str]:
    """Names of Numba's compiling decorators that a source mentions."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Attribute) and node.attr in COMPILERS:
            found.append(node.attr)
        elif isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "numba":
            found += [alias.name for alias in node.names if alias.name in COMPILERS]
    return found


def test_every_kernel_is_compiled_in_one_place():
    assert compilers_used((ROOT / "simulator/kernels/_jit.py").read_text()) == ["njit", "cfunc"]
    for path in sorted(ROOT.glob("simulator/**/*.py")):
        if path.name != "_jit.py":
            assert compilers_used(path.read_text()) == [], path


def test_nothing_asks_for_fast_math():
    for path in KERNELS:
        for node in ast.walk(ast.parse(path.read_text())):
            assert not (isinstance(node, ast.keyword) and node.arg == "fastmath"), path


def test_the_search_for_decorators_finds_them():
    assert compilers_used("import numba\n@numba.njit\ndef f(): pass") == ["njit"]
    assert compilers_used("from numba import jit") == ["jit"]
