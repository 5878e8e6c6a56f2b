"""Run a depthwise layer without events, every output as one exact sum."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from simulator.execution.array_operands import Operands, geometry_vector
from simulator.execution.fused import Fused
from simulator.execution.layer_constants import Arrays, layer_constants, low_words
from simulator.kernels import isa as instruction_sets
from simulator.kernels import wide
from simulator.kernels.depthwise import make_depthwise
from simulator.kernels.isa import INSTRUCTION_SETS, InstructionSet
from simulator.kernels.requantize_panels import raw_plan
from simulator.kernels.workers import run_on_threads
from simulator.numerics.formats import IntFormat

_INT16 = IntFormat(16)


def run_depthwise(operands: Operands, fused: Fused | None, *, narrow: bool) -> tuple[NDArray[Any], int | None]:
    """Convolve.

    Parameters
    ----------
    operands
        The layer's.
    fused
        Its requantizer; used on the way where a kernel does so.
    narrow
        Whether every sum fits int32.

    Returns
    -------
    values : ndarray
        [pixels, filters]: int32 or int64 accumulators, or what became of them.
    saturations : int or None
        Outputs that were clipped; None = `values` are accumulators.

    """
    isa = INSTRUCTION_SETS.get(instruction_sets.chosen())
    if isa is not None and narrow and _takes(isa, operands):
        return _on_vectors(isa, operands, fused)
    geometry, dtype = operands.geometry, np.int32 if narrow else np.int64
    out = np.empty((geometry.m, operands.filters), dtype)
    weights = np.ascontiguousarray(operands.weights.centred.T).astype(dtype)
    vector = geometry_vector(geometry)
    wide.depthwise_wide(_x(operands), operands.x_zero_point, weights, operands.start[0].astype(dtype), vector, out)
    return out, None


def _takes(isa: InstructionSet, operands: Operands) -> bool:
    """Whether an instruction set's kernel takes the operands: a vector of channels, and numbers of 16 bits."""
    least, greatest = operands.weights.range
    weights_fit = least >= _INT16.min and greatest <= _INT16.max
    x_fits = operands.x_format.min >= _INT16.min and operands.x_format.max <= _INT16.max
    return operands.filters >= isa.lanes and weights_fit and x_fits and operands.x.itemsize <= 2


def _x(operands: Operands) -> NDArray[Any]:
    """[batch * height * width, filters]: channel o is what filter o reads."""
    repeats = operands.geometry.filters
    return np.ascontiguousarray(operands.x if repeats == 1 else np.repeat(operands.x, repeats, axis=1))


def _on_vectors(isa: InstructionSet, operands: Operands, fused: Fused | None) -> tuple[NDArray[Any], int | None]:
    key = ("depthwise", isa, operands.geometry, operands.x_zero_point, operands.x.dtype)
    constants = layer_constants(operands, fused, key, lambda: _constants(isa, operands, fused))
    out = np.empty((operands.geometry.m, operands.filters), fused.format.dtype if fused else np.int32)
    run, counter = make_depthwise(isa.name), np.zeros(1, np.int64)
    arguments = (_x(operands), *constants, out.reshape(-1).view(np.uint8), counter)
    clipped = run_on_threads(lambda _: int(run(*arguments)))
    return out, clipped if fused else None


def _constants(isa: InstructionSet, operands: Operands, fused: Fused | None) -> Arrays:
    filters = operands.filters
    zeros = np.full(filters, operands.x_zero_point, operands.x.dtype)
    plan = np.array(fused.plan(isa) if fused else raw_plan(isa), np.int64)
    per_channel = np.zeros((3, -(-filters // isa.channels) * isa.channels), np.int32)
    per_channel[0, :filters] = low_words(operands.start[0] - operands.x_zero_point * operands.weights.sums)
    if fused:
        per_channel[1:, :filters] = fused.first, fused.second
    return zeros, _pairs(operands), geometry_vector(operands.geometry), plan, *per_channel


def _pairs(operands: Operands) -> NDArray[np.int16]:
    """Return the weights as [pairs of taps, filters, 2]."""
    taps = operands.weights.centred.T.astype(np.int16)
    taps = np.concatenate([taps, np.zeros((len(taps) % 2, taps.shape[1]), np.int16)])
    return np.ascontiguousarray(taps.reshape(-1, 2, taps.shape[1]).transpose(0, 2, 1))
