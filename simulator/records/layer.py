"""LayerRecord: everything a run found out about one scheduled layer."""

from __future__ import annotations

from dataclasses import dataclass, field

from simulator.records.activity import ActivityRecord
from simulator.records.overflow import OverflowRecord


@dataclass(frozen=True)
class EnergyRecord:
    """Energy by component, picojoules. Each is an action count times a price of the energy table."""

    mac_pj: float = 0.0
    """macs * mac price."""
    idle_pe_pj: float = 0.0
    """idle_pe_cycles * idle_pe price."""
    input_scratchpad_pj: float = 0.0
    """input_scratchpad_read_bytes * price of a byte read + input_scratchpad_write_bytes * price of a byte written."""
    weight_scratchpad_pj: float = 0.0
    """weight_scratchpad_read_bytes * price of a byte read + weight_scratchpad_write_bytes * price of a byte written."""
    accumulator_pj: float = 0.0
    """accumulator_read_bytes * price of a byte read + accumulator_write_bytes * price of a byte written."""
    dram_pj: float = 0.0
    """(dram_read_bytes + dram_write_bytes) * DRAM price."""
    vector_pj: float = 0.0
    """vector_ops * vector price."""
    host_pj: float = 0.0
    """host_ops * host price."""
    leakage_pj: float = 0.0
    """Leakage power * the layer's share of time."""

    @property
    def total_pj(self) -> float:
        """Sum of all components."""
        return (
            self.mac_pj
            + self.idle_pe_pj
            + self.input_scratchpad_pj
            + self.weight_scratchpad_pj
            + self.accumulator_pj
            + self.dram_pj
            + self.vector_pj
            + self.host_pj
            + self.leakage_pj
        )


