"""Raw sums of transposed convolutions on tiles, all phases at once, against products added where they belong."""

from __future__ import annotations

import numpy as np
import pytest

from simulator.execution import array_wide
from simulator.graph.ops import Padding, TransposeConv2D
from simulator.kernels import isa
from simulator.kernels.threads import thread_count
from simulator.numerics.formats import INT8, INT16, UINT8, IntFormat
from support.array_layers import Quant, machine, run_layer

FILTERS = 70
SHAPES = {  # input size, channels, kernel, stride, dilation, (top, left), output size
    "3x3": ((5, 7), 12, (3, 3), (2, 2), (1, 1), (1, 1), (10, 13)),
    "phases without taps": ((4, 5), 9, (2, 2), (3, 4), (1, 1), (0, 0), (14, 20)),
    "stride and dilation share a factor": ((5, 6), 8, (3, 3), (2, 2), (2, 4), (2, 1), (13, 19)),
    "coprime": ((5, 6), 8, (3, 2), (2, 3), (3, 2), (1, 0), (15, 21)),
    "uneven": ((6, 5), 3, (4, 5), (2, 3), (1, 1), (2, 1), (13, 16)),
    "cut off": ((5, 5), 16, (3, 3), (2, 2), (1, 1), (4, 5), (4, 3)),
    "fewer outputs than phases": ((2, 2), 20, (3, 3), (3, 3), (1, 1), (1, 0), (1, 2)),
    "filters of several chunks": ((2, 3), 3100, (2, 1), (2, 2), (1, 1), (0, 0), (4, 6)),
    "many pixels": ((23, 30), 8, (3, 3), (2, 2), (1, 1), (1, 1), (45, 60)),
}


def added(x, w, op: TransposeConv2D):
    """y[i * stride - padding + k * dilation] += x[i] w[k], one tap after another; int64."""
    (sy, sx), (dy, dx), (height, width) = op.stride, op.dilation, op.output_size
    top, left = op.padding.top, op.padding.left
    rows = (x.shape[1] - 1) * sy + (w.shape[1] - 1) * dy + 1
    columns = (x.shape[2] - 1) * sx + (w.shape[2] - 1) * dx + 1
    full = np.zeros((len(x), max(rows, top + height), max(columns, left + width), len(w)), np.int64)
    for i in range(w.shape[1]):
        for j in range(w.shape[2]):
            full[:, i * dy :: sy, j * dx :: sx][:, : x.shape[1], : x.shape[2]] += x @ w[:, i, j].T
    return full[:, top : top + height, left : left + width]


def check(shape: str, quant: Quant, limit: int, monkeypatch) -> int:
    """Compare a layer with the definition; return how often the kernel of all phases ran."""
    size, channels, kernel, stride, dilation, (top, left), output = SHAPES[shape]
    op = TransposeConv2D(stride, output, Padding(top, 0, left, 0), dilation=dilation, raw_accumulator=True)
    rng = np.random.default_rng(channels)
    low, high = max(quant.x_format.min, -limit), min(quant.x_format.max, limit) + 1
    x = rng.integers(low, high, (2, *size, channels)).astype(quant.x_format.dtype)
    w = rng.integers(-127, 128, (FILTERS, *kernel, channels)).astype(np.int8)
    bias = rng.integers(-9000, 9000, FILTERS).astype(np.int32)
    runs = []
    run = array_wide.run_phase_tiles
    monkeypatch.setattr(array_wide, "run_phase_tiles", lambda *given: runs.append(1) or run(*given))
    result = run_layer(op, x, w, bias, quant, machine(1, None, (32, "wrap")))
    expected = added(x.astype(np.int64) - quant.x_zero, w.astype(np.int64) - quant.w_zero, op) + bias
    assert np.abs(expected).max() < 1 << 31
    np.testing.assert_array_equal(result.outputs[0], expected)
    return len(runs)


SETS = [name for name in (*isa.available(), "emulated-avx512vnni", "emulated-avx2") if name != isa.PLAIN]
QUANTS = {
    "symmetric": (Quant(INT8, INT8, IntFormat(32)), 127),
    "least numbers": (Quant(INT8, INT8, IntFormat(32), x_zero=-128), 128),
    "asymmetric": (Quant(UINT8, INT8, IntFormat(32), x_zero=131), 255),
    "wide weights": (Quant(INT8, INT8, IntFormat(32), x_zero=5, w_zero=-7), 127),
    "wide activations": (Quant(INT16, INT8, IntFormat(32)), 900),
}


@pytest.mark.parametrize("quant", QUANTS)
@pytest.mark.parametrize("name", SETS)
def test_numbers_of_every_kind(name, quant, monkeypatch):
    monkeypatch.setenv(isa.VARIABLE, name)
    runs = check("3x3", *QUANTS[quant], monkeypatch)
    # Sets without a dot product of bytes may take these in two parts, and then run phases one by one.
    assert runs == 1 or not isa.INSTRUCTION_SETS[name].has_byte_dot


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("name", SETS)
def test_shapes(name, shape, monkeypatch):
    monkeypatch.setenv(isa.VARIABLE, name)
    for quant in ("symmetric", "asymmetric"):
        check(shape, *QUANTS[quant], monkeypatch)


def test_threads_change_nothing(monkeypatch):
    for threads in (1, 2):
        with thread_count(threads):
            assert check("many pixels", *QUANTS["symmetric"], monkeypatch) == (SETS != [])
