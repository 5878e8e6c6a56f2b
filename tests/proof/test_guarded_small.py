"""Kernels touch no memory beside their arrays; and where one does, that is found."""

from __future__ import annotations

import ctypes
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from proof import gradients, vector_ops
from proof.guarded import judge_cases
from support.guarded_memory import END, FRONT, guarded_arrays, handler_name

LINUX = pytest.mark.skipif(sys.platform != "linux", reason="pages without access are asked of Linux")
TESTS = Path(__file__).parents[1]


@LINUX
@pytest.mark.slow
def test_nothing_beside_the_arrays_is_touched(monkeypatch):
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(TESTS.parent), str(TESTS)]))
    assert judge_cases(seed=70_000, cases=40, macs=100_000) == []


@LINUX
@pytest.mark.parametrize("side", [END, FRONT])
def test_what_is_written_on_the_other_side_is_found(side):
    with guarded_arrays(side) as memory:
        array = np.arange(100, dtype=np.int8)
        assert handler_name(array) == "guarded"
        ctypes.memset(array.ctypes.data + (-1 if side == END else array.size), 0, 1)
        del array
    assert memory.overwritten == [f"memory {'before' if side == END else 'behind'} a block of 100 bytes"]
    assert handler_name(np.empty(3)) == "default_allocator"


@LINUX
@pytest.mark.parametrize(("side", "offset"), [(END, 7), (FRONT, -1)])
def test_a_read_past_the_end_is_a_crash(side, offset):
    code = (
        "import ctypes, numpy as np; from support.guarded_memory import guarded_arrays\n"
        f"with guarded_arrays({side!r}):\n"
        "    array = np.ones(7, np.int8); ctypes.string_at(array.ctypes.data, 7); print('inside', flush=True)\n"
        f"    ctypes.string_at(array.ctypes.data + {offset}, 1)\n"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(TESTS.parent), str(TESTS)])}
    run = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False)
    assert run.stdout == "inside\n"
    assert run.returncode < 0


@LINUX
@pytest.mark.oracle
def test_operators_of_the_vector_unit():
    tally: Counter[str] = Counter()
    assert [text for text in (vector_ops.judge(seed, tally) for seed in range(50_000, 50_250)) if text] == []
    assert {family.__name__ for family in vector_ops.FAMILIES} <= set(tally)
    assert tally["refused"] < 25


@LINUX
def test_gradients():
    tally: Counter[str] = Counter()
    assert [text for text in (gradients.judge(seed, tally) for seed in range(60)) if text] == []
    assert min(tally["convolution"], tally["transposed"]) > 5
