"""Vector-unit kernels give the same bits compiled, as plain Python, with bounds checks, on any number of threads."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from simulator.execution.context import ExecutionContext
from simulator.execution.vector import EXECUTORS
from simulator.graph import ops
from simulator.kernels.pairs import look_up_pairs
from simulator.kernels.threads import thread_count
from support.accelerators import device
from support.litert_ops import Spec, lower_one

FLOAT32 = ops.Arithmetic.FLOAT32
IMAGE = Spec((2, 7, 6, 5), scale=0.1, zero_point=-5)
BYTES = Spec((2, 7, 6, 5), "uint8", 0.1, 200)
WIDE = Spec((2, 7, 6, 5), "int16", 0.01)
PROBABILITY = Spec((2, 7, 6, 5), scale=1 / 256, zero_point=-128)
CASES: list[tuple[ops.Op, list[Spec], Spec]] = [
    (ops.Add(), [IMAGE, Spec((5,), scale=0.03)], Spec((2, 7, 6, 5), scale=0.2)),
    (ops.Sub(), [IMAGE, IMAGE], IMAGE),
    (ops.Mul(), [IMAGE, IMAGE], IMAGE),
    (ops.Maximum(), [IMAGE, IMAGE], IMAGE),
    (ops.PRelu(), [IMAGE, Spec((1, 1, 5), scale=0.1)], IMAGE),
    (ops.MaxPool2D((3, 2), (2, 1), ops.Padding(top=1, left=1)), [IMAGE], Spec((2, 3, 6, 5), scale=0.1, zero_point=-5)),
    (ops.AveragePool2D((3, 2), (2, 1), ops.Padding(bottom=1)), [IMAGE], Spec((2, 3, 5, 5), scale=0.1, zero_point=-5)),
    (ops.Mean((1, 2)), [IMAGE], Spec((2, 5), scale=0.07)),
    (ops.Mean((1, 2)), [Spec((1, 40, 15, 17), "uint8", 0.1, 3)], Spec((1, 17), "uint8", 0.1, 5)),
    (ops.ArgMax(3), [IMAGE], Spec((2, 7, 6), "int32", None)),
    (ops.ArgMax(1), [WIDE], Spec((2, 6, 5), "int64", None)),
    (ops.LeakyRelu(0.3), [IMAGE], IMAGE),
    (ops.ResizeBilinear((9, 13)), [IMAGE], Spec((2, 9, 13, 5), scale=0.1, zero_point=-5)),
    (ops.ResizeBilinear((9, 13)), [BYTES], Spec((2, 9, 13, 5), "uint8", 0.1, 200)),
    (ops.ResizeNearest((3, 11)), [IMAGE], Spec((2, 3, 11, 5), scale=0.1, zero_point=-5)),
    (ops.Softmax(), [IMAGE], PROBABILITY),
    (ops.Softmax(), [WIDE], Spec((2, 7, 6, 5), "int16", 1 / 32768)),
    (ops.Quantize(), [Spec((40,), "int32", 0.001)], Spec((40,), scale=90.0)),
    (ops.Quantize(), [Spec((40,), "float32", None)], Spec((40,), scale=0.3, zero_point=7)),
    (ops.Dequantize(), [Spec((300,), scale=0.3, zero_point=7)], Spec((300,), "float32", None)),
    (ops.AveragePool2D((6, 5), (2, 1)), [WIDE], Spec((2, 1, 2, 5), "int16", 0.01)),
    (ops.ResizeBilinear((9, 13), half_pixel_centers=True), [WIDE], Spec((2, 9, 13, 5), "int16", 0.01)),
    (ops.Concat(3), [BYTES, Spec((2, 7, 6, 3), "uint8", 0.3)], Spec((2, 7, 6, 8), "uint8", 0.1, 200)),
    (ops.Add(arithmetic=FLOAT32), [IMAGE, Spec((5,), scale=0.03)], Spec((2, 7, 6, 5), scale=0.2)),
    (ops.Mul(arithmetic=FLOAT32), [IMAGE, IMAGE], IMAGE),
    (ops.ResizeBilinear((9, 13), arithmetic=FLOAT32), [IMAGE], Spec((2, 9, 13, 5), scale=0.1, zero_point=-5)),
]

HALF = Spec((2, 7, 6, 5), scale=0.5, zero_point=-5)
FINE = Spec((2, 7, 6, 5), "int16", 2**-8)
SHIFT_CASES: list[tuple[ops.Op, list[Spec], Spec]] = [
    (ops.Sub(), [HALF, Spec((5,), "int16", 0.0625)], Spec((2, 7, 6, 5), scale=2.0, zero_point=3)),
    (ops.Mul(), [HALF, FINE], Spec((2, 7, 6, 5), "int16", 0.25)),
    (ops.Quantize(), [FINE], HALF),
    (ops.Concat(3), [HALF, FINE], Spec((2, 7, 6, 10), scale=1.0, zero_point=9)),
]
"""On a device that rescales by shifts, with random rounding."""


def pairs() -> np.ndarray:
    """Look pairs up: both operands along the row, either, neither."""
    table = np.random.default_rng(2).integers(0, 256, (256, 256), np.uint8)
    values = np.random.default_rng(3).integers(0, 256, 40, np.uint8)
    rows = np.array([[0, 7], [9, 0], [30, 30]])
    out = np.empty((4, 3, 10), np.uint8)
    for index, steps in enumerate([(1, 1), (1, 0), (0, 1), (0, 0)]):
        look_up_pairs(values, values[::-1].copy(), rows, np.array(steps), table, out[index])
    return out


def digest() -> str:
    """SHA-256 of the outputs of all cases."""
    total = hashlib.sha256()
    shifting = device(arithmetic__requantizer={"kind": "power_of_two", "rounding": "stochastic"})
    cases = [(*case, None) for case in CASES] + [(*case, shifting) for case in SHIFT_CASES]
    for op, inputs, out, accelerator in cases:
        layer = lower_one(op, inputs, [out], accelerator)
        arrays = [spec.random(seed) for seed, spec in enumerate(inputs)]
        (result,) = EXECUTORS[type(op)](layer, arrays, ExecutionContext()).outputs
        total.update(np.ascontiguousarray(result).tobytes())
    total.update(pairs().tobytes())
    return total.hexdigest()


def test_one_thread_gives_the_bits_of_all():
    with thread_count(1):
        alone = digest()
    assert digest() == alone


@pytest.mark.parametrize("mode", ["NUMBA_DISABLE_JIT", pytest.param("NUMBA_BOUNDSCHECK", marks=pytest.mark.slow)])
def test_mode_gives_the_compiled_bits(mode, tmp_path):
    root = Path(__file__).parents[2]
    environment = {
        **os.environ,
        mode: "1",
        "NUMBA_CACHE_DIR": str(tmp_path),
        "PYTHONPATH": os.pathsep.join([str(root), str(root / "tests"), str(root / "tests" / "execution")]),
    }
    code = "import test_vector_kernel_modes as m; print(m.digest())"
    arguments = [sys.executable, "-W", "error", "-W", "ignore:::numba", "-c", code]
    done = subprocess.run(arguments, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == digest()
