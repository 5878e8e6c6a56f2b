"""Where a whole run's time, energy and traffic go: a bar for each cause, component and memory."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields

from matplotlib.patches import Rectangle

from reports.figures_style import (
    BLUE,
    COMPONENTS,
    GREEN,
    GREY,
    HALF_WIDTH_IN,
    INK,
    OCHRE,
    SKY,
    VERMILION,
    VIOLET,
    Drawing,
    new_axes,
    quantity,
    scaled,
    styled,
)
from reports.units import percent
from simulator.records.layer import EnergyRecord
from simulator.records.run import RunRecord

_THICKNESS = 0.72


@dataclass(frozen=True)
class Bar:
    """One bar."""

    label: str
    colour: str
    value: float
    text: str
    """What stands at its end."""


def time(record: RunRecord) -> Drawing | None:
    """Draw what all cycles are spent on, and beside it how long each DMA is occupied; None without time."""
    total = record.total_cycles
    if not total:
        return None
    causes = latency_causes(record)
    busy = {
        "load DMA occupied": (SKY, sum(layer.load_cycles for layer in record.layers)),
        "store DMA occupied": (SKY, sum(layer.store_cycles for layer in record.layers)),
    }
    rows = [(name, *found) for name, found in (causes | busy).items() if found[1]]
    bars = [Bar(name, colour, cycles, percent(cycles / total)) for name, colour, cycles in rows]
    caption = f"Shares of {quantity(total, 'cycles')}. DMA works behind what computes; it is no part of their sum."
    return _drawn("time", f"Where the time goes. {caption}", bars, "cycles", caption)


def latency_causes(record: RunRecord) -> dict[str, tuple[str, int]]:
    """Return what cycles are spent on, {cause: (colour, cycles)}; layers follow each other, so they add up to all."""
    computing = dict.fromkeys(("array", "vector", "host", "dma"), 0)
    for layer in record.layers:
        computing[layer.engine] = computing.get(layer.engine, 0) + layer.compute_cycles
    loads = sum(layer.load_stall_cycles for layer in record.layers)
    stores = sum(layer.store_stall_cycles for layer in record.layers)
    named = {
        "array computing": (BLUE, computing["array"]),
        "vector unit computing": (GREEN, computing["vector"]),
        "host computing": (VIOLET, computing["host"]),
        "waiting for loads": (VERMILION, loads),
        "waiting for stores": (OCHRE, stores),
    }
    rest = record.total_cycles - sum(cycles for _, cycles in named.values())
    return named | {"waiting otherwise": (GREY, max(0, rest))}


def components(record: RunRecord) -> Drawing | None:
    """Draw the energy of each component, the largest first; None where there is none."""
    total = record.total_energy_pj
    if not total:
        return None
    found = {p.name: sum(getattr(layer.energy, p.name) for layer in record.layers) for p in fields(EnergyRecord)}
    largest_first = sorted(found, key=lambda name: -found[name])
    bars = [Bar(*COMPONENTS[name], found[name], percent(found[name] / total)) for name in largest_first if found[name]]
    caption = f"Total {quantity(total, 'pJ')}."
    return _drawn("components", f"Energy by component. {caption}", bars, "pJ", caption)


def memories(record: RunRecord) -> Drawing | None:
    """Draw the bytes read from and written to each memory, DRAM first; None where nothing is moved."""
    bars = []
    for memory, label in (
        ("dram", "DRAM"),
        ("input_scratchpad", "input scratchpad"),
        ("weight_scratchpad", "weight scratchpad"),
        ("accumulator", "accumulator"),
    ):
        for way, word, colour in (("read", "read", BLUE), ("write", "written", OCHRE)):
            size = sum(getattr(layer, f"{memory}_{way}_bytes") for layer in record.layers)
            bars.append(Bar(f"{label} {word}", colour, size, quantity(size, "B")))
    if not any(bar.value for bar in bars):
        return None
    caption = "Bytes read from and written to each memory by the whole run."
    return _drawn("memories", f"Traffic by memory. {caption}", bars, "B", caption)


def _drawn(name: str, alt: str, bars: Sequence[Bar], unit: str, caption: str) -> Drawing:
    """Draw horizontal bars from the top, each with its name before it and its text behind it."""
    figure, axes = new_axes(0.62 + 0.27 * len(bars), HALF_WIDTH_IN)
    largest = max((bar.value for bar in bars), default=0.0)
    divisor, unit_name = scaled(largest, unit)
    limit = largest / divisor * 1.28 or 1.0
    titles = {}
    with styled():
        for place, bar in enumerate(bars):
            length = bar.value / divisor
            strip = Rectangle((0, place - _THICKNESS / 2), length, _THICKNESS, color=bar.colour, linewidth=0)
            axes.add_patch(strip)
            axes.annotate(bar.text, (length, place), (4, 0), textcoords="offset points", va="center", color=INK)
            hover = Rectangle((0, place - 0.5), limit, 1, fill=False, edgecolor="none", gid=f"bar-{place}")
            axes.add_patch(hover)
            titles[f"bar-{place}"] = f"{bar.label}: {quantity(bar.value, unit)}"
        axes.set(xlim=(0, limit), ylim=(len(bars) - 0.4, -0.6), xlabel=unit_name)
        axes.set_yticks(range(len(bars)), [bar.label for bar in bars])
        axes.tick_params(axis="y", length=0)
        axes.locator_params(axis="x", nbins=5)
        axes.grid(axis="x")
    return Drawing(name, figure, alt, titles, caption)
