"""What tile ops store and load, element by element: the definition of pools and of strided tensors, in plain sets."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from simulator.lowering.layer import ConvGeometry
from simulator.mapping.schedule import LayerMapping, LayerSchedule, Residency
from simulator.mapping.work import Part


def addresses(shape: tuple[int, ...], within: tuple[tuple[int, ...], int, int] | None = None) -> np.ndarray:
    """Flat address of each element of a tensor, alone or as part of a larger one: (shape, axis, first position)."""
    if within is None:
        return np.arange(np.prod(shape)).reshape(shape)
    whole, axis, before = within
    table = np.arange(np.prod(whole)).reshape(whole)
    return table.take(range(before, before + shape[axis]), axis)


def stretches(chosen: np.ndarray) -> int:
    """Stretches of adjacent addresses."""
    return int((np.diff(np.unique(chosen)) > 1).sum()) + 1 if chosen.size else 0


@dataclass
class PoolTwin:
    """Windows of a pool that tile ops begin and complete."""

    geometry: ConvGeometry
    size: tuple[int, int]
    stride: tuple[int, int]
    padding: tuple[int, int]
    out: tuple[int, int]
    completed: set = field(default_factory=set)
    most_waiting: int = 0
    done: set = field(default_factory=set)

    def window(self, batch: int, row: int, col: int, channel: int) -> set:
        """Real outputs of the convolution that a window holds."""
        rows, cols = (
            range(max(p * s - pad, 0), min(p * s - pad + n, limit))
            for p, s, pad, n, limit in zip(
                (row, col), self.stride, self.padding, self.size,
                (self.geometry.out_height, self.geometry.out_width), strict=True,
            )
        )  # fmt: skip
        return {(batch, r, c, channel) for r in rows for c in cols}

    def tile(self, outputs: set) -> set:
        """Take up a tile's outputs; return the windows that are whole now: (batch, row, col, channel)."""
        self.done |= outputs
        channels, batches = {o[3] for o in outputs}, {o[0] for o in outputs}
        fresh = set()
        for place in np.ndindex(*self.out):
            for batch in batches:
                for channel in channels:
                    key = (batch, *place, channel)
                    if key not in self.completed and self.window(*key) <= self.done:
                        fresh.add(key)
        self.completed |= fresh
        begun = 0
        for place in np.ndindex(*self.out):
            for batch in range(self.geometry.batch):
                for channel in range(self.geometry.filters * self.geometry.groups):
                    key = (batch, *place, channel)
                    begun += key not in self.completed and bool(self.window(*key) & self.done)
        self.most_waiting = max(self.most_waiting, begun)
        return fresh


def outputs_of(op, g: ConvGeometry) -> set:
    """Outputs (batch, row, col, channel) of a tile op."""
    channels = [
        group * g.filters + n
        for group in range(op["group"], op["group"] + op["groups"])
        for n in range(op["channel"], op["channel"] + op["channels"])
    ]
    rows, cols = (range(op[first], op[first] + op[count]) for first, count in (("row", "rows"), ("col", "cols")))
    return {(int(op["batch"]), r, c, n) for r in rows for c in cols for n in channels}


def loaded_box(
    op, g: ConvGeometry, mapping: LayerMapping, part: Part
) -> tuple[list[int], list[int], list[int], list[int]]:
    """Images, rows, columns and channels that a tile op loads if it loads inputs."""
    groups = range(int(op["group"]), int(op["group"] + op["groups"]))
    rows, cols = (range(int(op[a]), int(op[a] + op[b])) for a, b in (("row", "rows"), ("col", "cols")))
    taps_h, taps_w, channels, images = range(g.kernel[0]), range(g.kernel[1]), range(g.channels), [int(op["batch"])]
    if mapping.input_residency is Residency.LAYER:
        rows, cols = range(part.row, part.row + part.rows), range(g.out_width)
        images = list(range(part.image, part.image + part.images))
    if mapping.input_residency is Residency.CHUNK:
        ks = range(int(op["k"]), int(op["k"] + op["k_length"]))
        taps = {k // g.channels for k in ks}
        taps_h = {tap // g.kernel[1] for tap in taps}
        if len(taps_h) == 1:
            taps_w = {tap % g.kernel[1] for tap in taps}
        if len(taps) == 1:
            channels = sorted({k % g.channels for k in ks})
    high = _positions(rows, taps_h, g, 0)
    if mapping.input_residency is Residency.TILE and rows.start > part.row:
        high -= _positions(range(rows.start - mapping.rows, rows.start), taps_h, g, 0)
    wide = _positions(cols, taps_w, g, 1)
    return images, sorted(high), sorted(wide), [group * g.channels + c for group in groups for c in channels]


def _positions(outs, taps, g: ConvGeometry, axis: int) -> set[int]:
    before, size = ((g.padding.top, g.in_height), (g.padding.left, g.in_width))[axis]
    places = {o * g.stride[axis] - before + t * g.dilation[axis] for o in outs for t in taps}
    return {p // g.insertion[axis] for p in places if p % g.insertion[axis] == 0 and 0 <= p < size * g.insertion[axis]}


def last_chunks(schedule: LayerSchedule) -> list[int]:
    """Indices of the tile ops that store."""
    return np.flatnonzero(schedule.ops["store_bytes"]).tolist()
