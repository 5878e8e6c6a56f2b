"""Execute two-operand arithmetic on quantized tensors."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from simulator.execution.broadcast import broadcast_rows, flat
from simulator.execution.context import ExecutionContext, ExecutorTable, LayerResult
from simulator.graph.ops import Add, Maximum, Minimum, Mul, PRelu, Sub
from simulator.kernels import elementwise as kernels
from simulator.lowering.elementwise import AddConstants, ExtremumConstants, MulConstants, PReluConstants
from simulator.lowering.layer import Layer

Arrays = Sequence[NDArray[Any] | None]


def _binary(layer: Layer, arrays: Arrays, kernel: Callable[..., None], constants: object) -> LayerResult:
    a, b = arrays
    assert a is not None
    assert b is not None
    out = layer.outputs[0]
    rows, steps, shape = broadcast_rows(a.shape, b.shape, out.shape)
    result = np.empty(shape, out.format.dtype)
    kernel(flat(a), flat(b), rows, steps, constants, result)
    return LayerResult((result.reshape(out.shape),))


def _add(layer: Layer, arrays: Arrays, context: ExecutionContext) -> LayerResult:
    c = layer.constants
    assert isinstance(c, AddConstants)
    values = [c.sign, c.left_shift, *c.zero_points, *c.multipliers, *c.exponents, c.minimum, c.maximum]
    return _binary(layer, arrays, kernels.add, np.array(values, np.int64))


def _mul(layer: Layer, arrays: Arrays, context: ExecutionContext) -> LayerResult:
    c = layer.constants
    assert isinstance(c, MulConstants)
    values = [*c.zero_points, c.multiplier, c.exponent, c.minimum, c.maximum]
    return _binary(layer, arrays, kernels.multiply, np.array(values, np.int64))


def _extremum(layer: Layer, arrays: Arrays, context: ExecutionContext) -> LayerResult:
    c = layer.constants
    assert isinstance(c, ExtremumConstants)
    return _binary(layer, arrays, kernels.extremum, c.greatest)


def _prelu(layer: Layer, arrays: Arrays, context: ExecutionContext) -> LayerResult:
    c = layer.constants
    assert isinstance(c, PReluConstants)
    factors = [c.multipliers[0], c.exponents[0], c.multipliers[1], c.exponents[1]]
    values = [*c.zero_points, *factors, c.minimum, c.maximum]
    return _binary(layer, arrays, kernels.prelu, np.array(values, np.int64))


EXECUTORS: ExecutorTable = {
    Add: _add,
    Sub: _add,
    Mul: _mul,
    Maximum: _extremum,
    Minimum: _extremum,
    PRelu: _prelu,
}
