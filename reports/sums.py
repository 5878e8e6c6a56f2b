"""Several layers as one: what is counted is added, what is a ratio is formed anew from the sums."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields
from typing import Any

from simulator.records.activity import ActivityRecord
from simulator.records.layer import EnergyRecord, LayerRecord
from simulator.records.overflow import OverflowRecord, sum_or_none

_KEPT = ("index", "start_cycle", "end_cycle", "live_bytes")
_ADDED = tuple(part.name for part in fields(LayerRecord) if part.type == "int" and part.name not in _KEPT)
_COUNTS = ("events", "partial_sum_events", "accumulator_events", "affected_outputs", "saturations")


def summed(name: str, layers: Sequence[LayerRecord], peak_macs_per_cycle: int) -> LayerRecord:
    """Return `layers`, at least one, as a single layer of that name.

    `utilization` is the sum of MACs over processing elements times the sum of total_cycles, as that of a run is;
    `mapping_utilization` has the cycles in which the array computes below the line. Needed bits and live bytes are the
    largest, widths are kept where all layers have the same. `bound` and shapes are left out: a block has none, nor a
    count of events that one of the layers has not.
    """
    added = {field: sum(getattr(layer, field) for layer in layers) for field in _ADDED}
    busy = sum(layer.compute_cycles for layer in layers if layer.engine == "array")
    return LayerRecord(
        index=min(layer.index for layer in layers),
        name=name,
        op=f"{len(layers)} layers" if len(layers) > 1 else "1 layer",
        engine=", ".join(dict.fromkeys(layer.engine for layer in layers)),
        input_shape=(),
        output_shape=(),
        start_cycle=min(layer.start_cycle for layer in layers),
        end_cycle=max(layer.end_cycle for layer in layers),
        live_bytes=max(layer.live_bytes for layer in layers),
        mapping_utilization=added["macs"] / (peak_macs_per_cycle * busy) if busy else 0.0,
        utilization=added["macs"] / (peak_macs_per_cycle * added["total_cycles"]) if added["total_cycles"] else 0.0,
        energy=_energy(layers),
        activity=_activity(layers),
        overflow=_overflow(layers),
        **added,
    )


def _energy(layers: Sequence[LayerRecord]) -> EnergyRecord:
    parts = [part.name for part in fields(EnergyRecord)]
    return EnergyRecord(**{part: sum(getattr(layer.energy, part) for layer in layers) for part in parts})


def _activity(layers: Sequence[LayerRecord]) -> ActivityRecord | None:
    found = [layer.activity for layer in layers if layer.activity]
    if not found:
        return None
    counts = [part.name for part in fields(ActivityRecord) if part.name != "array_pj"]
    prices = [record.array_pj for record in found if record.array_pj is not None]
    return ActivityRecord(
        **{part: sum(getattr(record, part) for record in found) for part in counts},
        array_pj=sum(prices) if len(prices) == len(found) else None,
    )


def _overflow(layers: Sequence[LayerRecord]) -> OverflowRecord | None:
    found = [layer.overflow for layer in layers if layer.overflow]
    if not found:
        return None
    counts: dict[str, Any] = {part: sum_or_none(getattr(record, part) for record in found) for part in _COUNTS}
    summing = [record for record in found if record.needed_bits is not None]
    if not summing:
        return OverflowRecord(**counts)
    needed = max(record.needed_bits or 0 for record in summing)
    return OverflowRecord(
        **counts,
        needed_bits=needed,
        # One layer measured at the most is enough: no bound of another is higher.
        needed_bits_is_exact=any(la.needed_bits_is_exact for la in summing if la.needed_bits == needed),
        partial_sum_needed_bits=_most([la.partial_sum_needed_bits for la in summing]),
        accumulator_needed_bits=_most([la.accumulator_needed_bits for la in summing]),
        partial_sum_bits=_common([la.partial_sum_bits for la in summing]),
        accumulator_bits=_common([la.accumulator_bits for la in summing]),
    )


def _most(bits: list[int | None]) -> int | None:
    return max((width for width in bits if width is not None), default=None)


def _common(bits: list[int | None]) -> int | None:
    return bits[0] if len(set(bits)) == 1 else None
