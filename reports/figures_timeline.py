"""The timeline: how busy each engine is over the whole run, and within the layers that take longest."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from reports.figures_style import (
    BLUE,
    FAINT,
    GREEN,
    GREY,
    OCHRE,
    VERMILION,
    VIOLET,
    WIDTH_IN,
    Drawing,
    printable,
    quantity,
    scaled,
    shortened,
    styled,
)
from reports.occupancy import Track, only, shares, tracks
from reports.units import percent
from simulator.records.layer import LayerRecord
from simulator.records.run import RunRecord

LONGEST = 6
"""Layers that are shown one by one."""
_STRETCHES = 480
_ENGINES = {"load dma": VERMILION, "array": BLUE, "vector": GREEN, "host": VIOLET, "store dma": OCHRE}
_HARDLY = 1e-6
"""Share of a stretch that is only what rounding leaves."""
_LANE_IN = 0.17
_HEAD_IN = 0.62


def timeline(record: RunRecord) -> Drawing | None:
    """Draw a lane an engine, the darker the busier: of the run, and of its longest layers; None without a timeline."""
    found = tracks(record)
    if not found or not record.total_cycles:
        return None
    lanes = {name: found[name] for name in (*_ENGINES, *found) if name in found}
    longest = sorted(record.layers, key=lambda layer: (-layer.total_cycles, layer.index))[:LONGEST]
    longest = [layer for layer in longest if layer.total_cycles]
    with styled():
        height = (len(longest) + 1) * (_HEAD_IN + _LANE_IN * len(lanes))
        figure = Figure(figsize=(WIDTH_IN, height), layout="constrained")
        rows = figure.subplots(len(longest) + 1, 1, squeeze=False)[:, 0]
    titles = _strip(rows[0], lanes, 0, record.total_cycles, None)
    _name(rows[0], f"whole run, {quantity(record.total_cycles, 'cycles')}")
    for axes, layer in zip(rows[1:], longest, strict=True):
        titles |= _strip(axes, lanes, layer.start_cycle, layer.end_cycle, layer)
        share = percent(layer.total_cycles / record.total_cycles)
        _name(axes, f"{layer.index} {shortened(layer.name, 60)}, {quantity(layer.total_cycles, 'cycles')} ({share})")
    caption = (
        f"The whole run and its {len(longest)} longest layers, each from its first cycle on. "
        "The fuller the colour, the more of that stretch the engine works."
    )
    names = ", ".join(f"{layer.index} {shortened(layer.name)}" for layer in longest)
    return Drawing("timeline", figure, f"Timeline of the run and of its longest layers: {names}.", titles, caption)


def _strip(axes: Axes, lanes: Mapping[str, Track], start: int, end: int, layer: LayerRecord | None) -> dict[str, str]:
    """Draw one strip of lanes over the cycles from `start` to `end`; return what pointing at each lane tells."""
    stretches = int(min(_STRETCHES, end - start))
    edges = np.linspace(start, end, stretches + 1)
    divisor, unit = scaled(end - start, "cycles")
    length = (end - start) / divisor
    titles = {}
    own = [_own(track, layer) for track in lanes.values()]
    colours = [_ENGINES.get(name, GREY) for name in lanes]
    image = np.stack([_shaded(shares(track, edges), colour) for track, colour in zip(own, colours, strict=True)])
    with styled():
        axes.imshow(image, extent=(0, length, len(lanes) - 0.5, -0.5), aspect="auto", interpolation="none")
        for place, (name, track) in enumerate(zip(lanes, own, strict=True)):
            gid = f"{'run' if layer is None else f'layer-{layer.index}'}-lane-{place}"
            axes.add_patch(Rectangle((0, place - 0.5), length, 1, fill=False, edgecolor="none", gid=gid))
            busy = float(shares(track, np.array([start, end], dtype=np.float64))[0])
            whose = "" if layer is None else f" for {printable(layer.name)}"
            titles[gid] = f"{name}{whose}: works {percent(busy)} of the time"
        axes.set(xlim=(0, length), ylim=(len(lanes) - 0.5, -0.5), xlabel=unit)
        axes.set_yticks(range(len(lanes)), list(lanes))
        axes.set_yticks(np.arange(1, len(lanes)) - 0.5, minor=True)
        axes.tick_params(axis="y", which="both", length=0)
        axes.xaxis.set_major_locator(MaxNLocator(8))
        axes.grid(axis="y", which="minor")
        axes.spines["left"].set_visible(False)
    return titles


def _own(track: Track, layer: LayerRecord | None) -> Track:
    return track if layer is None else only(track, track.layers == layer.index)


def _shaded(busy: NDArray[np.float64], colour: str) -> NDArray[np.float64]:
    """Return [stretches, RGBA]: the colour as opaque as the engine is busy, so that it shows on any page."""
    opaque = np.where(busy > _HARDLY, 0.12 + 0.88 * busy, 0.0)
    return np.column_stack([np.broadcast_to(to_rgb(colour), (len(busy), 3)), opaque])


def _name(axes: Axes, text: str) -> None:
    with styled():
        axes.set_title(text, loc="left", fontsize=9.5, color=FAINT, pad=3)
