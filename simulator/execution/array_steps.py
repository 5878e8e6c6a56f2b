"""Run a layer addition by addition, in its fold order, and keep the overflow ledger."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from simulator.execution.array_ledger import FirstOutputs, check_traps, first_event
from simulator.execution.array_operands import Operands, geometry_vector
from simulator.execution.array_proof import Bounds
from simulator.kernels import steps
from simulator.kernels.registers import LANES
from simulator.kernels.threads import threads_now
from simulator.kernels.workers import run_on_threads
from simulator.lowering.layer import FoldOrder
from simulator.numerics.modes import OverflowMode
from simulator.numerics.scalar import needed_bits
from simulator.records.channel_ledger import BEYOND_INT64_BITS, ChannelLedger, RegisterChannels
from simulator.records.overflow import STEPS, OverflowRecord

_TASKS_PER_THREAD = 8


@dataclass(frozen=True, eq=False)
class _Run:
    operands: Operands
    order: FoldOrder
    accumulators: NDArray[np.int64]
    stats: NDArray[np.int64]
    """[tasks, STATS_LENGTH]."""
    channels: NDArray[np.int64]
    """[tasks, channels, CHANNEL_LENGTH]; no channels where they were not asked for."""

    def total(self, index: int) -> int:
        return int(self.stats[:, index].sum())

    def range(self, index: int) -> tuple[int, int]:
        return int(self.stats[:, index].min()), int(self.stats[:, index + 1].max())

    @property
    def first_outputs(self) -> FirstOutputs:
        first_p, first_a = (int(self.stats[:, index].min()) for index in (steps.STAT_FIRST_P, steps.STAT_FIRST_A))
        return None if first_p == steps.NONE else first_p, None if first_a == steps.NONE else first_a


@dataclass(frozen=True, eq=False)
class Stepped:
    """What came of a layer run step by step."""

    accumulators: NDArray[np.int64]
    """[pixels, filters]: the registers' values."""
    record: OverflowRecord
    """The ledger, without saturations."""
    channels: ChannelLedger | None
    """The ledger by channel, where it was asked for."""


