"""What was made fast gives what the plain way gives: tables of pairs, separable windows, sums in narrow registers."""

from __future__ import annotations

import numpy as np
import pytest

from simulator.execution import elementwise
from simulator.execution.context import ExecutionContext
from simulator.execution.quantize import dequantize_integer, quantize_real
from simulator.execution.reduction import EXECUTORS as REDUCTIONS
from simulator.execution.resize import _sum_type
from simulator.execution.vector import EXECUTORS
from simulator.graph import ops
from simulator.kernels.pooling import average_pool
from simulator.kernels.reduction import ROWS, partial_sums
from simulator.numerics.formats import INT8
from simulator.numerics.quant import QuantParams
from support.litert_ops import Spec, lower_one


def run(op, inputs, out, arrays):
    (result,) = EXECUTORS[type(op)](lower_one(op, inputs, [out]), arrays, ExecutionContext()).outputs
    return result


OPERATORS = [ops.Add(), ops.Sub(), ops.Mul(), ops.Maximum(), ops.Minimum(), ops.PRelu()]
SHAPES = [((5, 6, 7), (5, 6, 7)), ((5, 6, 7), (7,)), ((5, 1, 1), (5, 6, 7)), ((5, 6, 7), (1,)), ((5, 6, 1), (1, 6, 7))]


@pytest.mark.parametrize("op", OPERATORS, ids=lambda op: op.kind)
@pytest.mark.parametrize("dtype", ["int8", "uint8"])
def test_a_table_of_pairs_is_the_operator(op, dtype, monkeypatch):
    same = isinstance(op, ops.Maximum | ops.Minimum)
    low = np.iinfo(dtype).min
    for a_shape, b_shape in SHAPES:
        out_shape = np.broadcast_shapes(a_shape, b_shape)
        a, out = Spec(a_shape, dtype, 0.1, low + 100), Spec(out_shape, dtype, 0.1, low + 100)
        b = Spec(b_shape, dtype, 0.1 if same else 0.037, low + (100 if same else 255))
        arrays = [a.random(1), b.random(2)]
        monkeypatch.setattr(elementwise, "TABLE_PAYS", 1 << 40)
        computed = run(op, [a, b], out, arrays)
        monkeypatch.setattr(elementwise, "TABLE_PAYS", 1)
        np.testing.assert_array_equal(run(op, [a, b], out, arrays), computed, strict=True)


def test_large_tensors_take_the_table(monkeypatch):
    spec = Spec((2, 256, 256), scale=0.1)
    arrays = [spec.random(1), spec.random(2)]
    looked_up = run(ops.Add(), [spec, spec], spec, arrays)
    monkeypatch.setattr(elementwise, "look_up_pairs", None)
    with pytest.raises(TypeError):
        run(ops.Add(), [spec, spec], spec, arrays)
    monkeypatch.setattr(elementwise, "TABLE_PAYS", 1 << 40)
    np.testing.assert_array_equal(run(ops.Add(), [spec, spec], spec, arrays), looked_up)


