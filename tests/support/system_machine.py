"""A program of the clocked system on the compiled tile machine, and where the two are meant to be the same."""

from __future__ import annotations

import numpy as np

from simulator.kernels import timeline
from simulator.kernels.clocked_system import TILE_OP
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
            timeline.TAKE_INPUT * row["takes_input"]
            | timeline.TAKE_WEIGHT * row["takes_weight"]
            | timeline.GIVE_INPUT * row["gives_input"]
            | timeline.GIVE_WEIGHT * row["gives_weight"]
            | timeline.TAKE_RESULT * row["takes_result"]
        )
        table[i, timeline.WORK] = work_cycles[i]
        for moved, lead in zip(_transfers(row), (timeline.LOAD_LEAD, timeline.STORE_LEAD), strict=True):
            if moved:
                requests = [size for one in moved for _, size in one.requests(path.burst_bytes)]
                parts = transfer(sum(requests), len(requests), len(moved), path)
                table[i, lead : lead + 3] = parts.lead_cycles, parts.bus_cycles, parts.tail_cycles
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


def bus_is_never_idle(dma: ClockedDma, program: Program) -> bool:
    """Whether the machine's picture holds: alike requests, and enough of them in flight to cover a round trip.

    Then a transfer, once its first data are on the bus, leaves no gap in which the other half's could be.
    """
    for row in rows_of(program):
        for moved in filter(None, _transfers(row)):
            sizes = {size for one in moved for _, size in one.requests(dma.burst_bytes)}
            data = max(sizes) // dma.bus_bytes * dma.interval_cycles
            if len(sizes) > 1 or dma.max_outstanding * data < dma.latency_cycles + data:
                return False
    return True
