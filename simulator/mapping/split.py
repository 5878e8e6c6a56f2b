"""Layers split over cores: each computes a box of the outputs, with all of K, so that no sum is split.

The cores of a layer share one mapping, that of the largest box. Which axis is cut, and into how many boxes, is for the
exact cost to say: a cut along channels makes every core fetch the inputs, one along rows or images the weights.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from simulator.lowering.layer import Engine, Layer
from simulator.mapping.kept import input_half_bytes
from simulator.mapping.pools_on_store import can_wait
from simulator.mapping.reach import axes, reach
from simulator.mapping.schedule import LayerMapping, LayerSchedule
from simulator.mapping.store_pool import window_rows
from simulator.mapping.streams import shares
from simulator.mapping.tiles import array_schedule, part_ops
from simulator.mapping.work import ArrayWork, Device, Part


def core_counts(cores: int) -> list[int]:
    """Numbers of cores worth trying for a layer, falling: all of them, and all below down to two.

    Beyond 16 those of four significant bits (16, 18 ... 32, 36 ...), so that a thousand cores are some sixty counts.
    """
    coarse = {n for n in range(2, cores + 1) if n % (1 << max(0, n.bit_length() - 4)) == 0}
    return sorted(coarse | {cores} - {1}, reverse=True)


def splits(work: ArrayWork, device: Device, cores: int) -> Iterator[tuple[Part, ...]]:
    """Ways to cut an array layer for several cores, each once: along channels, groups, images or rows.

    Channels are cut at whole columns of the array, so that a cut adds no fold, rows where no window of a pool on the
    store path is cut; boxes differ by at most one such step.
    """
    g, whole = work.geometry, Part.whole(work.geometry)
    first_of = {"channels": "channel", "groups": "group", "images": "image", "rows": "row"}
    places: dict[str, NDArray[np.int64]] = {
        "channels": np.append(np.arange(0, g.filters, device.cols), g.filters),
        "groups": np.arange(g.groups + 1),
        "images": np.arange(g.batch + 1),
        "rows": np.arange(g.out_height + 1) if work.pool is None else window_rows(work.pool, g.out_height),
    }
    for axis, ends in places.items():
        most = len(ends) - 1
        for count in sorted({min(n, most) for n in core_counts(cores)} - {1}, reverse=True):
            cuts = [0, *ends[np.cumsum(shares(most, count))].tolist()]
            yield tuple(replace(whole, **{first_of[axis]: begin, axis: end - begin}) for begin, end in pairwise(cuts))


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


def extent(work: ArrayWork, part: Part) -> tuple[int, int, int, int, int, int]:
    """Return the extent of the mapping of a part."""
    return part.groups, part.images, part.rows, work.geometry.out_width, part.channels, work.geometry.k


def split_schedule(
    work: ArrayWork, parts: tuple[Part, ...], mapping: LayerMapping, device: Device
) -> LayerSchedule | None:
    """Tile operations of an array layer on as many cores as `parts`, or None where one's part does not fit.

    Parameters
    ----------
    mapping
        That of the largest part. Parts between others may touch a row more where zeros are woven into the input, or
        leave a tile that completes no window of a pool.

    """
    ops: list[NDArray[np.void]] = []
    alike: dict[ArrayWork, tuple[Part, NDArray[np.void]]] = {}
    for part in parts:
        own = replace(mapping, extent=extent(work, part))
        key = _as_counted(work.part(part))
        if key not in alike:
            alone = work.part(part)
            if input_half_bytes(alone, own) > device.input_half_bytes:
                return None
            if work.pool is not None and not can_wait(alone, own, device):
                return None
            alike[key] = part, part_ops(work, part, own, device)
        ops.append(_moved(*alike[key], part))
    counts = tuple(len(one) for one in ops)
    return LayerSchedule(Engine.ARRAY, np.concatenate(ops), mapping, work=work, core_ops=counts, parts=parts)


def rewritten(schedule: LayerSchedule, work: ArrayWork, device: Device) -> NDArray[np.void]:
    """Return the tile operations of an array layer anew, cut as in `schedule`, where `work` lies elsewhere in DRAM."""
    assert schedule.mapping is not None
    if not schedule.parts:
        return array_schedule(work, schedule.mapping, device).ops
    split = split_schedule(work, schedule.parts, schedule.mapping, device)
    assert split is not None
    return split.ops


def _as_counted(alone: ArrayWork) -> ArrayWork:
    """Return the same for parts that are alike: between the edges of an image, only the phase of the first row counts.

    All that is counted of a part's tile operations depends on it.
    """
    axis = axes(alone.geometry)[0]
    top = -axis.padding
    end = top + (axis.out_size - 1) * axis.stride + (axis.kernel - 1) * axis.dilation
    if top < 0 or end >= axis.in_size * axis.insertion:
        return alone
    padding = replace(alone.geometry.padding, top=-(top % axis.insertion))
    return replace(alone, geometry=replace(alone.geometry, padding=padding))


def _moved(first: Part, ops: NDArray[np.void], part: Part) -> NDArray[np.void]:
    """Return the tile operations of a part that is like `first`."""
    if part == first:
        return ops
    found = ops.copy()
    for name, of_part in (("group", "group"), ("batch", "image"), ("row", "row"), ("channel", "channel")):
        distance = getattr(part, of_part) - getattr(first, of_part)
        if distance:
            found[name] += distance
    return found


def most_stream_cores(layer: Layer) -> int:
    """Return how many cores a layer off the array can use.

    The host is one. An output is made by one core, and a layer of several passes (the greatest magnitude of a tensor,
    statistics of a batch) by one altogether: nothing passes between cores.
    """
    if layer.engine is Engine.HOST or layer.reread_bytes or not layer.moves_data:
        return 1
    return min((tensor.elements for tensor in layer.outputs), default=1)
