"""Layers of the systolic array on values: one wide sum where that is proved to change nothing, else step by step."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from simulator.execution.array_operands import Operands, array_operands, layer_weights
from simulator.execution.array_proof import Bounds, bound_sums
from simulator.execution.array_steps import run_steps
from simulator.execution.array_tiles import fuse
from simulator.execution.array_wide import run_wide
from simulator.execution.context import ExecutionContext, ExecutorTable, LayerResult
from simulator.execution.requantize import random_key, requantize
from simulator.graph.ops import Conv2D, FullyConnected, TransposeConv2D
from simulator.lowering.array import ArrayConstants
from simulator.lowering.layer import FoldOrder, Layer
from simulator.numerics.formats import IntFormat
from simulator.numerics.scalar import needed_bits
from simulator.records.overflow import OverflowRecord


def run_array(layer: Layer, arrays: Sequence[NDArray[Any] | None], context: ExecutionContext) -> LayerResult:
    """Compute an array layer exactly as the device does.

    Parameters
    ----------
    layer
        What `lower_array` made.
    arrays
        Input, weights and optional bias, as stored.
    context
        exact_ledger and channel_ledger force the step-by-step run; seed and step key stochastic rounding.

    Raises
    ------
    OverflowTrap
        The first event in a register whose mode is TRAP.

    """
    order = layer.fold_order
    assert order is not None
    operands, bounds = prove(layer, arrays, context)
    if context.exact_ledger or context.channel_ledger or not bounds.clears(order):
        return run_stepped(layer, operands, bounds, context)
    return run_eventless(layer, operands, bounds, context)


def prove(layer: Layer, arrays: Sequence[NDArray[Any] | None], context: ExecutionContext) -> tuple[Operands, Bounds]:
    """Bring the arrays of a layer into kernel layout and bound its sums; neither depends on the registers' widths."""
    x, weights, bias = (*arrays, None)[:3]
    assert x is not None
    assert weights is not None
    assert layer.fold_order is not None
    operands = array_operands(layer, x, layer_weights(layer, weights, context.weights), bias)
    return operands, bound_sums(operands, layer.fold_order)


def run_stepped(layer: Layer, operands: Operands, bounds: Bounds, context: ExecutionContext) -> LayerResult:
    """Run a layer addition by addition; its ledger is measured.

    Raises
    ------
    OverflowTrap
        The first event in a register whose mode is TRAP.

    """
    assert layer.fold_order is not None
    stepped = run_steps(layer.name, operands, layer.fold_order, bounds, by_channel=context.channel_ledger)
    return replace(_result(layer, stepped.accumulators, stepped.record, context), channels=stepped.channels)


def run_eventless(layer: Layer, operands: Operands, bounds: Bounds, context: ExecutionContext) -> LayerResult:
    """Run a layer that is known to have no event, as one wide sum; its ledger holds the bounds."""
    assert layer.fold_order is not None
    constants, y = layer.constants, layer.outputs[0]
    assert isinstance(constants, ArrayConstants)
    assert isinstance(y.format, IntFormat)
    record = proved_ledger(layer.fold_order, bounds)
    fused = fuse(constants.requantizer, y.format) if constants.requantizer else None
    sums = run_wide(operands, bounds, fused)
    if sums.saturations is None:
        return _result(layer, sums.values, record, context)
    return LayerResult((sums.values.reshape(y.shape),), replace(record, saturations=sums.saturations))


def _result(layer: Layer, accumulators: NDArray[Any], record: OverflowRecord, context: ExecutionContext) -> LayerResult:
    assert layer.fold_order is not None
    bits = layer.fold_order.accumulator.bits
    if bits <= 32:
        accumulators = accumulators.astype(np.int32, copy=False)
    output, saturations = _output(layer, accumulators, bits, context)
    return LayerResult((output.reshape(layer.outputs[0].shape),), replace(record, saturations=saturations))


def proved_ledger(order: FoldOrder, bounds: Bounds) -> OverflowRecord:
    """Ledger of a layer that its bounds clear, without saturations."""
    p_bits = needed_bits(*bounds.partial_sum) if order.partial_sum else None
    a_bits = needed_bits(*bounds.accumulator)
    return OverflowRecord(
        needed_bits=max(a_bits, p_bits or 0),
        partial_sum_needed_bits=p_bits,
        accumulator_needed_bits=a_bits,
        partial_sum_bits=order.partial_sum.bits if order.partial_sum else None,
        accumulator_bits=order.accumulator.bits,
    )


def _output(layer: Layer, accumulators: NDArray[Any], bits: int, context: ExecutionContext) -> tuple[NDArray[Any], int]:
    constants, y = layer.constants, layer.outputs[0]
    assert isinstance(constants, ArrayConstants)
    assert isinstance(y.format, IntFormat)
    if constants.requantizer is None:
        return accumulators.astype(y.format.dtype, copy=False), 0
    return requantize(accumulators, bits, constants.requantizer, y.format, random_key(context, y.name))


EXECUTORS: ExecutorTable = {Conv2D: run_array, TransposeConv2D: run_array, FullyConnected: run_array}
