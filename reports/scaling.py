"""Why one device is so much faster than another, and no more: a speed-up as a product of factors.

The time of every layer is a sum: MACs / PEs (all PEs, all the time), PE cycles without a MAC, fill and drain, waits for
reads, waits for writes; a layer off the array is time of its engine. Taking these in one after another gives both
devices growing times and their ratio a path, from the ratio of PEs times clocks to the speed-up that was measured. Each
factor is one step of that path, so that the product is exact, in fractions, not rounded.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from math import prod

from simulator.errors import InputError
from simulator.records.layer import LayerRecord
from simulator.records.run import RunRecord

IDEAL = ("processing elements", "clock")
"""Factors of an ideal device, which has its MACs done by all PEs all the time."""
CAUSES = ("PEs without work", "fill and drain", "waits for DRAM reads", "waits for DRAM writes")
"""Parts of the time of a layer on the array beyond that, in the order in which they are taken in."""
ENGINES = {"vector": "vector unit", "dma": "moving data", "host": "host"}
"""Engine of layers off the array -> what their time is called; taken in last, in this order."""
DEFINITIONS = {
    "processing elements": "PEs of B / PEs of A, of all cores; the time of an ideal device is MACs / (PEs * clock)",
    "clock": "clock of B / clock of A",
    "PEs without work": "partly filled folds, padding of tiles, weights that load while nothing computes: "
    "on several cores those with less to do than the busiest: compute_cycles less fill, drain and MACs / PEs",
    "fill and drain": "tile_ops * (2 rows + cols + 2), output stationary + 1: the wave front enters and leaves; on "
    "several cores tile_ops of the mean core that works",
    "waits for DRAM reads": "load_stall_cycles: bandwidth, and the latency of what is not loaded ahead",
    "waits for DRAM writes": "store_stall_cycles: no room for results, or the last write of a layer on any core",
    "vector unit": "layers on the vector unit",
    "moving data": "layers that only move data",
    "host": "layers on the host",
}
"""What each factor takes in, in words of the record's fields."""


@dataclass(frozen=True)
class Factor:
    """One step from the ideal speed-up to the measured one."""

    name: str
    """See `DEFINITIONS`."""
    factor: Fraction
    """Speed-up after it / speed-up before it."""
    speedup: Fraction
    """Product of this factor and all before."""
    times_s: tuple[float, float]
    """Seconds of A and B that it takes in; with the first, MACs / PEs. They add up to the times of the runs."""


@dataclass(frozen=True)
class LayerScaling:
    """One layer on both devices."""

    name: str
    times_s: tuple[float, float]
    """Seconds on A and on B."""
    speedup: float
    """Time on A / time on B; 0 where B takes none."""
    lost_s: float
    """Seconds on B beyond what the ideal speed-up would leave of the time on A."""
    cause: str
    """What most of that is."""


@dataclass(frozen=True)
class Scaling:
    """How the time of a network changes from device A to device B."""

    network: str
    names: tuple[str, str]
    """Accelerators A and B."""
    times_s: tuple[float, float]
    """Seconds of a run."""
    factors: tuple[Factor, ...]
    """From the ideal speed-up to the measured one; their product is `speedup`, exactly."""
    layers: tuple[LayerScaling, ...]
    """All layers that take time, the one that loses most first."""

    @property
    def ideal(self) -> Fraction:
        """Speed-up of the array's peak: PEs times clock."""
        return prod((f.factor for f in self.factors if f.name in IDEAL), start=Fraction(1))

    @property
    def speedup(self) -> Fraction:
        """Time on A / time on B."""
        return self.factors[-1].speedup


def explain_scaling(first: RunRecord, second: RunRecord) -> Scaling:
    """Explain the ratio of the times of two runs of one network.

    Raises
    ------
    InputError
        Runs without time, or of different networks.

    """
    _check(first, second)
    ideal = (
        Fraction(second.peak_macs_per_cycle, first.peak_macs_per_cycle),
        Fraction(second.clock_mhz) / Fraction(first.clock_mhz),
    )
    parts = [[_parts(layer, record) for layer in record.layers] for record in (first, second)]
    peak = ideal[0] * ideal[1]
    records = first, second
    clocks = [Fraction(record.clock_mhz) * 10**6 for record in records]
    rates = [record.peak_macs_per_cycle * clock for record, clock in zip(records, clocks, strict=True)]
    totals = [first.total_macs / rate for rate in rates]
    factors = [Factor(IDEAL[0], ideal[0], ideal[0], (float(totals[0]), float(totals[1])))]
    if ideal[1] != 1:
        factors.append(Factor(IDEAL[1], ideal[1], peak, (0.0, 0.0)))
    for cause in (*CAUSES, *ENGINES.values()):
        more = [sum((layer.get(cause, Fraction(0)) for layer in side), Fraction(0)) for side in parts]
        added = [cycles / clock for cycles, clock in zip(more, clocks, strict=True)]
        if not any(added):
            continue
        totals = [total + seconds for total, seconds in zip(totals, added, strict=True)]
        before = factors[-1].speedup
        # A network without MACs begins here: it has no ideal to lose from.
        speedup = totals[0] / totals[1] if totals[0] and totals[1] else before
        factors.append(Factor(cause, speedup / before, speedup, (float(added[0]), float(added[1]))))
    return Scaling(
        first.network,
        _names(first, second),
        (first.total_time_s, second.total_time_s),
        tuple(factors),
        _layers(first, second, parts, peak),
    )


