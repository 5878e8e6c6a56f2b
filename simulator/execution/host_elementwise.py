"""Element-wise float32 and plain-integer operators on the host, bit for bit as the TFLite reference kernels."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from simulator.errors import InputError
from simulator.graph import ops
from simulator.graph.ops import Activation, Op
from simulator.kernels.host_math import libm
from simulator.lowering.layer import Layer
from simulator.numerics.formats import IntFormat

Array = NDArray[Any]
Compute = Callable[[Any, list[Array], Layer], Array]
"""(operator, input arrays, layer) -> output array."""

F = np.float32
_FLOAT_LIMITS = np.finfo(np.float32)


def _clamp(x: Array, low: Any, high: Any) -> Array:
    """std::min(std::max(x, low), high) in the dtype of x: keeps NaN and negative zero, which np.clip need not."""
    low, high = x.dtype.type(low), x.dtype.type(high)
    raised = np.where(x < low, low, x)
    return np.where(high < raised, high, raised)


def activate(x: Array, activation: Activation) -> Array:
    """Apply a fused activation. On floats NONE still ends at the largest finite numbers (kernel_util.cc)."""
    if np.issubdtype(x.dtype, np.integer):
        limits = np.iinfo(x.dtype)
        low, high = int(limits.min), int(limits.max)
        if activation is Activation.NONE:
            return x
    else:
        low, high = _FLOAT_LIMITS.min, _FLOAT_LIMITS.max  # type: ignore[assignment]
    low = {Activation.NONE: low, Activation.RELU_N1_TO_1: -1}.get(activation, 0)
    high = {Activation.RELU6: 6, Activation.RELU_N1_TO_1: 1}.get(activation, high)
    return _clamp(x, low, high)


def _add(op: ops.Add, x: list[Array], layer: Layer) -> Array:
    return activate(x[0] + x[1], op.activation)


def _sub(op: ops.Sub, x: list[Array], layer: Layer) -> Array:
    return activate(x[0] - x[1], op.activation)


def _mul(op: ops.Mul, x: list[Array], layer: Layer) -> Array:
    return activate(x[0] * x[1], op.activation)


def _refuse_zero(x: Array, layer: Layer) -> None:
    if (x == 0).any():
        raise InputError(f"layer {layer.name}: {layer.node.op.kind} of {x.dtype} by zero")


def _div(op: ops.Div, x: list[Array], layer: Layer) -> Array:
    if x[0].dtype == np.float32:
        return activate(x[0] / x[1], op.activation)
    _refuse_zero(x[1], layer)
    a, b = x[0].astype(np.int64), x[1].astype(np.int64)
    quotient = np.sign(a) * np.sign(b) * (abs(a) // abs(b))  # C++ division drops the fraction
    return activate(quotient.astype(x[0].dtype), op.activation)


def _floor_div(op: ops.FloorDiv, x: list[Array], layer: Layer) -> Array:
    _refuse_zero(x[1], layer)
    if x[0].dtype == np.float32:
        return np.floor(x[0] / x[1])
    return (x[0].astype(np.int64) // x[1].astype(np.int64)).astype(x[0].dtype)


def _maximum(op: ops.Maximum, x: list[Array], layer: Layer) -> Array:
    return np.where(x[0] > x[1], x[0], x[1])


def _minimum(op: ops.Minimum, x: list[Array], layer: Layer) -> Array:
    return np.where(x[0] < x[1], x[0], x[1])


def _round(x: Array) -> Array:
    """Ties to even, as RoundToNearest of round.h, which never gives a negative zero for a fraction."""
    floor = np.floor(x)
    rest = x - floor
    down = (rest < F(0.5)) | ((rest == F(0.5)) & (np.fmod(floor, F(2)) == 0))
    return np.where(down, floor, floor + F(1))


_FUNCTIONS: dict[str, Callable[[Array], Array]] = {
    "sqrt": np.sqrt,
    "rsqrt": lambda x: F(1) / np.sqrt(x),
    "abs": np.abs,
    "neg": np.negative,
    "floor": np.floor,
    "ceil": np.ceil,
    "round": _round,
    "square": np.square,
}


def _unary(op: ops.Unary, x: list[Array], layer: Layer) -> Array:
    function = _FUNCTIONS.get(op.function)
    return function(x[0]) if function else libm(op.function, x[0])


def _relu(op: ops.Relu, x: list[Array], layer: Layer) -> Array:
    return np.where(x[0] < 0, F(0), x[0])


def _relu6(op: ops.Relu6, x: list[Array], layer: Layer) -> Array:
    return _clamp(x[0], 0, 6)


def _relu_n1_to_1(op: ops.ReluN1To1, x: list[Array], layer: Layer) -> Array:
    return _clamp(x[0], -1, 1)


def _prelu(op: ops.PRelu, x: list[Array], layer: Layer) -> Array:
    return np.where(x[0] >= 0, x[0], x[0] * x[1])


def _leaky_relu(op: ops.LeakyRelu, x: list[Array], layer: Layer) -> Array:
    return np.where(x[0] > 0, x[0], x[0] * F(op.alpha))


def _logistic(op: ops.Logistic, x: list[Array], layer: Layer) -> Array:
    """Exact 1 above, exp(x) below two cut-offs (reference/logistic.h)."""
    middle = F(1) / (F(1) + libm("exp", -x[0]))
    low = np.where(x[0] < F(-9), libm("exp", x[0]), middle)
    return np.where(x[0] > F(16.619047164916992188), F(1), low)


def _tanh(op: ops.Tanh, x: list[Array], layer: Layer) -> Array:
    return libm("tanh", x[0])


def _hard_swish(op: ops.HardSwish, x: list[Array], layer: Layer) -> Array:
    return x[0] * _clamp(x[0] + F(3), 0, 6) / F(6)


def _cast(op: ops.Cast, x: list[Array], layer: Layer) -> Array:
    """Integers keep their low bits; a float drops its fraction, saturates, and NaN gives the greatest integer."""
    target = layer.outputs[0].format
    if x[0].dtype != np.float32 or not isinstance(target, IntFormat):
        return x[0].astype(target.dtype)
    whole = np.trunc(x[0].astype(np.float64))
    inside = (whole >= target.min) & (whole < float(target.max) + 1)
    kept = np.where(inside, whole, 0).astype(target.dtype)
    return np.where(inside, kept, np.where(whole < 0, target.min, target.max)).astype(target.dtype)


COMPUTE: dict[type[Op], Compute] = {
    ops.Add: _add,
    ops.Sub: _sub,
    ops.Mul: _mul,
    ops.Div: _div,
    ops.FloorDiv: _floor_div,
    ops.Maximum: _maximum,
    ops.Minimum: _minimum,
    ops.Unary: _unary,
    ops.Relu: _relu,
    ops.Relu6: _relu6,
    ops.ReluN1To1: _relu_n1_to_1,
    ops.PRelu: _prelu,
    ops.LeakyRelu: _leaky_relu,
    ops.Logistic: _logistic,
    ops.Tanh: _tanh,
    ops.HardSwish: _hard_swish,
    ops.Cast: _cast,
}
