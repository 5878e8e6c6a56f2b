"""CommandLoops: a controller that unrolls a matrix product into commands, with its queues and pipeline latencies.

The device it describes is Gemmini's loop unroller, load, execute and store controllers (github.com/ucb-bar/gemmini,
LoopMatmul.scala, ReservationStation.scala, ExecuteController.scala, DMA.scala). What each field does in a cycle is
said in `simulator.kernels.command_loops`.
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
    activation_load_weight: int = Field(default=3, ge=1)
    """Load commands of activations for each load command of weights, while both wait."""
    activation_loads_before_start: int = Field(default=0, ge=0)
    """Where that counter, which no reset clears, stands when a layer starts."""
    setup_commands: int = Field(default=5, ge=0)
    """Commands ahead of the first loop. Only counted; their time is in start_cycles."""
    commands_per_loop: int = Field(default=6, ge=1)
    """Commands that set a loop up and start it."""
    start_cycles: int = Field(ge=0)
    """First command offered to first loop configured."""
    configure_cycles: int = Field(ge=1)
    """Cycles to configure one more loop."""
    issue_cycles: int = Field(ge=1)
    """Load command issued to its first request."""
    read_cycles: int = Field(ge=1)
    """Request to first beat, beyond the latency of DRAM."""
    load_done_cycles: int = Field(ge=0)
    """Last row written to its command's completion being seen by the commands that wait for it."""
    result_cycles: int = Field(ge=1, le=255)
    """Row into the array to its row of results in accumulator memory."""
    minimum_rows: int = Field(default=4, ge=1)
    """Least cycles of a block whose weights stay."""
    read_results_in_flight: int = Field(default=5, ge=1)
    """Rows of accumulators on their way to the store."""
    read_result_cycles: int = Field(default=8, ge=1)
    """Time of a row of accumulators on that way."""
    write_cycles: int = Field(ge=0)
    """Last beat of a write to its acknowledgement, beyond the latency of DRAM."""
    store_done_cycles: int = Field(ge=0)
    """Last beat of a store command to its completion."""
    end_cycles: int = Field(ge=0)
    """Everything complete to the device reporting idle."""
