"""Execute two-operand arithmetic on quantized tensors."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from simulator.execution.broadcast import broadcast_rows, flat
from simulator.execution.context import ExecutionContext, ExecutorTable, LayerResult
from simulator.execution.lookup import unsigned
from simulator.execution.shifts import shifted_product, shifted_sum
from simulator.graph.ops import Add, Maximum, Minimum, Mul, PRelu, Sub
from simulator.kernels import elementwise as kernels
from simulator.kernels import float_rescale
from simulator.kernels.pairs import look_up_pairs
from simulator.lowering.elementwise import AddConstants, ExtremumConstants, MulConstants, PReluConstants
from simulator.lowering.float_rescale import FloatAddConstants, FloatMulConstants
from simulator.lowering.layer import Layer
from simulator.lowering.shifts import ShiftAddConstants, ShiftMulConstants

Arrays = Sequence[NDArray[Any] | None]
Kernel = Callable[[NDArray[Any], NDArray[Any], NDArray[np.int64], NDArray[np.int64], NDArray[Any], NDArray[Any]], None]
"""(flat a, flat b, rows, steps, constants, out), as in `simulator.kernels.elementwise`."""

TABLE_PAYS = 1 << 15
"""Outputs from which a table of 65536 pairs, which is kept, costs less than computing each in a few runs."""


def _binary(
    layer: Layer, arrays: Arrays, kernel: Kernel, constants: tuple[int, ...] | tuple[float, ...]
) -> LayerResult:
    a, b = arrays
    assert a is not None
    assert b is not None
    out = layer.outputs[0]
    rows, steps, shape = broadcast_rows(a.shape, b.shape, out.shape)
    result = np.empty(shape, out.format.dtype)
    if result.size >= TABLE_PAYS and a.itemsize == b.itemsize == result.itemsize == 1:
        table = pair_table(kernel, constants, a.dtype, b.dtype, result.dtype)
        look_up_pairs(unsigned(flat(a)), unsigned(flat(b)), rows, steps, table, unsigned(result))
    else:
        kernel(flat(a), flat(b), rows, steps, np.array(constants), result)
    return LayerResult((result.reshape(out.shape),))


@lru_cache(maxsize=64)
def pair_table(
    kernel: Kernel,
    constants: tuple[int, ...] | tuple[float, ...],
    a: np.dtype[Any],
    b: np.dtype[Any],
    out: np.dtype[Any],
) -> NDArray[np.uint8]:
    """Results of an operator on every pair of 8-bit operands, [256, 256] by their bit patterns, by its own kernel."""
    patterns = np.arange(256, dtype=np.uint8)
    rows, steps, shape = broadcast_rows((256, 1), (256,), (256, 256))
    table = np.empty(shape, out)
    kernel(patterns.view(a), patterns.view(b), rows, steps, np.array(constants), table)
    return unsigned(table)


def _add(layer: Layer, arrays: Arrays, context: ExecutionContext) -> LayerResult:
    c = layer.constants
    if isinstance(c, ShiftAddConstants):
        a, b = arrays
        assert a is not None
        assert b is not None
        return LayerResult((shifted_sum(c, a, b, layer.outputs[0], context),))
    if isinstance(c, FloatAddConstants):
        floats = (c.ratio_a, c.ratio_b, c.fixed, float(c.minimum), float(c.maximum), float(c.a_first))
        return _binary(layer, arrays, float_rescale.add, floats)
    assert isinstance(c, AddConstants)
    values = (c.sign, c.left_shift, *c.zero_points, *c.multipliers, *c.exponents, c.minimum, c.maximum)
    return _binary(layer, arrays, kernels.add, values)


def _mul(layer: Layer, arrays: Arrays, context: ExecutionContext) -> LayerResult:
    c = layer.constants
    if isinstance(c, ShiftMulConstants):
        a, b = arrays
        assert a is not None
        assert b is not None
        return LayerResult((shifted_product(c, a, b, layer.outputs[0], context),))
    if isinstance(c, FloatMulConstants):
        zero_a, zero_b, zero_out = map(float, c.zero_points)
        floats = (zero_a, zero_b, c.ratio, zero_out, float(c.minimum), float(c.maximum))
        return _binary(layer, arrays, float_rescale.multiply, floats)
    assert isinstance(c, MulConstants)
    values = (*c.zero_points, c.multiplier, c.exponent, c.minimum, c.maximum)
    return _binary(layer, arrays, kernels.multiply, values)


def _extremum(layer: Layer, arrays: Arrays, context: ExecutionContext) -> LayerResult:
    c = layer.constants
    assert isinstance(c, ExtremumConstants)
    return _binary(layer, arrays, kernels.extremum, (int(c.greatest),))


def _prelu(layer: Layer, arrays: Arrays, context: ExecutionContext) -> LayerResult:
    c = layer.constants
    assert isinstance(c, PReluConstants)
    factors = (c.multipliers[0], c.exponents[0], c.multipliers[1], c.exponents[1])
    values = (*c.zero_points, *factors, c.minimum, c.maximum)
    return _binary(layer, arrays, kernels.prelu, values)


EXECUTORS: ExecutorTable = {
    Add: _add,
    Sub: _add,
    Mul: _mul,
    Maximum: _extremum,
    Minimum: _extremum,
    PRelu: _prelu,
}