def run_steps(
    layer_name: str, operands: Operands, order: FoldOrder, bounds: Bounds, *, by_channel: bool = False
) -> Stepped:
    """Sum every output in the device's order; `by_channel` asks for a ledger of each channel too.

    Raises
    ------
    OverflowTrap
        The first event in a register whose mode is TRAP.

    """
    geometry = operands.geometry
    plan = _plan(order, bounds)
    tasks = min(-(-geometry.m // steps.PIXELS), _TASKS_PER_THREAD * threads_now())
    stats = np.zeros((tasks, steps.STATS_LENGTH), np.int64)
    channels = np.zeros((tasks, operands.filters if by_channel else 0, steps.CHANNEL_LENGTH), np.int64)
    out = np.empty(geometry.m * operands.filters, np.int64)
    if operands.is_depthwise:
        _run_depthwise(operands, plan, out, stats, channels)
    else:
        _run_conv(operands, plan, out, stats, channels)
    run = _Run(operands, order, out.reshape(geometry.m, operands.filters), stats, channels)
    check_traps(layer_name, operands, order, run.first_outputs)
    return Stepped(run.accumulators, _record(run), _channel_ledger(run) if by_channel else None)


def _plan(order: FoldOrder, bounds: Bounds) -> NDArray[np.int64]:
    plan = np.zeros(steps.PLAN_LENGTH, np.int64)
    plan[steps.PLAN_FOLD] = order.fold_length
    if order.partial_sum:
        plan[steps.PLAN_P_BITS] = order.partial_sum.bits
        plan[steps.PLAN_P_SATURATES] = order.partial_sum.mode is OverflowMode.SATURATE
    plan[steps.PLAN_A_BITS] = order.accumulator.bits
    plan[steps.PLAN_A_SATURATES] = order.accumulator.mode is OverflowMode.SATURATE
    plan[steps.PLAN_INT32] = bounds.allow_int32(order)
    plan[steps.PLAN_A_INT32] = bounds.allow_int32_accumulators(order)
    return plan


def _run_conv(
    operands: Operands,
    plan: NDArray[np.int64],
    out: NDArray[np.int64],
    stats: NDArray[np.int64],
    channels: NDArray[np.int64],
) -> None:
    groups, filters, k = operands.geometry.groups, operands.geometry.filters, operands.geometry.k
    count = -(-filters // LANES)
    panels = np.zeros((groups, count * LANES, k), np.int32)
    panels[:, :filters] = operands.weights.centred.reshape(groups, filters, k)
    panels = np.ascontiguousarray(panels.reshape(groups, count, LANES, k).swapaxes(2, 3))
    padded = np.zeros((len(operands.start), groups, count * LANES), np.int64)
    padded[:, :, :filters] = operands.start.reshape(-1, groups, filters)
    start = padded.reshape(len(padded), -1)
    vector = geometry_vector(operands.geometry)
    _run_tasks(
        steps.conv_steps_task,
        (operands.centred_x(), panels, start, vector, plan),
        out,
        stats,
        channels,
        operands.geometry.m,
    )


def _spread(operands: Operands, padded_filters: int) -> NDArray[np.int32]:
    """Activations of a depthwise layer, one column for each filter (the channel it reads), zeros up to the padding."""
    x = operands.centred_x()
    spread_x = np.zeros((x.shape[0], padded_filters), np.int32)
    spread_x[:, : operands.filters] = np.repeat(x, operands.geometry.filters, axis=1)
    return spread_x


def _run_depthwise(
    operands: Operands,
    plan: NDArray[np.int64],
    out: NDArray[np.int64],
    stats: NDArray[np.int64],
    channels: NDArray[np.int64],
) -> None:
    padded = -(-operands.filters // LANES) * LANES
    weights = np.zeros((operands.geometry.k, padded), np.int32)
    weights[:, : operands.filters] = operands.weights.centred.T
    start = np.zeros((1, padded), np.int64)
    start[:, : operands.filters] = operands.start
    vector = geometry_vector(operands.geometry)
    plan = plan.copy()
    plan[[steps.PLAN_INT32, steps.PLAN_A_INT32]] = 0
    x = _spread(operands, padded)
    _run_tasks(steps.depthwise_steps_task, (x, weights, start, vector, plan), out, stats, channels, operands.geometry.m)


def _run_tasks(
    kernel: Callable[..., None],
    operands: tuple[NDArray[Any], ...],
    out: NDArray[np.int64],
    stats: NDArray[np.int64],
    channels: NDArray[np.int64],
    pixels: int,
) -> None:
    """Run a kernel on all output pixels, as many tasks as `stats` has rows; what a task finds goes to its own rows."""
    tasks = len(stats)
    stock = iter(range(tasks))  # the threads take turns at it, under the GIL

    def work(_: int) -> int:
        for task in stock:
            begin, end = task * pixels // tasks, (task + 1) * pixels // tasks
            kernel(*operands, begin, end, out, stats[task], channels[task])
        return 0

    run_on_threads(work)


def _record(run: _Run) -> OverflowRecord:
    order = run.order
    p_events, a_events = run.total(steps.STAT_P_EVENTS), run.total(steps.STAT_A_EVENTS)
    p_bits = needed_bits(*run.range(steps.STAT_P_LEAST)) if order.partial_sum else None
    beyond = bool(run.stats[:, steps.STAT_A_BEYOND].any())
    a_bits = BEYOND_INT64_BITS if beyond else needed_bits(*run.range(steps.STAT_A_LEAST))
    return OverflowRecord(
        events=p_events + a_events,
        partial_sum_events=p_events,
        accumulator_events=a_events,
        affected_outputs=run.total(steps.STAT_AFFECTED),
        first_event=first_event(run.operands, order, run.first_outputs),
        needed_bits=max(a_bits, p_bits or 0),
        needed_bits_is_exact=True,
        method=STEPS,
        outputs_by_needed_bits=_by_width(run),
        partial_sum_needed_bits=p_bits,
        accumulator_needed_bits=a_bits,
        partial_sum_bits=order.partial_sum.bits if order.partial_sum else None,
        accumulator_bits=order.accumulator.bits,
    )


def _by_width(run: _Run) -> tuple[int, ...]:
    counts = run.stats[:, steps.STAT_A_WIDTHS : steps.STAT_A_WIDTHS + steps.WIDTHS].sum(axis=0)
    return tuple(np.trim_zeros(counts, "b").tolist())


def _channel_ledger(run: _Run) -> ChannelLedger:
    total, least, greatest = run.channels.sum(axis=0), run.channels.min(axis=0), run.channels.max(axis=0)
    accumulator = RegisterChannels.of(
        total[:, steps.CHANNEL_A_EVENTS],
        least[:, steps.CHANNEL_A_LEAST],
        greatest[:, steps.CHANNEL_A_GREATEST],
        greatest[:, steps.CHANNEL_A_BEYOND] != 0,
    )
    if run.order.partial_sum is None:
        return ChannelLedger(accumulator, None)
    partial_sum = RegisterChannels.of(
        total[:, steps.CHANNEL_P_EVENTS],
        least[:, steps.CHANNEL_P_LEAST],
        greatest[:, steps.CHANNEL_P_GREATEST],
        np.zeros(len(total), np.bool_),
    )
    return ChannelLedger(accumulator, partial_sum)
