"""One-operand functions in float32, as ONNX Runtime evaluates them on the dequantized values."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from simulator.errors import NetworkError
from simulator.graph import ops
from simulator.graph.ops import Op

Floats = NDArray[np.float32]
F = np.float32

# Rational approximation of the logistic function that Eigen and MLAS share (mlas/lib/logistic.cpp).
_NUMERATOR = (
    4.37031012579801e-11,
    1.15627324459942e-07,
    6.08574864600143e-05,
    8.51377133304701e-03,
    2.48287947061529e-01,
)
_DENOMINATOR = (
    *(6.10247389755681e-13, 5.76102136993427e-09, 6.29106785017040e-06),
    *(1.70198817374094e-03, 1.16817656904453e-01, 9.93151921023180e-01),
)
_RANGE = F(18)


def fused_multiply_add(a: Floats, b: Floats, c: Floats | np.float32) -> Floats:
    """Round a * b + c once to float32; a and b float32, whose product float64 holds exactly."""
    product = a.astype(np.float64) * b
    addend = np.asarray(c, np.float64)
    total = product + addend
    part = total - product
    lost = (product - (total - part)) + (addend - part)
    nearest = total.astype(np.float32)
    above = total - nearest
    other = np.nextafter(nearest, np.where(above > 0, F(np.inf), F(-np.inf)))
    halfway = (above != 0) & (lost != 0) & ((lost > 0) == (above > 0)) & (other - total == above)
    return np.where(halfway, other, nearest)


def _polynomial(x: Floats, coefficients: tuple[float, ...]) -> Floats:
    value = np.full_like(x, F(coefficients[0]))
    for coefficient in coefficients[1:]:
        value = fused_multiply_add(value, x, F(coefficient))
    return value


def logistic(x: Floats) -> Floats:
    """1 / (1 + exp(-x)), with the multiply-adds of MLAS's FMA3 kernel."""
    x = np.clip(x, -_RANGE, _RANGE)
    square = x * x
    value: Floats = (_polynomial(square, _NUMERATOR) * x) / _polynomial(square, _DENOMINATOR) + F(0.5)
    return np.clip(value, F(0), F(1))


def _hard_swish(x: Floats) -> Floats:
    gate: Floats = np.clip(x * F(1 / 6) + F(0.5), F(0), F(1))
    return x * gate


_FUNCTIONS: dict[type[Op], Callable[[Floats], Floats]] = {
    ops.Relu: lambda x: np.maximum(x, F(0)),
    ops.Relu6: lambda x: np.clip(x, F(0), F(6)),
    ops.ReluN1To1: lambda x: np.clip(x, F(-1), F(1)),
    ops.Logistic: logistic,
    ops.Tanh: lambda x: np.tanh(x.astype(np.float64)).astype(np.float32),
    ops.HardSwish: _hard_swish,
}


def evaluate(op: Op, x: Floats) -> Floats:
    """Apply a one-operand operator; NetworkError on one that is not known here."""
    if isinstance(op, ops.LeakyRelu):
        return np.where(x >= 0, x, F(op.alpha) * x)
    function = _FUNCTIONS.get(type(op))
    if function is None:
        raise NetworkError(f"{op.kind}: no float32 function of this name")
    return function(x)
