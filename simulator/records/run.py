"""RunRecord: one run of one network on one accelerator, complete enough to draw every picture from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from simulator.records.accumulator_sweep import SweepPoint
from simulator.records.layer import LayerRecord
from simulator.records.overflow import sum_or_none

SCHEMA_VERSION = 1


@dataclass(frozen=True)
class TraceEvent:
    """One piece of work on one engine, for the timeline."""

    track: str
    """Engine: load dma, array, vector, host or store dma; on an accelerator of several cores after `core 0 ` and so on,
    but for the host."""
    name: str
    """Layer name and what is done."""
    start_cycle: int
    """First cycle."""
    duration_cycles: int
    """Length, cycles."""
    layer: int
    """Index of the layer."""


@dataclass(frozen=True)
class Segmentation:
    """What a picture of a label map needs."""

    output: str
    """Name of the output tensor that holds labels [N, H, W] or score maps [N, H, W, classes]."""
    class_names: tuple[str, ...] = ()
    """Name of each class index; may be empty where the network does not say."""
    palette: tuple[tuple[int, int, int], ...] = ()
    """RGB 0..255 of each class index."""


@dataclass(frozen=True)
class RunRecord:
    """All results of a run as plain data. Same inputs, same bytes."""

    network: str
    """Name of the network."""
    accelerator: str
    """Name of the accelerator."""
    mode: str
    """both, values (no time) or timing (no values)."""
    seed: int
    """Seed of every random draw of the run."""
    layers: tuple[LayerRecord, ...]
    """One record per scheduled layer, in order."""
    spec: Mapping[str, Any]
    """The accelerator's specification, as its YAML has it."""
    energy_table: Mapping[str, Any]
    """The energy table in force, with the source of every number."""
    spec_hash: str
    """SHA-256 of the specification and the energy table."""
    network_hash: str
    """SHA-256 of the network: operators, shapes, formats, scales, weights."""
    tool_version: str
    """Version of bittrue."""
    clock_mhz: float
    """Clock of the accelerator, MHz."""
    peak_macs_per_cycle: int
    """Processing elements of all cores' arrays."""
    dram_bytes_per_cycle: float
    """Peak DRAM bandwidth, bytes per cycle."""
    area_mm2: Mapping[str, float] = field(default_factory=dict)
    """Area by component (array, input_scratchpad, weight_scratchpad, accumulator) of all cores, square millimetres,
    from widths and sizes of the specification; empty where the energy table gives prices alone."""
    peak_memory_bytes: int = 0
    """Most DRAM that tensors alive at one time and the weights take, bytes."""
    parameters: int = 0
    """Weights and biases of the network."""
    images: int = 1
    """Images that the run took at once (a batch); every figure but frames_per_s is of all of them together."""
    notes: tuple[str, ...] = ()
    """What the reader must know: seeded weights, approximations, recognised groups."""
    events: Sequence[TraceEvent] = field(default=(), repr=False)
    """Timeline, coalesced per layer and engine where the run is long."""
    segmentation: Segmentation | None = None
    """Set for a segmentation network."""
    accumulator_sweep: tuple[SweepPoint, ...] = ()
    """What narrower registers cost, narrowest first; empty where no accumulator_sweep was asked for."""
    schema_version: int = SCHEMA_VERSION
    """Version of this schema."""

    @property
    def cores(self) -> int:
        """Cores of the accelerator, each with an array of its own: spec["cores"]."""
        return int(self.spec.get("cores", 1))

    @cached_property
    def total_cycles(self) -> int:
        """First command offered to last write done, cycles."""
        return max((layer.end_cycle for layer in self.layers), default=0)

    @property
    def total_time_s(self) -> float:
        """total_cycles / clock, seconds."""
        return self.total_cycles / (self.clock_mhz * 1e6)

    @property
    def frames_per_s(self) -> float:
        """Images per second, run after run: images / total_time_s."""
        return self.images / self.total_time_s if self.total_cycles else 0.0

    @cached_property
    def total_macs(self) -> int:
        """Sum of macs."""
        return sum(layer.macs for layer in self.layers)

    @cached_property
    def total_energy_pj(self) -> float:
        """Sum of energy_pj, picojoules."""
        return sum(layer.energy_pj for layer in self.layers)

    @property
    def total_area_mm2(self) -> float:
        """Sum of area_mm2: array and on-chip memories, without DMA, vector unit, host, clock tree and wiring."""
        return sum(self.area_mm2.values())

    @property
    def average_power_w(self) -> float:
        """total_energy_pj / total_time_s, watts."""
        return self.total_energy_pj * 1e-12 / self.total_time_s if self.total_cycles else 0.0

    @property
    def tops_per_w(self) -> float:
        """2 * total_macs / energy: tera-operations per second and watt (1 MAC = 2 operations)."""
        return 2 * self.total_macs / self.total_energy_pj if self.total_energy_pj else 0.0

    @property
    def utilization(self) -> float:
        """total_macs / (processing elements * total_cycles)."""
        return self.total_macs / (self.peak_macs_per_cycle * self.total_cycles) if self.total_cycles else 0.0

    @property
    def dram_read_bytes(self) -> int:
        """Sum of dram_read_bytes."""
        return sum(layer.dram_read_bytes for layer in self.layers)

    @property
    def dram_write_bytes(self) -> int:
        """Sum of dram_write_bytes."""
        return sum(layer.dram_write_bytes for layer in self.layers)

    @property
    def dram_bytes(self) -> int:
        """dram_read_bytes + dram_write_bytes."""
        return self.dram_read_bytes + self.dram_write_bytes

    @property
    def overflow_events(self) -> int | None:
        """Sum of overflow events; 0 where no values were computed, None where a layer's were not counted."""
        return sum_or_none(layer.overflow.events for layer in self.layers if layer.overflow)
