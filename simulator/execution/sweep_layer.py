"""One layer on several machines that differ in the width of their registers alone, sharing all work that is the same.

Machines whose inputs are the same arrays compute a layer together: one proof, and one wide sum for all those that have
no event. Whether one has is known from the proof, or from a machine that was stepped: its ledger bounds the width that
holds every exact running sum, whatever its own registers did. The registers of a machine at least that wide hold those
very sums (by induction over the additions), so it has no event either. Hence the narrowest machine that the proof does
not clear is stepped first, and the others only as far as it does not clear them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from numpy.typing import NDArray

from simulator.execution.array import eventless_ledger, prove, proved_ledger, run_eventless, run_stepped
from simulator.execution.array_guarded import registers_fit
from simulator.execution.array_proof import Proof
from simulator.execution.context import ExecutionContext, LayerResult
from simulator.execution.execute import Values, layer_inputs, run_layer
from simulator.execution.sweep_errors import same_bits
from simulator.lowering.layer import Engine, FoldOrder, Layer
from simulator.records.overflow import OverflowRecord

OnStep = Callable[[Layer], None]
"""Called before a layer is run addition by addition."""


def run_layer_on_all(
    layers: Sequence[Layer], values: Sequence[Values], context: ExecutionContext, on_step: OnStep
) -> list[LayerResult]:
    """Run one layer on every machine.

    Parameters
    ----------
    layers
        The layer as lowered for each machine.
    values
        Tensors alive on each machine; the same array object where machines agree.
    context
        exact_ledger and channel_ledger hold for the first machine alone.
    on_step
        Told what takes long.

    Returns
    -------
    list of LayerResult
        Of each machine, as if it had run alone; outputs that are equal are one array object.

    """
    arrays = [layer_inputs(layer, held) for layer, held in zip(layers, values, strict=True)]
    groups: dict[tuple[int, ...], list[int]] = {}
    for machine, inputs in enumerate(arrays):
        groups.setdefault(tuple(map(id, inputs)), []).append(machine)
    results: dict[int, LayerResult] = {}
    for members in groups.values():
        group = [layers[machine] for machine in members]
        # The first machine stands first in its group.
        asked = context if members[0] == 0 else replace(context, exact_ledger=False, channel_ledger=False)
        if group[0].engine is Engine.ARRAY:
            found = _run_array_on_all(group, arrays[members[0]], asked, on_step)
        else:
            found = [run_layer(group[0], arrays[members[0]], asked)] * len(group)
        results.update(zip(members, found, strict=True))
    return _joined([results[machine] for machine in range(len(layers))])


def _run_array_on_all(
    layers: Sequence[Layer], arrays: Sequence[NDArray[Any] | None], context: ExecutionContext, on_step: OnStep
) -> list[LayerResult]:
    operands, proof = prove(layers[0], arrays, context)
    orders = [_order(layer) for layer in layers]
    results: dict[int, LayerResult] = {}
    eventless: dict[object, LayerResult] = {}  # by output format: a raw accumulator's follows the register
    measured: OverflowRecord | None = None
    for machine in sorted(range(len(layers)), key=lambda machine: _widths(orders[machine])):
        layer, order = layers[machine], orders[machine]
        form = layer.outputs[0].format
        asked = context if machine == 0 else replace(context, exact_ledger=False, channel_ledger=False)
        proved = proof.clears(order) and not asked.exact_ledger
        shares = (
            measured is not None
            and _fits(measured, order)
            and (
                measured.needed_bits_is_exact or (registers_fit(order, proof.bounds(order)) and not asked.exact_ledger)
            )
        )
        if not asked.channel_ledger and (proved or shares):
            if form not in eventless:
                eventless[form] = run_eventless(layer, operands, proof, asked)
            ledger = proved_ledger(order, proof) if proved or measured is None else _eventless(measured, order, proof)
            results[machine] = _with_ledger(eventless[form], ledger)
            continue
        on_step(layer)
        results[machine] = run_stepped(layer, operands, proof, asked)
        measured = results[machine].overflow
        if not measured.events:
            eventless.setdefault(form, results[machine])
    return [results[machine] for machine in range(len(layers))]


def _order(layer: Layer) -> FoldOrder:
    assert layer.fold_order is not None
    return layer.fold_order


def _widths(order: FoldOrder) -> tuple[int, int]:
    """Widths of the inner register, then of the accumulator: narrow inner registers step fastest."""
    return (order.partial_sum or order.accumulator).bits, order.accumulator.bits


def _fits(measured: OverflowRecord, order: FoldOrder) -> bool:
    """Whether registers hold every exact running sum that was measured."""
    assert measured.accumulator_needed_bits is not None
    partial_sums_fit = order.partial_sum is None or (measured.partial_sum_needed_bits or 0) <= order.partial_sum.bits
    return partial_sums_fit and measured.accumulator_needed_bits <= order.accumulator.bits


def _eventless(measured: OverflowRecord, order: FoldOrder, proof: Proof) -> OverflowRecord:
    """Ledger of registers that hold all that was measured on others: what a run of their own would give."""
    if not measured.needed_bits_is_exact:
        return eventless_ledger(order, proof)
    return OverflowRecord(
        needed_bits=measured.needed_bits,
        needed_bits_is_exact=True,
        method=measured.method,
        outputs_by_needed_bits=measured.outputs_by_needed_bits,
        partial_sum_needed_bits=measured.partial_sum_needed_bits,
        accumulator_needed_bits=measured.accumulator_needed_bits,
        partial_sum_bits=order.partial_sum.bits if order.partial_sum else None,
        accumulator_bits=order.accumulator.bits,
    )


def _with_ledger(result: LayerResult, ledger: OverflowRecord) -> LayerResult:
    return LayerResult(result.outputs, replace(ledger, saturations=result.overflow.saturations))


def _joined(results: Sequence[LayerResult]) -> list[LayerResult]:
    """Make equal outputs one array, so that machines which came apart go on together."""
    known: list[list[NDArray[Any]]] = [[] for _ in results[0].outputs]
    return [
        replace(result, outputs=tuple(_known(array, seen) for array, seen in zip(result.outputs, known, strict=True)))
        for result in results
    ]


def _known(array: NDArray[Any], seen: list[NDArray[Any]]) -> NDArray[Any]:
    for other in seen:
        if same_bits(array, other):
            return other
    seen.append(array)
    return array
