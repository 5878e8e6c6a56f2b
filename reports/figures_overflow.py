"""Overflow and headroom: the bits that each layer's sums need, against the registers that hold them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from reports.events import count_text, severity, severity_text
from reports.figures_layers import MOST_ROWS, LayerAxes
from reports.figures_style import BLUE, INK, OCHRE, SKY, VERMILION, Drawing, legend, printable, styled
from simulator.records.layer import LayerRecord
from simulator.records.overflow import OverflowRecord
from simulator.records.run import RunRecord

_WORST_MARKED = 6


def overflow(record: RunRecord) -> Drawing | None:
    """Draw needed against available bits of every layer on the array; None where no values were computed."""
    on_array = [
        layer for layer in record.layers if layer.overflow and layer.overflow.accumulator_needed_bits is not None
    ]
    if not on_array:
        return None
    # Columns stand at the layers' indices, so a long network keeps the gaps of those that are off the array.
    layers = on_array if len(on_array) <= MOST_ROWS else list(record.layers)
    ledgers = [layer.overflow or OverflowRecord() for layer in layers]
    places = LayerAxes.of(layers)
    needed = np.array([ledger.accumulator_needed_bits or 0 for ledger in ledgers], dtype=np.float64)
    hit = np.array([ledger.affected_outputs > 0 for ledger in ledgers])
    exact = np.array([ledger.needed_bits_is_exact for ledger in ledgers])
    zero = np.zeros(len(layers))
    for mask, colour, label in (
        (~hit & exact, BLUE, "needs, measured"),
        (~hit & ~exact, SKY, "needs at most"),
        (hit, VERMILION, "overflowed"),
    ):
        if needed[mask].any():
            places.bars(zero, needed * mask, colour, label)
    _partial_sums(places, ledgers)
    _widths(places, ledgers)
    widest = max(needed.max(), *(bits for ledger in ledgers for bits in _all_bits(ledger)))
    limit = float(widest) * 1.12
    _mark_events(places, layers, needed)
    places.finish(limit, "bits")
    with styled():
        legend(places.axes, 3)
    titles = places.hover(limit, {i: _hover_text(layer) for i, layer in enumerate(layers) if layer in on_array})
    caption = _caption(record, on_array)
    return Drawing(
        "overflow", places.figure, f"Needed and available accumulator bits by layer. {caption}", titles, caption
    )


def _all_bits(ledger: OverflowRecord) -> list[int]:
    return [
        bits
        for bits in (ledger.accumulator_bits, ledger.partial_sum_bits, ledger.partial_sum_needed_bits)
        if bits is not None
    ]


def _partial_sums(places: LayerAxes, ledgers: Sequence[OverflowRecord]) -> None:
    needed = {i: ledger.partial_sum_needed_bits or 0 for i, ledger in enumerate(ledgers) if ledger.partial_sum_bits}
    if needed:
        at, bits = list(needed), list(needed.values())
        across, up = (bits, at) if places.rows else (at, bits)
        size = 6 if places.rows else 4
        places.axes.plot(
            across, up, "D", markersize=size, color=OCHRE, markeredgecolor="none", label="partial sum needs"
        )


def _widths(places: LayerAxes, ledgers: Sequence[OverflowRecord]) -> None:
    """Draw each register's width as a step over the layers; one line where both have the same."""
    accumulator = [ledger.accumulator_bits for ledger in ledgers]
    partial = [ledger.partial_sum_bits for ledger in ledgers]
    same = accumulator == partial
    lines: list[tuple[str, list[int | None], Any]] = [
        ("register width" if same else "accumulator width", accumulator, "-")
    ]
    if not same and any(bits is not None for bits in partial):
        lines.append(("partial-sum width", partial, (0, (4, 2))))
    for label, widths, style in lines:
        at = np.array([i for i, bits in enumerate(widths) if bits is not None])
        edges = np.stack([at - 0.5, at + 0.5], axis=1).reshape(-1)
        values = np.repeat(np.array([bits for bits in widths if bits is not None]), 2)
        across, up = (values, edges) if places.rows else (edges, values)
        places.axes.plot(across, up, color=INK, linewidth=1.5, linestyle=style, label=label)


def _mark_events(places: LayerAxes, layers: Sequence[LayerRecord], needed: np.ndarray) -> None:
    hit = {i: layer.overflow for i, layer in enumerate(layers) if layer.overflow and layer.overflow.affected_outputs}
    worst = sorted(hit, key=lambda i: (-severity(hit[i]), i))
    for i in worst if places.rows else places.spread(worst)[:_WORST_MARKED]:
        text = severity_text(hit[i]) if places.rows else str(layers[i].index)
        places.mark(i, float(needed[i]), text, VERMILION)


def _hover_text(layer: LayerRecord) -> str:
    ledger = layer.overflow
    if ledger is None:
        return layer.name
    at_most = "" if ledger.needed_bits_is_exact else "at most "
    lines = [
        f"{layer.index} {printable(layer.name)} ({layer.op})",
        f"accumulator: {at_most}{ledger.accumulator_needed_bits} of {ledger.accumulator_bits} bits",
    ]
    if ledger.partial_sum_needed_bits is not None:
        lines.append(f"partial sum: {at_most}{ledger.partial_sum_needed_bits} of {ledger.partial_sum_bits} bits")
    if ledger.outputs_by_needed_bits:
        shares = (f"{share:g} % need at most {ledger.bits_for(share / 100)}" for share in (50, 99, 99.9))
        lines.append(f"bits of the outputs' accumulators: {', '.join(shares)}")
    lines.append(f"{count_text(ledger.events)} events, {ledger.affected_outputs:,} outputs affected")
    if ledger.method:
        lines.append(f"found out by {ledger.method}")
    return "\n".join(lines)


def _caption(record: RunRecord, layers: Sequence[LayerRecord]) -> str:
    hit = [layer for layer in layers if layer.overflow and layer.overflow.affected_outputs]
    left_out = len(record.layers) - len(layers)
    text = f"{len(hit)} of {len(layers)} layers on the array overflowed. Bars: bits that the accumulator needs"
    proven = any(layer.overflow and not layer.overflow.needed_bits_is_exact for layer in layers)
    text += "; at most = a proven bound, not a measurement." if proven else "."
    return text + (f" Not shown: {left_out} layers off the array, which have no accumulator." if left_out else "")
