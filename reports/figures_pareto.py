"""The Pareto front of a sweep: every point, and those that no other beats."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from reports.figures_style import BLUE, GREY, VERMILION, Drawing, legend, new_axes, styled
from reports.units import si, three_digits

_HEIGHT_IN = 4.2
_MOST_SHAPES = 2000
"""Of more points than that the cloud is drawn as pixels: a file of a shape each would be slow to open."""
_WORDS = {
    "total_time_s": ("time of a run", "s"),
    "total_cycles": ("cycles of a run", ""),
    "total_energy_pj": ("energy of a run", "J"),
    "edp_pj_s": ("energy x delay", "J s"),
    "total_area_mm2": ("area", "mm2"),
    "dram_bytes": ("DRAM traffic of a run", "B"),
    "frames_per_s": ("frames per second", ""),
    "tops_per_w": ("TOPS/W", ""),
    "utilization": ("utilization", ""),
    "average_power_w": ("average power", "W"),
    "accuracy_loss": ("labels that narrow registers change", ""),
    "miou_loss": ("mIoU that narrow registers cost", ""),
}
"""Figure -> what the axis says, and its unit without a prefix."""
LARGER_IS_BETTER = frozenset({"frames_per_s", "tops_per_w", "utilization"})
"""Figures of which more is better."""
_PICO = {"total_energy_pj", "edp_pj_s"}
_NO_PREFIX = {"", "mm2"}


def pareto(
    space: str,
    network: str,
    points: Sequence[Mapping[str, Any]],
    front: Sequence[Mapping[str, float]],
    objectives: Sequence[str],
) -> Drawing:
    """Draw all points of a network and its front; a third objective is the colour of the front's points."""
    x, y = objectives[0], objectives[1]
    figure, axes = new_axes(_HEIGHT_IN)
    with styled():
        every = f"{len(points)} points"
        many = len(points) > _MOST_SHAPES
        axes.scatter(*_columns(points, x, y), s=14, color=GREY, alpha=0.55, linewidths=0, label=every, rasterized=many)
        colour = f"{len(front)} on the front"
        if len(objectives) == 2:
            axes.plot(*_columns(front, x, y), "o-", color=VERMILION, markersize=4.5, linewidth=1, label=colour)
        elif front:
            third = [_scaled(objectives[2], row[objectives[2]]) for row in front]
            spots = axes.scatter(*_columns(front, x, y), c=third, cmap="viridis", s=34, edgecolors=BLUE, label=colour)
            bar = figure.colorbar(spots, ax=axes, format=FuncFormatter(_formatter(objectives[2])))
            bar.set_label(_WORDS[objectives[2]][0])
        for name, axis, scale in ((x, axes.xaxis, axes.set_xscale), (y, axes.yaxis, axes.set_yscale)):
            values = [row[name] for row in points]
            if min(values) > 0 and max(values) / min(values) > 10:
                scale("log")
                axis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
                axis.set_minor_formatter(NullFormatter())
            axis.set_major_formatter(FuncFormatter(_formatter(name)))
        axes.set(xlabel=_WORDS[x][0], ylabel=_WORDS[y][0])
        axes.grid(which="major")
        legend(axes)
    figure.suptitle(f"{space}: {network}", x=0.01, ha="left", fontsize=10.5)
    alt = (
        f"{_WORDS[y][0]} against {_WORDS[x][0]} of {len(points)} accelerators on {network}; {len(front)} on the front."
    )
    return Drawing("pareto", figure, alt, {}, alt)


def _columns(rows: Sequence[Mapping[str, Any]], x: str, y: str) -> tuple[list[float], list[float]]:
    return [_scaled(x, row[x]) for row in rows], [_scaled(y, row[y]) for row in rows]


def _scaled(name: str, value: float) -> float:
    return value * 1e-12 if name in _PICO else value


def words(name: str) -> str:
    """Return what a figure is called in a sentence or over a column."""
    return _WORDS[name][0]


def figure_text(name: str, value: float) -> str:
    """Return a figure with three digits and its unit, e.g. ``198 ms``."""
    unit, plain = _WORDS[name][1], _scaled(name, value)
    return (
        f"{three_digits(plain)} {unit}".rstrip() if unit in _NO_PREFIX and name != "total_cycles" else si(plain, unit)
    )


def _formatter(name: str) -> Any:
    return lambda value, _: figure_text(name, value / 1e-12 if name in _PICO else value)
