"""The roofline: what each layer reaches, under what its operational intensity and the device allow."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.text import Annotation
from matplotlib.ticker import FuncFormatter

from reports.figures_style import (
    BLUE,
    FAINT,
    GREEN,
    GREY,
    INK,
    OCHRE,
    VERMILION,
    Drawing,
    legend,
    new_axes,
    printable,
    shortened,
    styled,
)
from reports.units import percent, three_digits
from simulator.records.layer import LayerRecord
from simulator.records.run import RunRecord

_BOUNDS = {"compute": (BLUE, "o"), "load": (VERMILION, "s"), "store": (OCHRE, "^"), "vector": (GREEN, "D")}
"""Colour and marker of what a layer's time goes to; the marker tells it without colour."""
_OTHER = (GREY, "v")
_NAMED = 6
_PLACES = ((1, 0, "left"), (-1, 0, "right"), (0, 1, "center"), (0, -1, "center"), (1, 1, "left"), (-1, -1, "right"))
"""Where a point's number may stand: direction from the point and alignment, the best first."""


def roofline(record: RunRecord) -> Drawing | None:
    """Draw MACs per cycle against MACs per byte of DRAM traffic; None where no layer has MACs, traffic and time.

    The roof is min(peak_macs_per_cycle, dram_bytes_per_cycle * operational_intensity).
    """
    layers = [layer for layer in record.layers if layer.macs and layer.dram_bytes and layer.total_cycles]
    if not layers:
        return None
    figure, axes = new_axes(4.4)
    intensity = np.array([layer.operational_intensity for layer in layers])
    reached = np.array([layer.macs / layer.total_cycles for layer in layers])
    _roof(axes, record, intensity, reached)
    titles = _points(axes, record, layers, intensity, reached)
    _finish(axes, record)
    longest = sorted(range(len(layers)), key=lambda i: (-layers[i].total_cycles, i))[:_NAMED]
    _number(figure, axes, layers, longest)
    left_out = len(record.layers) - len(layers)
    names = [f"{layers[i].index} {shortened(layers[i].name, 48)}" for i in longest]
    caption = (
        f"{len(layers)} layers with MACs. The larger a point, the larger its share of all cycles. "
        f"Longest: {', '.join(names)}."
        + (f" Not shown: {left_out} layers without MACs or without DRAM traffic." if left_out else "")
    )
    alt = (
        f"Roofline: {len(layers)} layers under a peak of {record.peak_macs_per_cycle} MACs a cycle and a bandwidth of "
        f"{three_digits(record.dram_bytes_per_cycle)} bytes a cycle."
    )
    return Drawing("roofline", figure, alt, titles, caption)


def _roof(axes: Axes, record: RunRecord, intensity: np.ndarray, reached: np.ndarray) -> None:
    peak, bandwidth = record.peak_macs_per_cycle, record.dram_bytes_per_cycle
    ridge = peak / bandwidth
    low, high = min(intensity.min(), ridge) / 3, max(intensity.max(), ridge) * 4
    bottom = min(reached.min() / 2.5, peak / 50)
    axes.set(xscale="log", yscale="log", xlim=(low, high), ylim=(bottom, peak * 2.4))
    with styled():
        axes.plot([low, ridge], [low * bandwidth, peak], color=INK, linewidth=1.4)
        axes.plot([ridge, high], [peak, peak], color=INK, linewidth=1.4)
        axes.plot([ridge, ridge], [bottom, peak], color=FAINT, linewidth=0.8, linestyle=(0, (2, 3)))
        axes.annotate(
            f"peak {peak} MACs/cycle", (high, peak), (-4, 4), textcoords="offset points", ha="right", va="bottom"
        )
        shown = max(low, bottom / bandwidth) * 1.15
        axes.annotate(
            f"DRAM {three_digits(bandwidth)} B/cycle",
            (shown, shown * bandwidth),
            (0, 4),
            textcoords="offset points",
            rotation=45,
            rotation_mode="anchor",
            transform_rotates_text=True,
            va="bottom",
        )


def _points(
    axes: Axes, record: RunRecord, layers: list[LayerRecord], intensity: np.ndarray, reached: np.ndarray
) -> dict[str, str]:
    titles = {}
    clock_ghz = record.clock_mhz / 1e3
    bounds = [layer.bound if layer.bound in _BOUNDS else "other" for layer in layers]
    for bound in sorted(set(bounds), key=[*_BOUNDS, "other"].index):
        colour, marker = _BOUNDS.get(bound, _OTHER)
        # Off the axes: an entry of the legend in one size, whatever the layers' shares.
        axes.plot([], [], marker, color=colour, markersize=7, label=f"bound by {bound}" if bound != "other" else bound)
    for layer, bound, x, y in zip(layers, bounds, intensity, reached, strict=True):
        colour, marker = _BOUNDS.get(bound, _OTHER)
        share = layer.total_cycles / record.total_cycles
        axes.plot(
            [x],
            [y],
            marker,
            markersize=4.5 + 22 * share**0.5,
            color=colour,
            alpha=0.75,
            markeredgewidth=0,
            gid=f"layer-{layer.index}",
        )
        titles[f"layer-{layer.index}"] = (
            f"{layer.index} {printable(layer.name)} ({layer.op})\n{three_digits(x)} MACs/byte\n"
            f"{three_digits(y)} MACs/cycle = {three_digits(y * clock_ghz)} GMAC/s\n"
            f"{percent(share)} of all cycles, bound by {layer.bound or 'nothing'}"
        )
    return titles


def _finish(axes: Axes, record: RunRecord) -> None:
    plain = FuncFormatter(lambda value, _: f"{value:g}")
    clock_ghz = record.clock_mhz / 1e3
    with styled():
        axes.set(xlabel="operational intensity, MACs per byte of DRAM traffic", ylabel="MACs per cycle")
        axes.xaxis.set_major_formatter(plain)
        axes.yaxis.set_major_formatter(plain)
        axes.grid(which="major")
        side = axes.secondary_yaxis("right", functions=(_times(clock_ghz), _times(1 / clock_ghz)))
        side.set_ylabel("GMAC/s")
        side.yaxis.set_major_formatter(plain)
        side.spines["right"].set_visible(False)
        legend(axes)


def _times(factor: float) -> Callable[[Any], Any]:
    return lambda values: np.asarray(values) * factor


def _number(figure: Figure, axes: Axes, layers: list[LayerRecord], longest: list[int]) -> None:
    """Write the longest layers' indices, each at the first place beside its point where nothing is written yet."""
    with styled():
        figure.draw_without_rendering()
        points = {str(line.get_gid()): line for line in axes.lines if str(line.get_gid()).startswith("layer-")}
        taken = [text.get_window_extent() for text in axes.texts]
        taken += [line.get_window_extent() for line in points.values()]
        for i in longest:
            where = (layers[i].operational_intensity, layers[i].macs / layers[i].total_cycles)
            away = points[f"layer-{layers[i].index}"].get_markersize() / 2 + 3
            for dx, dy, align in _PLACES:
                text = axes.annotate(
                    str(layers[i].index),
                    where,
                    (dx * away, dy * (away + 4)),
                    textcoords="offset points",
                    ha=align,
                    va="center",
                )
                box = Annotation.get_window_extent(text)
                if not any(box.overlaps(other) for other in taken):
                    taken.append(box)
                    break
                text.remove()
