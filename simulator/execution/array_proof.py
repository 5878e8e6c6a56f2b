"""Proofs that a layer has no event: bounds of every running sum from its actual weights and activations.

From the range of the activations: each product lies between two bounds, one <= 0 and one >= 0 (an activation of 0 is
always allowed for). So the sums of these bounds over a fold hold every prefix of the partial sum, and over all k, with
the start value, every accumulator value, in any order.

From norms, where that does not suffice: by Cauchy-Schwarz no running sum is greater than the Euclidean norm of what the
output reads times that of its filter, for the norm of any part is no greater than that of the whole.

A layer whose bounds fit its registers has no event.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from math import isqrt

import numpy as np

from simulator.execution.array_operands import Operands
from simulator.execution.array_windows import greatest_read
from simulator.kernels import bounds as kernels
from simulator.lowering.layer import FoldOrder, RegisterSpec
from simulator.numerics.scalar import needed_bits
from simulator.records.overflow import BOUNDS, NORMS

Range = tuple[int, int]


@dataclass(frozen=True)
class Bounds:
    """What no running sum of a layer, on any order of additions, can exceed."""

    products: int
    """Greatest magnitude of one product."""
    partial_sum: Range
    """Exact running sums of any fold (output stationary: of all k), the start value excluded."""
    output: Range
    """Exact running sums of any output, the start value excluded."""
    accumulator: Range
    """The same, the start value included."""

    def clears(self, order: FoldOrder) -> bool:
        """Whether no register of the layer can overflow."""
        partial_sums_fit = order.partial_sum is None or _holds(order.partial_sum, self.partial_sum)
        return partial_sums_fit and _holds(order.accumulator, self.accumulator)

    def within(self, magnitude: int, start: Range) -> Bounds:
        """Return the bounds narrowed by one of every running sum, start value excluded: [-magnitude, magnitude]."""
        total = (start[0] - magnitude, start[1] + magnitude)
        return Bounds(
            products=self.products,
            partial_sum=_both(self.partial_sum, (-magnitude, magnitude)),
            output=_both(self.output, (-magnitude, magnitude)),
            accumulator=_both(self.accumulator, total),
        )

    def allow_int32(self, order: FoldOrder) -> bool:
        """Whether the inner registers can be stepped on int32 lanes without losing a bit of any exact sum."""
        inner = order.partial_sum or order.accumulator
        room = (1 << (inner.bits - 1)) + self.products < 1 << 31
        return inner.bits < 32 and room and needed_bits(*self.partial_sum) <= 32

    def allow_int32_accumulators(self, order: FoldOrder) -> bool:
        """Whether the accumulators of a weight-stationary array can join them there."""
        if order.partial_sum is None or order.accumulator.bits > 31 or not self.allow_int32(order):
            return False
        room = (1 << (order.accumulator.bits - 1)) + (1 << (order.partial_sum.bits - 1)) < 1 << 31
        return room and needed_bits(*self.output) <= 32


def _holds(register: RegisterSpec, values: Range) -> bool:
    return needed_bits(*values) <= register.bits


def _both(a: Range, b: Range) -> Range:
    return max(a[0], b[0]), min(a[1], b[1])


class Proof:
    """What is proved of a layer's sums, each step of it worked out when a register asks for it."""

    def __init__(self, operands: Operands, order: FoldOrder) -> None:
        self._operands = operands
        self._of_ranges = bound_sums(operands, order)
        self._cleared: tuple[FoldOrder | None, bool] = (None, False)

    @cached_property
    def _of_norms(self) -> Bounds:
        return bound_by_norms(self._operands, self._of_ranges)

    def bounds(self, order: FoldOrder) -> Bounds:
        """Return the loosest bounds that clear the registers, else the tightest."""
        return self._of_ranges if self._ranges_clear(order) else self._of_norms

    def _ranges_clear(self, order: FoldOrder) -> bool:
        if self._cleared[0] is not order:  # asked for again and again
            self._cleared = order, self._of_ranges.clears(order)
        return self._cleared[1]

    def clears(self, order: FoldOrder) -> bool:
        """Whether no register of the layer can overflow."""
        return self._ranges_clear(order) or self._of_norms.clears(order)

    def method(self, order: FoldOrder) -> str:
        """By which step of the proof."""
        return BOUNDS if self._ranges_clear(order) else NORMS


def bound_by_norms(operands: Operands, bounds: Bounds) -> Bounds:
    """Narrow the bounds of a layer by the greatest norm of what any output reads, and that of any filter."""
    # An integer above the root of the product of both squares, on Python ints: it may be beyond 2^63.
    magnitude = isqrt(greatest_read(operands) * operands.weights.greatest_square) + 1
    start = int(operands.start.min()), int(operands.start.max())
    return bounds.within(magnitude, (min(start[0], 0), max(start[1], 0)))


def bound_sums(operands: Operands, order: FoldOrder) -> Bounds:
    """Bound the running sums of a layer.

    Parameters
    ----------
    operands
        Actual activations, weights and start values.
    order
        The layer's folds; output stationary counts as one fold.

    """
    # Activations mostly reach as far as in the last run: then so do the sums.
    kept, key = operands.weights.kept, ("bounds", order.fold_length)
    asked = operands.start, operands.x_range
    last, found = kept.get(key, ((None, None), None))
    if last[0] is not asked[0] or last[1] != asked[1]:
        found = _bound_sums(operands, order)
        kept[key] = asked, found
    bounds: Bounds = found
    return bounds


def _bound_sums(operands: Operands, order: FoldOrder) -> Bounds:
    positive, negative = operands.weights.fold_sums(order.fold_length or operands.geometry.k)
    least, greatest = operands.x_range
    least_weight, greatest_weight = operands.weights.range
    start = operands.start
    lowest, highest = (start[0], start[0]) if len(start) == 1 else (start.min(axis=0), start.max(axis=0))
    beyond = max(-int(lowest.min()), int(highest.max())) >= 1 << 62  # with a sum, it may need 65 bits
    found = np.empty((3, 2), np.int64)
    within = (np.zeros_like(lowest), np.zeros_like(highest)) if beyond else (lowest, highest)
    kernels.bound_sums(positive, negative, least, greatest, *within, found)
    partial_sum, output, accumulator = found.tolist()
    if beyond:
        accumulator = [int(lowest.min()) + output[0], int(highest.max()) + output[1]]
    return Bounds(
        products=max(-least, greatest) * max(-least_weight, greatest_weight),
        partial_sum=(partial_sum[0], partial_sum[1]),
        output=(output[0], output[1]),
        accumulator=(accumulator[0], accumulator[1]),
    )