@dataclass(frozen=True)
class LayerRecord:
    """One layer: what it computed, how long it took, what it moved, what it cost, what overflowed."""

    index: int
    """Position in the schedule, from 0."""
    name: str
    """Name of the node in the network's file."""
    op: str
    """Operator, e.g. Conv2D, DepthwiseConv2D, Add."""
    engine: str
    """Who worked on it: array, vector, dma or host."""
    input_shape: tuple[int, ...]
    """Shape of the first input, NHWC."""
    output_shape: tuple[int, ...]
    """Shape of the first output, NHWC."""
    on_store: str = ""
    """What is done to the array's results on their way from accumulator memory to DRAM, in order: requantize (clamp
    included), its fused activation, a max_pool or average_pool and that layer's name. Empty: accumulators are stored
    as they are."""
    done_by: str = ""
    """Layers on whose stores all of this layer is done, so that it moves nothing and takes no time: the one before a
    pool, or those that write what a concatenation joins. Empty: it is done by itself."""
    macs: int = 0
    """Multiply-accumulates of the network (padding taps counted, inserted zeros not); 0 off the array."""
    total_cycles: int = 0
    """end_cycle - start_cycle: first command of the layer offered to its last write done."""
    start_cycle: int = 0
    """Cycle at which the layer's first command is offered, from the start of the run."""
    end_cycle: int = 0
    """Cycle at which the layer's last write is done."""
    compute_cycles: int = 0
    """Cycles in which the layer's engine (array, vector unit or host) works, fill and drain included. On several cores,
    compute, load, store and stall cycles are those of the core that computes longest."""
    core_compute_cycles: tuple[int, ...] = ()
    """compute_cycles of each core, 0 where the layer needs it not; empty on an accelerator of one core, and then
    no column of layers.csv."""
    load_cycles: int = 0
    """Cycles in which the load DMA is occupied for the layer: setup, latency, waiting for the bus, data."""
    store_cycles: int = 0
    """Cycles in which the store DMA is occupied for the layer: setup, latency, waiting for the bus, data."""
    stall_cycles: int = 0
    """total_cycles - compute_cycles = load_stall_cycles + store_stall_cycles: its engine waits."""
    load_stall_cycles: int = 0
    """The part of stall_cycles spent waiting for operands from DRAM."""
    store_stall_cycles: int = 0
    """The part of stall_cycles spent waiting for room in the output buffer, or for the last write, on any core."""
    bank_conflict_cycles: int = 0
    """The part of compute_cycles in which pixels wait for banks of the input scratchpad; 0 where
    memories.input_scratchpad.bank_conflicts is ignored."""
    mapping_utilization: float = 0.0
    """macs / (processing elements * compute_cycles) on the array: what partly filled folds, fill and drain, and cores
    with less to do than the busiest, leave; 0 elsewhere."""
    utilization: float = 0.0
    """macs / (processing elements * total_cycles) on the array; 0 elsewhere."""
    tile_ops: int = 0
    """Tile operations that the layer was cut into."""
    folds: int = 0
    """Passes of the array over a rows x cols block of the work."""
    bound: str = ""
    """The busiest of the layer's engines, by compute_cycles, load_cycles and store_cycles: compute (array),
    vector, host, load, store; none for a layer that moves nothing."""
    dram_read_bytes: int = 0
    """Bytes that the layer reads from DRAM."""
    dram_write_bytes: int = 0
    """Bytes that the layer writes to DRAM."""
    unique_bytes: int = 0
    """Bytes of the layer's inputs, weights and biases, each counted once: dram_read_bytes is never less than what of
    them is needed and not on chip, where the layer is not done_by others."""
    input_scratchpad_read_bytes: int = 0
    """Bytes read from the input scratchpad. Array: pixels * K of each tile op, once for each of its column blocks of
    array.cols channels. Vector: operands and results. DMA: results. Host: 0."""
    input_scratchpad_write_bytes: int = 0
    """Bytes written to the input scratchpad: what the load DMA brings; vector layers also write their results there,
    and any layer an output that stays on chip."""
    weight_scratchpad_read_bytes: int = 0
    """Bytes read from the weight scratchpad: the weights of each fold once (weight stationary), or once for each block
    of array.rows pixels (output stationary); biases once an output tile."""
    weight_scratchpad_write_bytes: int = 0
    """Bytes written to the weight scratchpad: weights and biases that the load DMA brings."""
    accumulator_read_bytes: int = 0
    """Bytes read from accumulator memory: partial sums read back, and final results drained; start values of a bias
    matrix. Equal to accumulator_write_bytes."""
    accumulator_write_bytes: int = 0
    """Bytes written to accumulator memory: one write an output and fold of K (weight stationary) or chunk of K (output
    stationary), ceil(accumulator.bits / 8) bytes each; start values of a bias matrix."""
    idle_pe_cycles: int = 0
    """Processing-element cycles without a useful MAC while the array computes: max(0, PEs * compute_cycles - macs), on
    several cores PEs of a core * sum of core_compute_cycles."""
    vector_ops: int = 0
    """Operations of vector lanes."""
    host_ops: int = 0
    """Output elements computed on the host."""
    live_bytes: int = 0
    """Bytes of the inputs and intermediates of the network alive while the layer runs: each from the layer that writes
    it (an input: from the start) to its last reader (an output: to the end). The most of all layers and the weights
    make peak_memory_bytes. 0 = not known: a run saved by an earlier version."""
    energy: EnergyRecord = field(default_factory=EnergyRecord)
    """Energy by component."""
    activity: ActivityRecord | None = None
    """Zero operands and toggled bits; None off the array, and where they were not asked for (activity=True)."""
    overflow: OverflowRecord | None = None
    """The overflow ledger; None where no values were computed (timing only)."""

    @property
    def energy_pj(self) -> float:
        """Energy of the layer, picojoules: the sum of `energy`."""
        return self.energy.total_pj

    @property
    def dram_bytes(self) -> int:
        """dram_read_bytes + dram_write_bytes."""
        return self.dram_read_bytes + self.dram_write_bytes

    @property
    def operational_intensity(self) -> float:
        """MACs per byte of DRAM traffic; 0 where nothing is moved."""
        return self.macs / self.dram_bytes if self.dram_bytes else 0.0
