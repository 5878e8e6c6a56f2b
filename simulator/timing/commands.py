"""Time of a layer that runs as commands: the compiled command machine, and what it found out in a timeline's terms."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from simulator.accelerator.spec import Accelerator
from simulator.kernels import command_layout as at
from simulator.kernels.command_turns import EXECUTE_BEGIN, LOAD_BEGIN, STORE_BEGIN
from simulator.mapping.command_lists import CommandLists
from simulator.numerics.modes import Dataflow
from simulator.timing.command_periods import run_machine
from simulator.timing.timeline import LayerTime
from simulator.timing.trace import Intervals, Span


def command_constants(
    accelerator: Accelerator, lists: CommandLists, setup_commands: int | None = None
) -> NDArray[np.int64]:
    """Return the constants of the command machine, in the order of `command_layout`."""
    controller, device = accelerator.controller, lists.device
    assert controller is not None
    # A beat takes bus_bytes / bytes_per_cycle cycles; the bus itself passes at most one a cycle.
    beat = controller.bus_bytes / accelerator.dram_bytes_per_cycle
    start, configure = controller.loop_cycles(lists.unroller == at.CONVOLUTIONS)
    if lists.unroller == at.HOST:
        start = controller.host_start_cycles(controller.setup_commands if setup_commands is None else setup_commands)
    return np.array(
        [
            device.dim,
            device.bank_rows,
            device.burst_bytes,
            beat.numerator,
            beat.denominator,
            accelerator.dma.max_outstanding,
            accelerator.dram_latency_cycles,
            controller.load_entries,
            controller.execute_entries,
            controller.store_entries,
            controller.load_commands_in_flight,
            controller.store_commands_in_flight,
            start,
            configure,
            controller.issue_cycles,
            controller.read_cycles,
            controller.load_done_cycles,
            controller.load_free_cycles,
            controller.result_cycles,
            controller.minimum_rows,
            controller.read_results_in_flight,
            controller.read_result_cycles,
            controller.write_cycles,
            controller.store_done_cycles,
            controller.end_cycles,
            lists.unroller,
            controller.unroll_cycles,
            controller.zero_cycles,
            int(accelerator.array.dataflow is Dataflow.OUTPUT_STATIONARY),
            controller.host_cycles,
            max(1, device.accumulator_rows // 2),
            controller.passes_in_flight,
            controller.pass_cycles,
            controller.flush_cycles,
            controller.store_complete_cycles,
        ],
        np.int64,
    )


def run_command_layer(
    lists: CommandLists,
    accelerator: Accelerator,
    limit: int,
    setup_commands: int | None = None,
    every_cycle: bool = False,
) -> tuple[LayerTime, dict[str, tuple[Span, ...]]]:
    """Run one layer from an idle device; keep at most `limit` spans an engine.

    The array computes in the cycles in which it takes a row. Up to its last one it otherwise waits for operands, banks
    or commands (load_stall_cycles); after it, for its results to be written (store_stall_cycles). `setup_commands` are
    those ahead of a host's own; None = as many as the controller says. `every_cycle` steps through every cycle
    and every period: the same, slowly.

    Raises
    ------
    ScheduleError
        Commands that wait for ever (those of no layer do).

    """
    constants = command_constants(accelerator, lists, setup_commands)
    results, intervals = run_machine(lists, constants, every_cycle)
    total, compute, last = results[[at.CYCLES, at.COMPUTE_CYCLES, at.LAST_COMPUTE]].tolist()
    time = LayerTime(
        start_cycle=0,
        end_cycle=total,
        compute_cycles=compute,
        load_cycles=int(results[at.LOAD_CYCLES]),
        store_cycles=int(results[at.STORE_CYCLES]),
        load_stall_cycles=last - compute,
        store_stall_cycles=total - last,
    )
    columns = {"load dma": LOAD_BEGIN, "work": EXECUTE_BEGIN, "store dma": STORE_BEGIN}
    return time, {track: _spans(intervals[:, column : column + 2], limit) for track, column in columns.items()}


def _spans(intervals: NDArray[np.int64], limit: int) -> tuple[Span, ...]:
    """Return one interval a loop that has any, joined to at most `limit` spans."""
    found = Intervals()
    for begin, end in intervals.tolist():
        found.add(begin, end)
    return found.spans(limit)
