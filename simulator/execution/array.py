"""Layers of the systolic array on values: one wide sum where that is proved to change nothing, else step by step."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from simulator.errors import InputError
from simulator.execution.array_activity import measure_activity
from simulator.execution.array_guarded import Guarded, run_guarded
from simulator.execution.array_image import filled_image
from simulator.execution.array_ledger import check_traps, first_event
from simulator.execution.array_operands import Operands, array_operands, layer_weights
from simulator.execution.array_proof import Proof
from simulator.execution.array_repeat import SeenImage, remember
from simulator.execution.array_steps import run_steps
from simulator.execution.array_tiles import surely_on_bytes
from simulator.execution.array_watched import run_watched
from simulator.execution.array_wide import run_wide
from simulator.execution.context import ExecutionContext, ExecutorTable, LayerResult
from simulator.execution.fused import Fused, fuse
from simulator.execution.requantize import random_key, requantize
from simulator.graph.ops import Conv2D, FullyConnected, TransposeConv2D
from simulator.kernels.dot_tile import BYTES
from simulator.kernels.extremes import extremes
from simulator.kernels.parallel_threads import place_loops
from simulator.lowering.array import ArrayConstants
from simulator.lowering.layer import FoldOrder, Layer
from simulator.numerics.formats import IntFormat
from simulator.numerics.scalar import needed_bits
from simulator.records.changed import changed
from simulator.records.overflow import GUARDED, OverflowRecord


def run_array(layer: Layer, arrays: Sequence[NDArray[Any] | None], context: ExecutionContext) -> LayerResult:
    """Compute an array layer exactly as the device does.

    Parameters
    ----------
    layer
        What `lower_array` made.
    arrays
        Input, weights and optional bias, as stored.
    context
        exact_ledger and channel_ledger force the step-by-step run; without event_counts the faster one may leave counts
        out, and no ledger has them; seed and step key stochastic rounding.

    Raises
    ------
    OverflowTrap
        The first event in a register whose mode is TRAP.

    """
    known = context.repeats.get(id(layer)) if context.is_plain else None
    seen = known.see(arrays[0]) if known is not None else None
    again = known.result(seen) if known is not None and seen is not None else None
    if again is not None:
        return again
    place_loops()
    operands, proof = prove(layer, arrays, context, seen)
    order = fold_order_of(layer)
    stepped = context.exact_ledger or context.channel_ledger or not proof.clears(order)
    result = (run_stepped if stepped else run_eventless)(layer, operands, proof, context)
    if not context.event_counts:
        result = replace(result, overflow=result.overflow.without_counts())
    if context.is_plain and not stepped:
        remember(layer, arrays, operands, result.overflow, context)
    if not context.activity:
        return result
    weights = layer.inputs[1]
    assert weights is not None
    assert isinstance(weights.format, IntFormat)
    return replace(result, activity=measure_activity(operands, weights.format, order, result.overflow))


def fold_order_of(layer: Layer) -> FoldOrder:
    """Return the fold order of an array layer."""
    assert layer.fold_order is not None
    return layer.fold_order


def prove(
    layer: Layer, arrays: Sequence[NDArray[Any] | None], context: ExecutionContext, seen: SeenImage | None = None
) -> tuple[Operands, Proof]:
    """Bring the arrays of a layer into kernel layout and bound its sums; neither depends on the registers' widths.

    Where the image of its activations has been made, it is `seen`.
    """
    x, weights, bias = (*arrays, None)[:3]
    assert x is not None
    assert weights is not None
    operands = array_operands(layer, x, layer_weights(layer, weights, context.weights), bias)
    if seen is not None:
        operands.images[seen.image.filling.kind] = seen.image
        operands.hold_range(seen.x_range)
    elif surely_on_bytes(operands):
        filled_image(operands, BYTES)  # which mostly finds the range of x, that the proof asks for, in the same pass
    return operands, Proof(operands, fold_order_of(layer))


def run_stepped(layer: Layer, operands: Operands, proof: Proof, context: ExecutionContext) -> LayerResult:
    """Run a layer in its order of additions; its ledger is measured, exactly where the context asks for that.

    Raises
    ------
    OverflowTrap
        The first event in a register whose mode is TRAP.

    """
    order = fold_order_of(layer)
    if not (context.exact_ledger or context.channel_ledger):
        asked = (operands, proof.bounds(order), order, _fused(layer))
        guarded = run_watched(*asked) or run_guarded(*asked, counts=context.event_counts)
        if guarded is not None:
            check_traps(layer.name, operands, order, guarded.first_outputs)
            record = guarded_ledger(operands, order, proof, guarded)
            return _result(layer, guarded.values, guarded.saturations, record, context, proof)
    stepped = run_steps(layer.name, operands, order, proof.bounds(order), by_channel=context.channel_ledger)
    return replace(
        _result(layer, stepped.accumulators, None, stepped.record, context, proof), channels=stepped.channels
    )


def run_eventless(layer: Layer, operands: Operands, proof: Proof, context: ExecutionContext) -> LayerResult:
    """Run a layer that is known to have no event, as one wide sum; its ledger holds the bounds."""
    order = fold_order_of(layer)
    sums = run_wide(operands, proof.bounds(order), _fused(layer))
    return _result(layer, sums.values, sums.saturations, proved_ledger(order, proof), context, proof)


def _fused(layer: Layer) -> Fused | None:
    constants, y = layer.constants, layer.outputs[0]
    assert isinstance(constants, ArrayConstants)
    assert isinstance(y.format, IntFormat)
    return fuse(constants.requantizer, y.format) if constants.requantizer else None


def _result(
    layer: Layer,
    values: NDArray[Any],
    saturations: int | None,
    record: OverflowRecord,
    context: ExecutionContext,
    proof: Proof,
) -> LayerResult:
    """Return a layer's result from its outputs, or from its accumulators (`saturations` is None), to be requantized."""
    bits = fold_order_of(layer).accumulator.bits
    if saturations is None:
        accumulators = values.astype(np.int32, copy=False) if bits <= 32 else values
        _check_format(layer, accumulators, proof)
        values, saturations = _output(layer, accumulators, bits, context)
    return LayerResult((values.reshape(layer.outputs[0].shape),), changed(record, saturations=saturations))


