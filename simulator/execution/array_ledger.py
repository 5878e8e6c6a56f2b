"""What becomes of events that a kernel found: the first one with its place, or the error of a trapping register."""

from __future__ import annotations

import numpy as np

from simulator.errors import OverflowTrap
from simulator.execution.array_operands import Operands, geometry_vector
from simulator.kernels import geometry as geo
from simulator.lowering.layer import FoldOrder, RegisterSpec
from simulator.numerics.modes import OverflowMode
from simulator.numerics.scalar import (
    ACCUMULATOR,
    PARTIAL_SUM,
    Accumulation,
    accumulate_output_stationary,
    accumulate_weight_stationary,
)
from simulator.records.overflow import FirstEvent

FirstOutputs = tuple[int | None, int | None]
"""Lowest flat output with an event in its partial sums, and in its accumulator; None without."""


def replay(operands: Operands, order: FoldOrder, output: int) -> Accumulation:
    """Account of one output (flat NHWC index), by the specification."""
    pixel, channel = divmod(output, operands.filters)
    row = np.empty(operands.geometry.k, np.int32)
    group = channel // operands.geometry.filters
    geo.gather_row(operands.centred_x(), geometry_vector(operands.geometry), pixel, group, 0, row)
    activations, weights = row.tolist(), operands.weights.filter(channel).tolist()
    start = int(operands.start[pixel if len(operands.start) > 1 else 0, channel])
    accumulator = (order.accumulator.bits, order.accumulator.mode)
    if order.partial_sum is None:
        return accumulate_output_stationary(activations, weights, start, *accumulator)
    partial_sum = (order.partial_sum.bits, order.partial_sum.mode)
    return accumulate_weight_stationary(activations, weights, start, order.fold_length, partial_sum, accumulator)


def check_traps(layer_name: str, operands: Operands, order: FoldOrder, first_outputs: FirstOutputs) -> None:
    """Raise the first event in a trapping register, if there is one.

    A register that traps is run as one that wraps: up to its first event that makes no difference.

    Raises
    ------
    OverflowTrap
        The first event in a register whose mode is TRAP.

    """
    found: list[tuple[int, int, int, str, RegisterSpec]] = []
    sides = ((PARTIAL_SUM, order.partial_sum), (ACCUMULATOR, order.accumulator))
    for place, ((name, register), output) in enumerate(zip(sides, first_outputs, strict=True)):
        if register is None or register.mode is not OverflowMode.TRAP or output is None:
            continue
        account = replay(operands, order, output)
        k = account.first_partial_sum_event if name == PARTIAL_SUM else account.first_accumulator_event
        assert k is not None, f"{layer_name}: kernel and specification disagree on output {output}"
        found.append((output, k, place, name, register))
    if found:
        output, k, _, name, register = min(found, key=lambda event: event[:3])
        raise OverflowTrap(layer_name, output, k, name, register.bits)


def first_event(operands: Operands, order: FoldOrder, first_outputs: FirstOutputs) -> FirstEvent | None:
    """Return the first event of a layer, or None."""
    known = [output for output in first_outputs if output is not None]
    if not known:
        return None
    event = replay(operands, order, min(known)).first_event
    assert event is not None, f"kernel and specification disagree on output {min(known)}"
    return FirstEvent(min(known), *event)