def _names(first: RunRecord, second: RunRecord) -> tuple[str, str]:
    """Return the names of the accelerators, made different where they are variants of one."""
    records = first, second
    if first.accelerator != second.accelerator:
        return first.accelerator, second.accelerator
    differ = first.cores != second.cores
    several = [f"{r.cores} core{'s' if r.cores > 1 else ''} of " if differ or r.cores > 1 else "" for r in records]
    sides = [f"{r.spec['array']['rows']} x {r.spec['array']['cols']} PEs" for r in records]
    a, b = (f"{r.accelerator} with {n}{pes}" for r, n, pes in zip(records, several, sides, strict=True))
    return (a, b) if a != b else (f"A ({first.accelerator})", f"B ({second.accelerator})")


def _check(first: RunRecord, second: RunRecord) -> None:
    for name, record in (("A", first), ("B", second)):
        if record.mode == "values" or not record.total_cycles:
            raise InputError(
                f"{name}: the run of {record.network} on {record.accelerator} has no time; run it with timing"
            )
    known = [[(layer.name, layer.macs) for layer in record.layers] for record in (first, second)]
    if known[0] == known[1]:
        return
    if len(known[0]) != len(known[1]):
        what = f"{len(known[0])} layers against {len(known[1])}"
    else:
        index = next(i for i, pair in enumerate(zip(*known, strict=True)) if pair[0] != pair[1])
        what = f"layer {index} is {known[0][index][0]} ({known[0][index][1]:,} MACs) against {known[1][index][0]}"
        what += f" ({known[1][index][1]:,} MACs)"
    raise InputError(
        f"A is a run of {first.network}, B of {second.network}, and they differ: {what}; give two runs of one"
    )


def _parts(layer: LayerRecord, record: RunRecord) -> Mapping[str, Fraction]:
    """Return the cycles of a layer beyond MACs / PEs, by cause; with those their sum is its total_cycles."""
    if layer.engine in ENGINES:
        return {ENGINES[layer.engine]: Fraction(layer.total_cycles)}
    ideal = Fraction(layer.macs, record.peak_macs_per_cycle)
    filling = _fill_and_drain(layer, record, layer.compute_cycles - ideal)
    return {
        "PEs without work": layer.compute_cycles - ideal - filling,
        "fill and drain": filling,
        "waits for DRAM reads": Fraction(layer.load_stall_cycles),
        "waits for DRAM writes": Fraction(layer.total_cycles - layer.compute_cycles - layer.load_stall_cycles),
    }


def _fill_and_drain(layer: LayerRecord, record: RunRecord, most: Fraction) -> Fraction:
    """Cycles in which first operands are read and the wave front enters and leaves the array (`array_cycles`).

    Command loops have no such closed form: theirs is among the PEs without work.
    """
    array = record.spec["array"]
    if record.spec.get("controller"):
        return Fraction(0)
    stages = 3 if array["dataflow"] == "weight_stationary" else 2
    working = sum(cycles > 0 for cycles in layer.core_compute_cycles) or 1
    return min(most, Fraction(layer.tile_ops * (2 * array["rows"] + array["cols"] + stages), working))


def _layers(
    first: RunRecord, second: RunRecord, parts: list[list[Mapping[str, Fraction]]], ideal: Fraction
) -> tuple[LayerScaling, ...]:
    clocks = first.clock_mhz * 1e6, second.clock_mhz * 1e6
    found = []
    for a, b, of_a, of_b in zip(first.layers, second.layers, *parts, strict=True):
        if not a.total_cycles and not b.total_cycles:
            continue
        times = a.total_cycles / clocks[0], b.total_cycles / clocks[1]
        lost = {
            cause: float(of_b.get(cause, 0)) / clocks[1] - float(of_a.get(cause, 0)) / clocks[0] / float(ideal)
            for cause in {**of_a, **of_b}
        }
        speedup = times[0] / times[1] if times[1] else 0.0
        cause = max(lost, key=lambda name: lost[name])
        found.append(LayerScaling(a.name, times, speedup, times[1] - times[0] / float(ideal), cause))
    return tuple(sorted(found, key=lambda layer: -layer.lost_s))
