"""Where the time of a design point goes, layer by layer: as a table, as CSV."""

from __future__ import annotations

import csv
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from reports.units import percent, short_name


@dataclass(frozen=True)
class LayerShare:
    """The part that a layer has in the time of a run."""

    layer: str
    """Its name."""
    engine: str
    """Who works on it: array, vector, dma or host."""
    bound: str
    """The busiest of its engines: compute, vector, host, load or store."""
    share: float
    """Its cycles / all cycles of the run."""
    compute_share: float
    """The part of `share` in which its engine works."""
    load_stall_share: float
    """The part of `share` spent waiting for operands from DRAM."""
    store_stall_share: float
    """The part of `share` spent waiting for room in the output buffer, or for the last write."""


HEADERS = {
    "layer": "Longest first.",
    "bound by": "The busiest of the layer's engines.",
    "of the time": "Cycles of the layer / cycles of the run.",
    "works": "The part in which its engine works.",
    "waits for reads": "The part spent waiting for operands from DRAM.",
    "waits for writes": "The part spent waiting for room in the output buffer, or for the last write.",
}
"""Columns of `share_rows`, with what they mean."""


def longest(layers: Sequence[LayerShare], most: int) -> tuple[list[LayerShare], list[LayerShare]]:
    """Return the `most` layers that take longest, the longest first, and the others."""
    order = sorted(layers, key=lambda layer: -layer.share)
    return order[:most], order[most:]


def share_rows(layers: Sequence[LayerShare], most: int) -> list[dict[str, str]]:
    """Return the cells of a table: a row for each of the `most` longest layers, and one for all others together."""
    first, others = longest(layers, most)
    rows = [_row(short_name(layer.layer), layer.bound, [layer]) for layer in first]
    return rows + ([_row(f"{len(others)} other layers", "", others)] if others else [])


def _row(name: str, bound: str, layers: Sequence[LayerShare]) -> dict[str, str]:
    sums = (
        sum(layer.share for layer in layers),
        sum(layer.compute_share for layer in layers),
        sum(layer.load_stall_share for layer in layers),
        sum(layer.store_stall_share for layer in layers),
    )
    return dict(zip(HEADERS, (name, bound, *map(percent, sums)), strict=True))


def write_front_layers(
    path: Path, points: Sequence[tuple[str, str]], layers: Mapping[str, Sequence[LayerShare]]
) -> Path:
    """Write a row for each layer of each point; OSError where that fails, and then what was there before stays.

    Parameters
    ----------
    path
        Of the CSV file.
    points
        (network, point) in their order.
    layers
        Of each point, in the order of the schedule.

    """
    names = [field.name for field in fields(LayerShare)]
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with draft.open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, ["network", "point", *names])
            writer.writeheader()
            for network, point in points:
                rows = layers.get(point, ())
                writer.writerows({"network": network, "point": point} | asdict(layer) for layer in rows)
        return draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)