@pytest.mark.parametrize("dtype", ["int8", "uint8", "int16"])
@pytest.mark.parametrize("rows", [1, 3, 4, ROWS - 1, ROWS, ROWS + 1, 2 * ROWS + 6])
def test_partial_sums_of_the_greatest_values_do_not_overflow(dtype, rows):
    info = np.iinfo(dtype)
    for value in (info.min, info.max):
        x = np.full((2, rows, 19), value, dtype)
        partial = np.empty((2, -(-rows // ROWS), 19), np.int32)
        partial_sums(x, partial)
        np.testing.assert_array_equal(partial.sum(axis=1, dtype=np.int64), np.full((2, 19), rows * int(value)))


def test_mean_over_any_axes_is_the_same_sum():
    x = Spec((3, 5, 8, 24), "int8", 0.1, -7)
    array = x.random(0)
    for axes in [(0,), (1,), (3,), (0, 1), (1, 2), (2, 3), (0, 2), (1, 3), (0, 1, 2), (0, 1, 2, 3)]:
        moved = np.moveaxis(array, axes, range(len(axes))).reshape(-1, 24 * 120 // np.prod([x.shape[a] for a in axes]))
        kept = tuple(n for axis, n in enumerate(x.shape) if axis not in axes)
        out = Spec(kept, "int8", 0.05, 11)
        layer = lower_one(ops.Mean(axes), [x], [out])
        whole = lower_one(
            ops.Mean((0,)), [Spec(moved.shape, "int8", 0.1, -7)], [Spec(moved.shape[1:], "int8", 0.05, 11)]
        )
        (actual,) = REDUCTIONS[ops.Mean](layer, [array], ExecutionContext()).outputs
        (expected,) = REDUCTIONS[ops.Mean](whole, [np.ascontiguousarray(moved)], ExecutionContext()).outputs
        np.testing.assert_array_equal(actual.ravel(), expected.ravel())


@pytest.mark.parametrize("dtype", ["int8", "uint8", "int16", "uint16"])
@pytest.mark.parametrize("shape", [(50, 21), (50, 1), (7, 300, 3)])
def test_argmax_takes_the_first_of_equals_up_to_the_ends(dtype, shape):
    info = np.iinfo(dtype)
    rng = np.random.default_rng(3)
    for values in ([info.min, info.max], [info.min, info.min], [info.max - 1, info.max, 0]):
        x = rng.choice(np.array(values, dtype), shape)
        out = Spec((*shape[:1], *shape[2:]), "int64", None)
        np.testing.assert_array_equal(run(ops.ArgMax(1), [Spec(shape, dtype)], out, [x]), x.argmax(axis=1))


def test_average_of_every_sum_rounds_as_integers_do():
    """One window of two rows: the first holds the sum's multiple of 255, the second the rest."""
    for count in (1, 2, 3, 6, 7, 49, 255, 256, 4225):
        sums = np.unique(
            np.concatenate([np.arange(-300, 300), np.random.default_rng(0).integers(-127, 128, 500) * count])
        )
        sums = sums[abs(sums) <= 127 * count]
        x = np.zeros((1, count, len(sums)), np.int8)
        whole, rest = np.divmod(abs(sums), count)
        x[0] = np.sign(sums) * (whole + (np.arange(count)[:, None] < rest))
        for kind in (np.int32, np.int64):
            out = np.empty((1, 1, 1, len(sums)), np.int8)
            geometry = np.array([count, 1, 1, 1, 0, 0])
            average_pool(x, geometry, np.array([-128, 127], np.int8), np.empty(0, kind), out)
            expected = np.sign(sums) * ((abs(sums) + count // 2) // count)
            np.testing.assert_array_equal(out.ravel(), expected)


def test_bilinear_sums_are_proved_to_fit_the_register_they_take():
    for dtype, expected in (("int8", np.int32), ("int16", np.int64)):
        for size, out in [((65, 65), (513, 513)), ((1, 1), (33, 33)), ((600, 3), (4, 700))]:
            for mode in [(False, False), (True, False), (False, True)]:
                x, y = Spec((1, *size, 2), dtype, 0.1), Spec((1, *out, 2), dtype, 0.1)
                layer = lower_one(ops.ResizeBilinear(out, *mode), [x], [y])
                assert _sum_type(layer.constants, np.dtype(dtype).itemsize) is expected
                info = np.iinfo(dtype)
                for value in (info.min, info.max):
                    filled = np.full(x.shape, value, dtype)
                    assert (run(ops.ResizeBilinear(out, *mode), [x], y, [filled]) == value).all()


def test_what_is_not_a_number_is_quantized_as_the_least_integer():
    x = np.array([np.nan, np.inf, -np.inf, 2.0**31, -(2.0**31), 2.0**31 - 128, 0.0, -0.0], np.float32)
    per_tensor = quantize_real(x, QuantParams.per_tensor(1.0, -1), INT8)
    by_channel = quantize_real(x[None], QuantParams((1.0,), (-1,), axis=0), INT8)
    np.testing.assert_array_equal(per_tensor, by_channel[0])
    # The first five become -2^31, and one less wraps to 2^31 - 1.
    np.testing.assert_array_equal(per_tensor, [127, 127, 127, 127, 127, 127, -1, -1])


@pytest.mark.parametrize("dtype", ["int8", "uint8"])
def test_dequantized_by_table_as_computed(dtype):
    values = np.arange(512).astype(dtype).reshape(2, 256)
    by_table = dequantize_integer(values, QuantParams.per_tensor(0.3, 5))
    computed = dequantize_integer(values, QuantParams((0.3, 0.3), (5, 5), axis=0))
    np.testing.assert_array_equal(by_table, computed, strict=True)
