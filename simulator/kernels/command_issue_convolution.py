"""Which command the unroller of convolutions issues: one a cycle.

Stores go first, then executes, biases, weights, and last activations. Executes of a loop wait until all its loads are
issued, stores until all of its executes are, loads until those of the loop before are. Commands pass a pipeline of
`UNROLL` cycles, and a sequencer counts as through only when it is empty: LoopConv.scala, `ld_ahead`, `ex_completed`,
`wait_for_prev_loop`, `latency`.
"""

from __future__ import annotations

from simulator.kernels import command_layout as at
from simulator.kernels import command_state as of
from simulator.kernels._jit import kernel
from simulator.kernels.command_sequencers import (
    active,
    execute_may_enter,
    free_load_entry,
    issue_execute,
    issue_load,
    issue_store,
    store_may_enter,
)
from simulator.kernels.command_state import Table


@kernel(inline=True, allocates=False)
def _loaded_loops(sequencers: Table) -> int:
    """Loops all of whose loads are issued."""
    operands = min(sequencers[at.ACTIVATIONS, of.LOOP], sequencers[at.WEIGHTS, of.LOOP])
    return int(min(operands, sequencers[at.BIASES, of.LOOP]))


@kernel(inline=True, allocates=False)
def _store_is_ready(cycle: int, constants: Table, sequencers: Table, loop_times: Table) -> bool:
    if not active(cycle, sequencers, at.STORES):
        return False
    loop = sequencers[at.STORES, of.LOOP]
    executed = sequencers[at.EXECUTES, of.LOOP] > loop
    return bool(executed and cycle > loop_times[loop, of.EXECUTED] + constants[at.UNROLL])


@kernel(inline=True, allocates=False)
def _execute_is_ready(cycle: int, constants: Table, sequencers: Table, loop_times: Table) -> bool:
    if not active(cycle, sequencers, at.EXECUTES):
        return False
    loop = sequencers[at.EXECUTES, of.LOOP]
    return bool(_loaded_loops(sequencers) > loop and cycle > loop_times[loop, of.LOADED] + constants[at.UNROLL])


@kernel(inline=True, allocates=False)
def _load_sequencer(cycle: int, sequencers: Table) -> int:
    """Sequencer whose load goes next, or -1."""
    loop = _loaded_loops(sequencers)
    if active(cycle, sequencers, at.BIASES) and sequencers[at.BIASES, of.LOOP] == loop:
        return at.BIASES
    if active(cycle, sequencers, at.WEIGHTS) and sequencers[at.WEIGHTS, of.LOOP] == loop:
        return at.WEIGHTS
    if active(cycle, sequencers, at.ACTIVATIONS) and sequencers[at.ACTIVATIONS, of.LOOP] == loop:
        return at.ACTIVATIONS
    return -1


@kernel(inline=True, allocates=False)
def issue_of_convolution(
    cycle: int,
    loops: Table,
    constants: Table,
    scalars: Table,
    sequencers: Table,
    loop_times: Table,
    loads: Table,
    entries: Table,
    store_loops: Table,
) -> None:
    """Issue at most one command."""
    if store_may_enter(constants, scalars) and _store_is_ready(cycle, constants, sequencers, loop_times):
        issue_store(cycle, loops, scalars, sequencers, loop_times, store_loops)
        return
    if execute_may_enter(constants, scalars) and _execute_is_ready(cycle, constants, sequencers, loop_times):
        issue_execute(cycle, loops, scalars, sequencers, loop_times)
        return
    sequencer = _load_sequencer(cycle, sequencers)
    if sequencer < 0:
        return
    entry = free_load_entry(cycle, entries)
    if entry >= 0:
        issue_load(cycle, loops, sequencer, entry, scalars, sequencers, loop_times, loads, entries)
