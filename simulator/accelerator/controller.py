"""CommandLoops: a controller that unrolls products and convolutions into commands, its queues and pipeline latencies.

The device it describes is Gemmini's loop unrollers, load, execute and store controllers (github.com/ucb-bar/gemmini,
LoopMatmul.scala, LoopConv.scala, ReservationStation.scala, ExecuteController.scala, DMA.scala). Output stationary, it
unrolls nothing: the host issues every command. What each field does in a cycle is said in
`simulator.kernels.command_loops`.
"""

from __future__ import annotations

from pydantic import Field

from simulator.accelerator.base import Spec


class CommandLoops(Spec):
    """Queues and latencies of a device that runs a matrix product as loops of load, execute and store commands.

    It takes both scratchpads as one, in two halves of banks side by side, and accumulator memory in two halves.
    """

    bus_bytes: int = Field(default=16, ge=1)
    """Bytes of one beat of the memory bus, in each direction."""
    load_entries: int = Field(default=8, ge=1)
    """Load commands waiting or in flight."""
    execute_entries: int = Field(default=16, ge=4)
    """Execute commands waiting or in flight; a block takes two, a preload and a compute."""
    store_entries: int = Field(default=4, ge=1)
    """Store commands waiting or in flight."""
    load_commands_in_flight: int = Field(default=2, ge=1)
    """Load commands whose requests may be under way."""
    store_commands_in_flight: int = Field(default=2, ge=1)
    """Store commands whose writes may be under way."""
    setup_commands: int = Field(default=5, ge=0)
    """Commands ahead of the first loop. Only counted; their time is in start_cycles."""
    commands_per_loop: int = Field(default=6, ge=1)
    """Commands that set a loop of a product up and start it."""
    convolution_setup_commands: int = Field(default=2, ge=0)
    """As setup_commands, ahead of a convolution."""
    commands_per_convolution_loop: int = Field(default=7, ge=1)
    """As commands_per_loop, of a convolution."""
    start_cycles: int = Field(ge=0)
    """First command offered to first loop of a product configured."""
    configure_cycles: int = Field(ge=1)
    """Cycles to configure one more loop of a product."""
    unroll_cycles: int = Field(default=2, ge=0)
    """Pipeline from a sequencer of a convolution to the queues; it is through with a loop when that is empty."""
    zero_cycles: int = Field(default=0, ge=0)
    """Last row of zeros taken to where a last row from memory counts as written."""
    issue_cycles: int = Field(ge=1)
    """Load command issued to its first request."""
    read_cycles: int = Field(ge=1)
    """Request to first beat, beyond the latency of DRAM."""
    load_done_cycles: int = Field(ge=0)
    """Last row written to its command's completion being seen by the commands that wait for it."""
    load_free_cycles: int = Field(default=0, ge=0)
    """Last row written to a request of a load command that waited for this one to be out of the way."""
    result_cycles: int = Field(ge=1, le=255)
    """Row into the array to its row of results in accumulator memory."""
    minimum_rows: int = Field(default=4, ge=1)
    """Least cycles of a block whose weights stay."""
    passes_in_flight: int = Field(default=5, ge=1)
    """Passes on their way through the array; one more waits until the first of them is through."""
    pass_cycles: int = Field(default=0, ge=0)
    """Last row of a pass into the array to the pass being through."""
    flush_cycles: int = Field(default=6, ge=0)
    """Output stationary: last row of a flush to the first of a pass after it."""
    host_cycles: int = Field(default=1, ge=1)
    """Cycles from one command of the host to the next, where it issues each itself (output stationary)."""
    read_results_in_flight: int = Field(default=5, ge=1)
    """Rows of accumulators on their way to the store."""
    read_result_cycles: int = Field(default=8, ge=1)
    """Time of a row of accumulators on that way."""
    write_cycles: int = Field(ge=0)
    """Last beat of a write to its acknowledgement, beyond the latency of DRAM."""
    store_done_cycles: int = Field(ge=0)
    """Last acknowledgement of a write to the end of everything that stores do."""
    store_complete_cycles: int = Field(default=2, ge=0)
    """Last row of a store command read to its completion, which frees its entry; its writes may be under way yet."""
    end_cycles: int = Field(ge=0)
    """Everything complete to the device reporting idle."""

    def loop_cycles(self, convolution: bool) -> tuple[int, int]:
        """Cycles to the first loop, and for one more; the commands ahead of a loop come one a cycle."""
        more = self.commands_per_convolution_loop - self.commands_per_loop if convolution else 0
        ahead = self.convolution_setup_commands - self.setup_commands if convolution else 0
        return max(0, self.start_cycles + ahead + more), max(1, self.configure_cycles + more)

    def host_start_cycles(self, setup_commands: int) -> int:
        """Cycles to the host's first command after `setup_commands` others, where it issues each: no loop to start."""
        pipeline = self.start_cycles - self.setup_commands - self.commands_per_loop
        return max(0, pipeline + setup_commands * self.host_cycles)
