"""Bars by layer: with names beside them while the layers are few, thin columns over an index when they are many."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import PathPatch, Rectangle
from matplotlib.path import Path
from matplotlib.ticker import MaxNLocator

from reports.figures_style import FAINT, Drawing, legend, new_axes, printable, quantity, scaled, shortened, styled
from reports.units import percent
from simulator.records.layer import LayerRecord

MOST_ROWS = 24
"""Layers up to which each has a row of its own with its name."""
_NAMED = 5
_THICKNESS = 0.76
_APART = 0.036
"""Share of the axes that a number of three digits takes."""


@dataclass(frozen=True)
class Series:
    """One part of every layer's bar."""

    label: str
    colour: str
    values: Sequence[float]


@dataclass(frozen=True)
class LayerAxes:
    """Axes on which every layer has a place: rows from the top, or columns from the left."""

    figure: Figure
    axes: Axes
    layers: Sequence[LayerRecord]
    rows: bool

    @classmethod
    def of(cls, layers: Sequence[LayerRecord]) -> LayerAxes:
        """Make axes for `layers`; their places are their positions in the sequence."""
        rows = len(layers) <= MOST_ROWS
        figure, axes = new_axes(0.95 + 0.235 * len(layers) if rows else 3.3)
        return cls(figure, axes, layers, rows)

    def bars(self, start: np.ndarray, length: np.ndarray, colour: str, label: str) -> None:
        """Draw a bar for each layer of which it has any, all as one path: a long network's SVG stays small."""
        places = np.flatnonzero(length > 0)
        low, high = places - _THICKNESS / 2, places + _THICKNESS / 2
        near, far = start[places], start[places] + length[places]
        corners = [(low, near), (high, near), (high, far), (low, far), (low, near)]
        points = np.stack([np.stack(corner, axis=-1) for corner in corners], axis=1).reshape(-1, 2)
        codes = np.tile([Path.MOVETO, Path.LINETO, Path.LINETO, Path.LINETO, Path.CLOSEPOLY], len(places))
        path = Path(points[:, ::-1] if self.rows else points, codes.astype(Path.code_type))
        self.axes.add_patch(PathPatch(path, facecolor=colour, edgecolor="none", label=label))

    def hover(self, limit: float, texts: Mapping[int, str]) -> dict[str, str]:
        """Lay an invisible strip over each layer's place; return the text of each, by gid."""
        titles = {}
        for place, text in texts.items():
            corner, size = ((0, place - 0.5), (limit, 1)) if self.rows else ((place - 0.5, 0), (1, limit))
            strip = Rectangle(corner, *size, fill=False, edgecolor="none", gid=f"layer-{self.layers[place].index}")
            self.axes.add_patch(strip)
            titles[str(strip.get_gid())] = text
        return titles

    def mark(self, place: int, value: float, text: str, colour: str = FAINT) -> None:
        """Write a few characters at the end of a layer's bar."""
        with styled():
            where = (value, place) if self.rows else (place, value)
            offset, h, v = ((4, 0), "left", "center") if self.rows else ((0, 2), "center", "bottom")
            self.axes.annotate(
                text, where, offset, textcoords="offset points", ha=h, va=v, fontsize=8.5, color=colour, clip_on=False
            )

    def spread(self, places: Sequence[int]) -> list[int]:
        """Of `places`, the most important first, keep those whose columns can bear a number without touching."""
        kept: list[int] = []
        for place in places:
            if all(abs(place - other) >= _APART * len(self.layers) for other in kept):
                kept.append(place)
        return kept

    def finish(self, limit: float, value_label: str) -> None:
        """Set limits, names or indices, and the label of the values' axis."""
        with styled():
            if self.rows:
                names = [f"{shortened(layer.name)}  {layer.index}" for layer in self.layers]
                self.axes.set(xlim=(0, limit), ylim=(len(self.layers) - 0.4, -0.6), xlabel=value_label)
                self.axes.set_yticks(range(len(self.layers)), names)
                self.axes.tick_params(axis="y", length=0)
            else:
                self.axes.set(ylim=(0, limit), xlim=(-0.8, len(self.layers) - 0.2), ylabel=value_label)
                self.axes.set_xlabel("layer index")
                self.axes.xaxis.set_major_locator(MaxNLocator(13, integer=True, steps=[1, 2, 5, 10]))
            self.axes.grid(axis="x" if self.rows else "y")


def stacked(name: str, title: str, layers: Sequence[LayerRecord], series: Sequence[Series], unit: str) -> Drawing:
    """Draw one stacked bar a layer.

    Parameters
    ----------
    name, title
        Short name of the drawing; what it shows, for its alternative text.
    layers
        All layers of the run.
    series
        Parts of the bars, one value a layer; parts that are 0 everywhere are left out.
    unit
        Unit of the values: cycles, pJ, B; the axis shows a fitting multiple.

    """
    shown = [part for part in series if any(value > 0 for value in part.values)]
    table = np.array([part.values for part in shown], dtype=np.float64).reshape(len(shown), len(layers))
    totals = table.sum(axis=0)
    divisor, unit_name = scaled(float(totals.max(initial=0)), unit)
    limit = float(totals.max(initial=0)) / divisor * (1.12 if len(layers) <= MOST_ROWS else 1.09) or 1.0
    places = LayerAxes.of(layers)
    start = np.zeros(len(layers))
    for part, values in zip(shown, table, strict=True):
        places.bars(start / divisor, values / divisor, part.colour, part.label)
        start = start + values
    largest = [int(i) for i in np.argsort(-totals, kind="stable")[:_NAMED] if totals[i] > 0]
    for place in map(int, np.flatnonzero(totals)) if places.rows else places.spread(largest):
        text = f"{totals[place] / totals.sum():.1%}" if places.rows else str(layers[place].index)
        places.mark(place, float(totals[place]) / divisor, text)
    places.finish(limit, unit_name)
    with styled():
        legend(places.axes)
    texts = {i: _hover_text(layers[i], shown, table[:, i], unit) for i in range(len(layers))}
    caption = f"Total {quantity(float(totals.sum()), unit)}."
    if not places.rows:
        names = [
            f"{layers[i].index} {shortened(layers[i].name, 48)} ({percent(totals[i] / totals.sum())})" for i in largest
        ]
        caption += f" Largest: {', '.join(names)}."
    return Drawing(name, places.figure, f"{title}. {caption}", places.hover(limit, texts), caption)


def _hover_text(layer: LayerRecord, shown: Sequence[Series], values: np.ndarray, unit: str) -> str:
    parts = [f"{part.label}: {quantity(float(v), unit)}" for part, v in zip(shown, values, strict=True) if v > 0]
    return f"{layer.index} {printable(layer.name)} ({layer.op})\n" + "\n".join(parts or ["nothing"])
