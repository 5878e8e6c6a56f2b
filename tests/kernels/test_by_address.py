"""Kernels called by their address."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from simulator.kernels._jit import kernel
from simulator.kernels.by_address import address_of, call_at

ROOT = Path(__file__).parents[2]


def digits(a: Any, b: Any, c: Any) -> Any:
    return 100 * a + 10 * b + c


def difference(a: Any, b: Any, c: Any) -> Any:
    return a - b - c


@kernel()
def call_each(addresses: Any, byte: Any, at: Any, out: Any) -> None:
    for i in range(addresses.shape[0]):
        out[i] = call_at(addresses[i], (byte[0], at, -3))


@pytest.mark.parametrize("dtype", [np.int8, np.uint8, np.int32, np.uint64])
def test_one_caller_serves_all_with_integers_of_any_width_in_order(dtype):
    addresses, out = np.array([address_of(digits), address_of(difference)]), np.empty(2, np.int64)
    call_each(addresses, np.array([7], dtype), 5, out)
    assert out.tolist() == [digits(7, 5, -3), difference(7, 5, -3)]


def test_signs_and_all_64_bits_arrive():
    out = np.empty(1, np.int64)
    call_each(np.array([address_of(difference)]), np.array([-128], np.int8), 2**62, out)
    assert out[0] == -128 - 2**62 + 3


RUN = """
import bittrue, numpy as np
from numba.core.ccallback import CFunc
compiled = []
compile = CFunc._compile_uncached
CFunc._compile_uncached = lambda self: (compiled.append(self), compile(self))[1]
network = bittrue.networks.gemm(3, 8, 2).with_weights(np.ones((8, 2), np.int8))
run = bittrue.simulate(network, bittrue.load_accelerator("edge_32x32"), [np.ones((3, 8), np.int8)])
print(len(compiled), [array.tolist() for array in run.outputs.values()])
"""


@pytest.mark.slow
def test_they_are_kept_as_other_kernels_are(tmp_path):
    environment = {**os.environ, "NUMBA_CACHE_DIR": str(tmp_path), "PYTHONPATH": str(ROOT)}

    def run():
        done = subprocess.run([sys.executable, "-c", RUN], env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        compiled, values = done.stdout.split(" ", 1)
        return int(compiled), values

    compiled, values = run()
    assert compiled > 0
    assert run() == (0, values)
