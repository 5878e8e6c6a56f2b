"""A program of the clocked system on the compiled tile machine."""

from __future__ import annotations

from enum import StrEnum

import numpy as np

from simulator.kernels import timeline
from simulator.kernels.clocked_system import TILE_OP
from simulator.kernels.transfers import NOT_BOUND
from simulator.timing.clocked_dma import ClockedDma, Descriptor
from simulator.timing.clocked_program import ClockedSystem, Program
from simulator.timing.dma import transfer

_LOADS = ("activation", "weight", "constant")


def _descriptor(row: dict[str, int], name: str) -> Descriptor:
    return Descriptor(*(row[f"{name}_{field}"] for field in ("address", "segments", "segment_bytes", "stride")))


def _transfers(row: dict[str, int]) -> tuple[list[Descriptor], list[Descriptor]]:
    """Descriptors that a tile operation loads, and that it stores."""
    loads = [_descriptor(row, name) for name in _LOADS[row["load_first"] : row["load_last"] + 1]]
    return loads, [_descriptor(row, "store")] if row["stores"] else []


def rows_of(program: Program) -> list[dict[str, int]]:
    return [dict(zip(TILE_OP, numbers, strict=True)) for numbers in program.rows.tolist()]


def machine_intervals(system: ClockedSystem, program: Program, work_cycles: np.ndarray) -> tuple[int, np.ndarray]:
    """End, and int64 [ops, 6] begin and end of load, work and store, on the tile machine (simulator/timing)."""
    path, rows = system.dma.path, rows_of(program)
    table = np.zeros((len(rows), timeline.COLUMNS), np.int64)
    for i, row in enumerate(rows):
        table[i, timeline.FLAGS] = (
            timeline.TAKE_INPUT * row["load_takes_input"]
            | timeline.TAKE_WEIGHT * row["takes_weight"]
            | timeline.GIVE_INPUT * row["gives_input"]
            | timeline.GIVE_WEIGHT * row["gives_weight"]
            | timeline.TAKE_RESULT * row["takes_result"]
        )
        table[i, timeline.WORK] = work_cycles[i]
        for moved, lead, behind in zip(
            _transfers(row),
            (timeline.LOAD_LEAD, timeline.STORE_LEAD),
            (timeline.LOAD_BEHIND, timeline.STORE_BEHIND),
            strict=True,
        ):
            if moved:
                descriptors = tuple((one.segments * one.segment_bytes, one.segments) for one in moved)
                parts = transfer(descriptors, path)
                table[i, lead : lead + 3] = parts.lead_cycles, parts.bus_cycles, parts.tail_cycles
                late = parts.issued_behind_cycles
                late = NOT_BOUND if late is None else late + parts.latency_cycles
                table[i, behind : behind + 3] = parts.behind_cycles, parts.issued_cycles, late
    times, intervals = np.zeros(timeline.TIMES, np.int64), np.zeros((len(rows), 6), np.int64)
    nothing = np.zeros(0, np.int64), np.zeros((0, 4, 2), np.int64), np.zeros((0, 4, 2), np.int64)
    status = timeline.run_layer(
        np.arange(len(rows), dtype=np.int32),
        np.ones(len(rows), np.int64),
        table,
        path.setup_cycles + path.latency_cycles,
        times,
        intervals,
        *nothing,
    )
    assert status == timeline.DONE
    return int(times[timeline.END]), intervals


class Kind(StrEnum):
    """What the requests of a program are like, the hardest of its transfers deciding."""

    LEVEL = "layers with alike requests in each transfer, the bus never idle within one"
    FEW = "layers with alike requests, too few in flight to cover a round trip"
    MIXED = "layers with requests of several lengths in a transfer"


def kind_of(dma: ClockedDma, program: Program) -> Kind:
    """Say what a program's requests are like."""
    kind = Kind.LEVEL
    for row in rows_of(program):
        for moved in filter(None, _transfers(row)):
            sizes = {size for one in moved for _, size in one.requests(dma.burst_bytes)}
            data = max(sizes) // dma.bus_bytes * dma.interval_cycles
            if len(sizes) > 1:
                return Kind.MIXED
            if dma.max_outstanding * data < dma.latency_cycles + data:
                kind = Kind.FEW
    return kind
