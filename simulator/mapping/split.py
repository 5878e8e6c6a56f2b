"""Layers split over cores: each computes a box of the outputs, with all of K, so that no sum is split.

The cores of a layer share one mapping, that of the largest box. Which axis is cut, and into how many boxes, is for the
exact cost to say: a cut along channels makes every core fetch the inputs, one along rows or images the weights.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from simulator.lowering.layer import Engine, Layer
from simulator.mapping.kept import input_half_bytes
from simulator.mapping.reach import axes, reach
from simulator.mapping.schedule import LayerMapping, LayerSchedule
from simulator.mapping.streams import shares
from simulator.mapping.tiles import part_ops
from simulator.mapping.work import ArrayWork, Device, Part


def core_counts(cores: int) -> list[int]:
    """Numbers of cores worth trying for a layer, falling: all of them, half of them ... two."""
    found = []
    while cores > 1:
        found.append(cores)
        cores //= 2
    return found


def splits(work: ArrayWork, device: Device, cores: int) -> Iterator[tuple[Part, ...]]:
    """Ways to cut an array layer for several cores, each once: along channels, groups, images or rows.

    Channels are cut at whole columns of the array, so that a cut adds no fold; boxes differ by at most one such step.
    """
    g, whole = work.geometry, Part.whole(work.geometry)
    steps = {"channels": device.cols, "groups": 1, "images": 1, "rows": 1}
    first_of = {"channels": "channel", "groups": "group", "images": "image", "rows": "row"}
    sizes = {"channels": g.filters, "groups": g.groups, "images": g.batch, "rows": g.out_height}
    for axis, step in steps.items():
        most = -(-sizes[axis] // step)
        for count in sorted({min(n, most) for n in core_counts(cores)} - {1}, reverse=True):
            ends = np.minimum(np.cumsum(shares(most, count)) * step, sizes[axis]).tolist()
            yield tuple(
                replace(whole, **{first_of[axis]: begin, axis: end - begin})
                for begin, end in zip([0, *ends], ends, strict=False)
            )


def split_text(parts: tuple[Part, ...]) -> str:
    """Say what each core computes, e.g. ``on 2 cores, rows: 33, 32``."""
    for first, axis in (("channel", "channels"), ("group", "groups"), ("image", "images"), ("row", "rows")):
        if len({getattr(part, first) for part in parts}) > 1:
            return f"on {len(parts)} cores, {axis}: {', '.join(str(getattr(part, axis)) for part in parts)}"
    return "on 1 core"


def largest(work: ArrayWork, parts: tuple[Part, ...]) -> Part:
    """Return the part of most outputs; of those, the one that touches most input rows."""

    def size(part: Part) -> tuple[int, int]:
        axis, taps = axes(part.of(work.geometry))[0], work.geometry.kernel[0]
        return part.groups * part.images * part.rows * part.channels, reach(axis, part.rows, 0, taps - 1).total

    return max(parts, key=size)


def split_schedule(
    work: ArrayWork, parts: tuple[Part, ...], mapping: LayerMapping, device: Device
) -> LayerSchedule | None:
    """Tile operations of an array layer on as many cores as `parts`, or None where one's inputs do not fit.

    Parameters
    ----------
    mapping
        That of the largest part. Parts between others may touch a row more where zeros are woven into the input.

    """
    ops = []
    for part in parts:
        own = replace(
            mapping,
            extent=(part.groups, part.images, part.rows, work.geometry.out_width, part.channels, work.geometry.k),
        )
        if input_half_bytes(work.part(part), own) > device.input_half_bytes:
            return None
        ops.append(part_ops(work, part, own, device))
    counts = tuple(len(one) for one in ops)
    return LayerSchedule(Engine.ARRAY, np.concatenate(ops), mapping, work=work, core_ops=counts, parts=parts)


def most_stream_cores(layer: Layer) -> int:
    """Return how many cores a layer off the array can use.

    The host is one. An output is made by one core, and a layer of several passes (the greatest magnitude of a tensor,
    statistics of a batch) by one altogether: nothing passes between cores.
    """
    if layer.engine is Engine.HOST or layer.reread_bytes or not layer.moves_data:
        return 1
    return min((tensor.elements for tensor in layer.outputs), default=1)