def proved_ledger(order: FoldOrder, proof: Proof) -> OverflowRecord:
    """Ledger of a layer that its bounds clear, without saturations."""
    bounds = proof.bounds(order)
    p_bits = needed_bits(*bounds.partial_sum) if order.partial_sum else None
    return _ledger(order, p_bits, needed_bits(*bounds.accumulator), method=proof.method(order))


def eventless_ledger(order: FoldOrder, proof: Proof) -> OverflowRecord:
    """Ledger of a layer run on guarded tiles that turned out to have no event: its registers' own widths are bounds."""
    bounds = proof.bounds(order)
    p_bits = min(needed_bits(*bounds.partial_sum), order.partial_sum.bits) if order.partial_sum else None
    return _ledger(order, p_bits, min(needed_bits(*bounds.accumulator), order.accumulator.bits), method=GUARDED)


def guarded_ledger(operands: Operands, order: FoldOrder, proof: Proof, found: Guarded) -> OverflowRecord:
    """Ledger of a layer run on guarded tiles, without saturations; its needed widths are bounds."""
    clean = eventless_ledger(order, proof)
    if not (found.partial_sum_events or found.accumulator_events):
        return clean
    bounds = proof.bounds(order)
    p_bits = needed_bits(*bounds.partial_sum) if found.partial_sum_events else clean.partial_sum_needed_bits
    return replace(
        _ledger(order, p_bits, needed_bits(*bounds.accumulator), method=GUARDED),
        events=found.partial_sum_events + found.accumulator_events,
        partial_sum_events=found.partial_sum_events,
        accumulator_events=found.accumulator_events,
        affected_outputs=found.affected_outputs,
        first_event=first_event(operands, order, found.first_outputs),
    )


def _ledger(order: FoldOrder, p_bits: int | None, a_bits: int, *, method: str) -> OverflowRecord:
    return OverflowRecord(
        needed_bits=max(a_bits, p_bits or 0),
        partial_sum_needed_bits=p_bits,
        accumulator_needed_bits=a_bits,
        partial_sum_bits=order.partial_sum.bits if order.partial_sum else None,
        accumulator_bits=order.accumulator.bits,
        method=method,
    )


def _check_format(layer: Layer, accumulators: NDArray[Any], proof: Proof) -> None:
    """Refuse a raw accumulator that its tensor's format does not hold: one for symmetric operands has no room for -128.

    Raises
    ------
    InputError
        Naming the layer, the sum and the format that holds it.

    """
    y, order = layer.outputs[0], fold_order_of(layer)
    assert isinstance(layer.constants, ArrayConstants)
    assert isinstance(y.format, IntFormat)
    possible = min(needed_bits(*proof.bounds(order).accumulator), order.accumulator.bits)
    if layer.constants.requantizer is not None or possible <= y.format.bits or not accumulators.size:
        return
    low, high = (int(end) for end in extremes(np.ascontiguousarray(accumulators).reshape(-1)))
    needed = needed_bits(low, high)
    if needed > y.format.bits:
        raise InputError(
            f"layer {layer.name}: its raw sums reach from {low} to {high}, and {y.name} is {y.format}, which holds "
            f"sums of operands within +-(2^(bits - 1) - 1) only; declare it int{needed}, or keep operands off "
            f"their minimum"
        )


def _output(layer: Layer, accumulators: NDArray[Any], bits: int, context: ExecutionContext) -> tuple[NDArray[Any], int]:
    constants, y = layer.constants, layer.outputs[0]
    assert isinstance(constants, ArrayConstants)
    assert isinstance(y.format, IntFormat)
    if constants.requantizer is None:
        return accumulators.astype(y.format.dtype, copy=False), 0
    return requantize(accumulators, bits, constants.requantizer, y.format, random_key(context, y.name))


EXECUTORS: ExecutorTable = {Conv2D: run_array, TransposeConv2D: run_array, FullyConnected: run_array}
