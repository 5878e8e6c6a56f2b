"""Count zero operands and toggled bits of an array layer from its values (docs/activity.md)."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from simulator.execution.array_operands import Operands, geometry_vector
from simulator.kernels import activity
from simulator.kernels.workers import run_on_threads
from simulator.lowering.layer import FoldOrder, RegisterSpec
from simulator.numerics import scalar
from simulator.numerics.formats import IntFormat
from simulator.numerics.modes import OverflowMode
from simulator.records.activity import ActivityRecord
from simulator.records.overflow import OverflowRecord

_PIXELS = 128
"""Output pixels of a task: their operands [pixels, K] stay in the cache."""


def measure_activity(
    operands: Operands, w_format: IntFormat, order: FoldOrder, overflow: OverflowRecord
) -> ActivityRecord:
    """Count what the registers of the array do while a layer runs.

    Parameters
    ----------
    operands, order
        What is multiplied, and the order of the additions.
    w_format
        Format of the weights as stored.
    overflow
        The layer's ledger: sums without an event need no rails.

    """
    geometry = operands.geometry
    x_bits = operands.x_format.bits + (operands.x_zero_point != 0)
    w_bits = w_format.bits + bool(operands.weights.zero_points.any())
    register = order.partial_sum or order.accumulator
    x = operands.centred_x()
    zeros = np.zeros((geometry.groups, geometry.k), np.int64)
    x_toggled = _activation_toggles(operands, x, x_bits, order, zeros)
    weights = operands.weights.centred.reshape(geometry.groups, geometry.filters, geometry.k)
    zero_weights = (weights == 0).sum(axis=1)
    by_activation, by_weight = int(zeros.sum()) * geometry.filters, int(zero_weights.sum()) * geometry.m
    products = geometry.m * geometry.k * operands.filters
    loads = 1 if order.partial_sum else geometry.m
    return ActivityRecord(
        products=products,
        zero_activation_products=by_activation,
        zero_weight_products=by_weight,
        zero_products=by_activation + by_weight - int((zeros * zero_weights).sum()),
        activation_toggled_bits=x_toggled * geometry.filters,
        activation_written_bits=products * x_bits,
        weight_toggled_bits=_weight_toggles(operands.weights.centred, w_bits, order) * loads,
        weight_written_bits=operands.weights.centred.size * loads * w_bits,
        sum_toggled_bits=_sum_toggles(operands, x, register, order, overflow),
        sum_written_bits=products * register.bits,
    )


def _activation_toggles(
    operands: Operands, x: NDArray[np.int32], bits: int, order: FoldOrder, zeros: NDArray[np.int64]
) -> int:
    """Toggled bits of one column of the array; `zeros` is filled with the zero operands of each group and k."""
    vector, stationary, mask = geometry_vector(operands.geometry), int(order.partial_sum is not None), (1 << bits) - 1
    found: list[NDArray[np.int64]] = []

    def task(begin: int, end: int) -> int:
        own = np.zeros_like(zeros)
        toggled = activity.operand_task(x, vector, stationary, mask, begin, end, own)
        found.append(own)
        return int(toggled)

    total = _on_tasks(task, operands.geometry.m)
    for own in found:
        zeros += own
    return total


def _weight_toggles(weights: NDArray[np.int32], bits: int, order: FoldOrder) -> int:
    """Toggled bits of [filters, K] weights, each filter in a column of its own, registers 0 before."""
    lag = order.fold_length if order.partial_sum else 1
    before = np.zeros_like(weights)
    before[:, lag:] = weights[:, :-lag] if lag < weights.shape[1] else 0
    return int(np.bitwise_count((weights ^ before) & ((1 << bits) - 1)).sum(dtype=np.int64))


def _sum_toggles(
    operands: Operands, x: NDArray[np.int32], register: RegisterSpec, order: FoldOrder, overflow: OverflowRecord
) -> int:
    geometry = operands.geometry
    events = overflow.partial_sum_events if order.partial_sum else overflow.accumulator_events
    saturates = register.mode is OverflowMode.SATURATE and events != 0  # None: there may be some
    plan = np.zeros(activity.PLAN_LENGTH, np.int64)
    plan[[activity.PLAN_FOLD, activity.PLAN_BITS]] = order.fold_length if order.partial_sum else 0, register.bits
    plan[activity.PLAN_SATURATES] = saturates
    blocks = -(-geometry.filters // activity.LANES)
    padded = (geometry.groups, blocks * activity.LANES)
    panels = np.zeros((*padded, geometry.k), np.int32)
    panels[:, : geometry.filters] = operands.weights.centred.reshape(geometry.groups, geometry.filters, geometry.k)
    by_lane = panels.reshape(geometry.groups, blocks, activity.LANES, geometry.k).swapaxes(2, 3).copy()
    start = np.zeros((len(operands.start), *padded), np.int64)
    start[:, :, : geometry.filters] = _loaded(operands.start, register).reshape(-1, geometry.groups, geometry.filters)
    kernel = activity.sums32_task if register.bits <= 32 and not saturates else activity.sums64_task
    arguments = (x, by_lane, start.reshape(len(start), -1), geometry_vector(geometry), plan)
    return _on_tasks(lambda begin, end: int(kernel(*arguments, begin, end)), geometry.m)


def _loaded(start: NDArray[np.int64], register: RegisterSpec) -> NDArray[np.int64]:
    """Return start values as the register holds them."""
    narrow = scalar.saturate if register.mode is OverflowMode.SATURATE else scalar.wrap
    beyond = (start < register.min) | (start > register.max)
    loaded = start.copy()
    loaded[beyond] = [narrow(int(value), register.bits) for value in start[beyond]]
    return loaded


def _on_tasks(task: Callable[[int, int], int], pixels: int) -> int:
    """Run a task on every block of pixels, on all threads, and add up what they return."""
    stock = iter(range(0, pixels, _PIXELS))  # the threads take turns at it, under the GIL

    def work(_: int) -> int:
        return sum(task(begin, min(begin + _PIXELS, pixels)) for begin in stock)

    return run_on_threads(work)
