"""What the executors of integer training share: scales, constants of a step, keys of draws, rows."""

from __future__ import annotations

from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from simulator.errors import InputError
from simulator.execution.broadcast import flat
from simulator.execution.context import ExecutionContext
from simulator.execution.requantize import random_key
from simulator.kernels.training_arith import CHUNK, QUOTIENT_BITS
from simulator.kernels.training_quant import greatest
from simulator.lowering.layer import Layer
from simulator.numerics.training_scale import MANTISSA_BITS, Scale, symmetric_limit

Longs = NDArray[np.int64]

WIDEST_BITS = 62
"""Most bits of a magnitude that the kernels take."""
_NO_FLOOR = -(1 << 62)


def read_scale(layer: Layer, array: NDArray[Any] | None) -> Scale:
    """Return a scale input as a pair; InputError where it is none."""
    assert array is not None
    mantissa, exponent = (int(part) for part in array)
    if not 1 <= mantissa < 1 << MANTISSA_BITS or abs(exponent) > 1 << 20:
        raise InputError(
            f"layer {layer.name}: scale ({mantissa}, {exponent}); the mantissa is 1 to {(1 << MANTISSA_BITS) - 1}"
        )
    return mantissa, exponent


def scale_array(scale: Scale) -> Longs:
    """Return a scale as a tensor."""
    return np.array(scale, np.int64)


def step_plan(step: Scale, bits: int, *, relu: bool = False) -> Longs:
    """Constants with which kernels divide by a step, a tie up (`kernels.training_arith.to_step`).

    floor(x / (m * 2^e) + 1/2) is floor((x + m * 2^(e - 1)) / 2^e) divided by m and floored, since nested floors of
    divisions by whole numbers are one floor; for e <= 0, floor((x * 2^-e + floor(m / 2)) / m).
    """
    mantissa, exponent = step
    addend = mantissa << (exponent - 1) if exponent > 0 else mantissa >> 1
    reciprocal = 0 if mantissa == 1 else -(-(1 << QUOTIENT_BITS) // mantissa)
    floor = 0 if relu else _NO_FLOOR
    values = [max(-exponent, 0), addend, max(exponent, 0), reciprocal, symmetric_limit(bits), floor]
    return np.array(values, np.int64)


def greatest_magnitude(layer: Layer, x: NDArray[Any], *, relu: bool = False) -> int:
    """Greatest magnitude of a tensor (of max(x, 0) where `relu`); InputError where it exceeds what kernels take."""
    tasks = np.empty(-(-x.size // CHUNK), np.int64)
    greatest(flat(x), 0 if relu else _NO_FLOOR, tasks)
    most = int(tasks.max())
    if not 0 <= most < 1 << WIDEST_BITS:
        raise InputError(
            f"layer {layer.name}: a magnitude of {abs(most)}; the vector unit takes {WIDEST_BITS} bits: "
            f"use narrower operands or a narrower accumulator"
        )
    return most


def draw_key(layer: Layer, key: NDArray[Any] | None, context: ExecutionContext) -> NDArray[np.uint64]:
    """Key of a layer's draws: (seed, step) of its key input, or else of the run; the tensor is its first output."""
    name = layer.outputs[0].name
    if key is None:
        return random_key(context, name)
    seed, step = (int(part) for part in key)
    return random_key(ExecutionContext(seed=seed, step=step), name)


def as_rows(x: NDArray[Any] | None) -> NDArray[Any]:
    """Return a tensor as contiguous [rows, channels]."""
    assert x is not None
    return cast(NDArray[Any], np.ascontiguousarray(x).reshape(-1, x.shape[-1]))


def longs(x: NDArray[Any] | None) -> Longs:
    """Return a tensor as int64."""
    assert x is not None
    return np.ascontiguousarray(x, np.int64)
