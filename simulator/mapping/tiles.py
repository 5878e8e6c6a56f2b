"""Write out the tile operations of a mapped array layer."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from simulator.lowering.layer import Engine
from simulator.mapping.chunks import Chunks, TapBox, chunks
from simulator.mapping.reach import axes, reach
from simulator.mapping.schedule import TILE_OP, Hold, LayerMapping, LayerSchedule, LoopOrder, Residency
from simulator.mapping.stores import channel_runs, stored_bytes
from simulator.mapping.work import ArrayWork, Device, Part
from simulator.numerics.modes import Dataflow

Index = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class _Loops:
    """Counter of each loop at each tile op, [ops]."""

    group: Index
    batch: Index
    row: Index
    col: Index
    channel: Index
    k: Index

    @property
    def first_pixel(self) -> NDArray[np.bool_]:
        return np.asarray((self.batch == 0) & (self.row == 0) & (self.col == 0))


def array_schedule(work: ArrayWork, mapping: LayerMapping, device: Device) -> LayerSchedule:
    """Tile operations of an array layer: K innermost and rising, so an output tile is stored once."""
    ops = part_ops(work, Part.whole(work.geometry), mapping, device)
    return LayerSchedule(Engine.ARRAY, ops, mapping, work=work)


def part_ops(work: ArrayWork, part: Part, mapping: LayerMapping, device: Device) -> NDArray[np.void]:
    """Tile operations (dtype TILE_OP) of the outputs `part` of an array layer, the extent of `mapping`."""
    loops = _count(mapping)
    cut = chunks(work.geometry.kernel, work.geometry.channels, mapping.k)
    ops = np.zeros(len(loops.k), TILE_OP)
    _place(ops, loops, mapping, cut, part)
    ops["folds"] = _folds(ops, device)
    first_k = loops.k == 0
    last_k = loops.k == mapping.trips[5] - 1
    takes_input = _load_inputs(ops, loops, work, mapping, cut, part)
    takes_weight = _load_weights(ops, loops, work, mapping)
    if work.bias_matrix:
        _load_bias_matrix(ops, first_k, work)
    _store(ops, last_k, work, mapping, part)
    hold = np.where(takes_input, Hold.TAKE_INPUT, 0) | np.where(takes_weight, Hold.TAKE_WEIGHT, 0)
    hold |= np.where(first_k, Hold.TAKE_ACCUMULATOR, 0)
    hold |= np.where(_next_or_end(takes_input), Hold.GIVE_INPUT, 0)
    hold |= np.where(_next_or_end(takes_weight), Hold.GIVE_WEIGHT, 0)
    ops["hold"] = hold
    return ops


def _next_or_end(takes: NDArray[np.bool_]) -> NDArray[np.bool_]:
    return np.append(takes[1:], True)


def _count(mapping: LayerMapping) -> _Loops:
    groups, batch, rows, cols, channels, ks = mapping.trips
    rest, k = np.divmod(np.arange(groups * batch * rows * cols * channels * ks), ks)
    pixels = batch * rows * cols
    if mapping.order is LoopOrder.INPUTS_RESIDENT:
        rest, channel = np.divmod(rest, channels)
        group, pixel = np.divmod(rest, pixels)
    else:
        rest, pixel = np.divmod(rest, pixels)
        group, channel = np.divmod(rest, channels)
    image, place = np.divmod(pixel, rows * cols)
    # Down a strip of columns first, so that a tile finds rows of the one above in the scratchpad.
    col, row = np.divmod(place, rows)
    return _Loops(group, image, row, col, channel, k)


def _place(ops: NDArray[np.void], loops: _Loops, mapping: LayerMapping, cut: Chunks, part: Part) -> None:
    groups, _, height, width, filters, _ = mapping.extent
    ops["batch"] = part.image + loops.batch
    for name, count, first, counter, size, whole in (
        ("group", "groups", part.group, loops.group, mapping.groups, groups),
        ("row", "rows", part.row, loops.row, mapping.rows, height),
        ("col", "cols", 0, loops.col, mapping.cols, width),
        ("channel", "channels", part.channel, loops.channel, mapping.channels, filters),
    ):
        ops[name] = first + counter * size
        ops[count] = np.minimum(size, whole - counter * size)
    ops["k"] = cut.start[loops.k]
    ops["k_length"] = cut.length[loops.k]


def _folds(ops: NDArray[np.void], device: Device) -> Index:
    columns = -(-ops["channels"].astype(np.int64) // device.cols) * ops["groups"]
    if device.dataflow is Dataflow.WEIGHT_STATIONARY:
        return np.asarray(-(-ops["k_length"] // device.rows) * columns, np.int64)
    return np.asarray(-(-(ops["rows"].astype(np.int64) * ops["cols"]) // device.rows) * columns, np.int64)


def _load_inputs(
    ops: NDArray[np.void], loops: _Loops, work: ArrayWork, mapping: LayerMapping, cut: Chunks, part: Part
) -> NDArray[np.bool_]:
    g = work.geometry
    if mapping.input_residency is Residency.LAYER:
        return _load_whole_input(ops, loops, work, part)
    if mapping.input_residency is Residency.TILE:
        boxes: tuple[TapBox, ...] = (TapBox(0, g.kernel[0] - 1, 0, g.kernel[1] - 1, g.channels),)
        which = np.zeros_like(loops.k)
        takes = loops.k == 0
        if mapping.order is LoopOrder.INPUTS_RESIDENT:
            takes &= loops.channel == 0
    else:
        boxes, which = cut.boxes, cut.box_of[loops.k]
        takes = np.ones(len(ops), np.bool_)
    row_axis, col_axis = axes(part.of(g))
    high = [reach(row_axis, mapping.rows, box.first_kh, box.last_kh) for box in boxes]
    wide = [reach(col_axis, mapping.cols, box.first_kw, box.last_kw) for box in boxes]
    # The scratchpad is a ring of rows: it holds two successive tiles, so the later one loads only what is fresh.
    ring = mapping.input_residency is Residency.TILE
    rows = np.stack([r.fresh_positions if ring else r.positions for r in high])[which, loops.row]
    row_runs = np.stack([r.fresh_runs if ring else r.runs for r in high])[which, loops.row]
    cols = np.stack([r.positions for r in wide])[which, loops.col]
    col_runs = np.stack([r.runs for r in wide])[which, loops.col]
    channels = np.array([b.channels for b in boxes])[which] * ops["groups"]
    size = -(-rows * cols * channels * work.input_bits // 8)
    ops["input_bytes"] = np.where(takes, size, 0)
    ops["input_segments"] = np.where(takes, _stretches(work, (rows, row_runs), (cols, col_runs), channels), 0)
    return np.asarray(takes, np.bool_)


def _stretches(work: ArrayWork, rows: tuple[Index, Index], cols: tuple[Index, Index], channels: Index) -> Index:
    """Count the stretches of DRAM of a box of the image; rows and cols are (positions, runs of adjacent ones).

    A pixel's channels lie together, whole pixels of a row after one another, and whole rows likewise.
    """
    g = work.geometry
    whole_pixels = channels == g.channels * g.groups
    whole_rows = cols[0] == g.in_width
    if work.input_place is not None:
        whole_pixels = whole_pixels & (work.input_place.run > g.channels * g.groups)
        whole_rows = whole_rows & (work.input_place.run > g.channels * g.groups * g.in_width)
    in_rows = np.where(whole_rows, rows[1], rows[0] * cols[1])
    return np.where(whole_pixels, in_rows, rows[0] * cols[0])


def _load_whole_input(ops: NDArray[np.void], loops: _Loops, work: ArrayWork, part: Part) -> NDArray[np.bool_]:
    g = work.geometry
    row_axis, col_axis = axes(part.of(g))
    high = reach(row_axis, part.rows, 0, g.kernel[0] - 1)
    wide = reach(col_axis, g.out_width, 0, g.kernel[1] - 1)
    channels = g.channels * ops["groups"].astype(np.int64)
    elements = int(high.positions[0] * wide.positions[0]) * channels * part.images
    stretches = _stretches(work, (high.positions, high.runs), (wide.positions, wide.runs), channels)
    takes = (loops.k == 0) & (loops.channel == 0) & loops.first_pixel
    ops["input_bytes"] = np.where(takes, -(-elements * work.input_bits // 8), 0)
    ops["input_segments"] = np.where(takes, stretches * part.images, 0)
    return np.asarray(takes)


def _load_weights(ops: NDArray[np.void], loops: _Loops, work: ArrayWork, mapping: LayerMapping) -> NDArray[np.bool_]:
    loads = np.ones(len(ops), np.bool_)
    takes = loads
    if mapping.weight_residency is not Residency.CHUNK:
        # What stays is loaded piece by piece, each at its first use, into one half of the scratchpad.
        loads = loops.first_pixel
        takes = loads & (loops.k == 0)
        if mapping.weight_residency is Residency.LAYER:
            takes = takes & (loops.channel == 0)
    filters = ops["channels"].astype(np.int64) * ops["groups"]
    bias = np.where(loops.k == 0, filters * work.weight_bias_bits, 0)
    size = -(-(filters * ops["k_length"] * work.weight_bits + bias) // 8)
    # Weights lie filter by filter, k fastest: uncut K of adjacent filters is one stretch; biases lie apart.
    runs = channel_runs(ops, work)
    stretches = np.where(ops["k_length"] == work.geometry.k, runs, filters) + np.where(bias > 0, runs, 0)
    ops["weight_bytes"] = np.where(loads, size, 0)
    ops["weight_segments"] = np.where(loads, stretches, 0)
    return np.asarray(takes)


def _load_bias_matrix(ops: NDArray[np.void], first_k: NDArray[np.bool_], work: ArrayWork) -> None:
    pixels = ops["rows"].astype(np.int64) * ops["cols"]
    filters = ops["channels"].astype(np.int64) * ops["groups"]
    whole_rows = np.where(ops["cols"] == work.geometry.out_width, 1, ops["rows"])
    whole_pixels = filters == work.geometry.filters * work.geometry.groups
    ops["bias_bytes"] = np.where(first_k, -(-pixels * filters * work.bias_bits // 8), 0)
    ops["bias_segments"] = np.where(first_k, np.where(whole_pixels, whole_rows, pixels * channel_runs(ops, work)), 0)


def _store(
    ops: NDArray[np.void], last_k: NDArray[np.bool_], work: ArrayWork, mapping: LayerMapping, part: Part
) -> None:
    size, segments = stored_bytes(ops, work, mapping, part)
    ops["store_bytes"] = np.where(last_k, size, 0)
    ops["store_segments"] = np.where(last_k, segments, 0)
