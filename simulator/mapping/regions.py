"""Where in its tensor each tile op's loads and stores lie: what the rows of a DRAM have to do with them.

Activations lie image by image, row by row, pixel by pixel, channels fastest; weights filter by filter, k fastest, the
biases behind the filters of the tile. Layers off the array take their bytes in rising order.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from simulator.mapping.places import Place
from simulator.mapping.reach import Axis, axes
from simulator.mapping.schedule import LayerMapping, LayerSchedule, Residency
from simulator.mapping.stores import StoredBox, stored_box
from simulator.mapping.work import ArrayWork, Part

Ints = NDArray[np.int64]

_KINDS = ("input", "weight", "bias", "store")


def regions(layer: LayerSchedule) -> Ints:
    """First byte and span, int64 [tile ops, 4, 2], of the input, weights, bias matrix and output of each tile op."""
    if layer.regions is not None:
        return layer.regions
    found = np.empty((len(layer.ops), len(_KINDS), 2), np.int64)
    for index, kind in enumerate(_KINDS):
        size = layer.ops[f"{kind}_bytes"]
        found[:, index, 0], found[:, index, 1] = np.cumsum(size) - size, size
    if layer.work is None or layer.mapping is None:
        return found
    boxes = (
        _placed(_input_bits(layer, layer.work), layer.work.input_bits, layer.work.input_place),
        _weight_bits(layer, layer.work),
        _output_bits(layer, layer.work, layer.work.bias_bits),
        _stored_bits(layer, layer.work, layer.mapping),
    )
    for index, (first, last) in enumerate(boxes):
        start = first // 8
        found[:, index, 1] = np.maximum(found[:, index, 1], -(-last // 8) - start)
        found[:, index, 0] = start
    return found


def _wide(layer: LayerSchedule, *names: str) -> tuple[Ints, ...]:
    return tuple(layer.ops[name].astype(np.int64) for name in names)


def _output_bits(layer: LayerSchedule, work: ArrayWork, bits: int) -> tuple[Ints, Ints]:
    g = work.geometry
    names = ("group", "groups", "batch", "row", "rows", "col", "cols", "channel", "channels")
    group, groups, batch, row, rows, col, cols, channel, channels = _wide(layer, *names)
    width = g.filters * g.groups
    first = (batch * g.out_height + row) * g.out_width + col
    last = (batch * g.out_height + row + rows - 1) * g.out_width + col + cols - 1
    begin = group * g.filters + channel
    end = (group + groups - 1) * g.filters + channel + channels
    return (first * width + begin) * bits, (last * width + end) * bits


def _stored_bits(layer: LayerSchedule, work: ArrayWork, mapping: LayerMapping) -> tuple[Ints, Ints]:
    parts = layer.parts or (Part.whole(work.geometry),)
    slices = zip(parts, layer.core_slices, strict=True)
    boxes = [stored_box(layer.ops[where], work, mapping, part) for part, where in slices]
    box, width = StoredBox.together(boxes), work.geometry.filters * work.geometry.groups
    group, groups, batch, channel, channels = _wide(layer, "group", "groups", "batch", "channel", "channels")
    first = (batch * box.height + box.row) * box.width + box.col
    last = (batch * box.height + box.row + box.rows - 1) * box.width + box.col + box.cols - 1
    begin = group * work.geometry.filters + channel
    end = (group + groups - 1) * work.geometry.filters + channel + channels
    bits = work.output_bits
    return _placed(((first * width + begin) * bits, (last * width + end) * bits), bits, work.output_place)


def _placed(box: tuple[Ints, Ints], bits: int, place: Place | None) -> tuple[Ints, Ints]:
    """Return bits from the first to behind the last of boxes of a tensor, where they lie in what it is part of."""
    if place is None:
        return box
    first, end = place.box(box[0] // bits, box[1] // bits)
    return first * bits, end * bits


def _weight_bits(layer: LayerSchedule, work: ArrayWork) -> tuple[Ints, Ints]:
    g = work.geometry
    group, groups, channel, channels, k, length = _wide(
        layer, "group", "groups", "channel", "channels", "k", "k_length"
    )
    first = group * g.filters + channel
    last = (group + groups - 1) * g.filters + channel + channels - 1
    return (first * g.k + k) * work.weight_bits, (last * g.k + k + length) * work.weight_bits


def _input_bits(layer: LayerSchedule, work: ArrayWork) -> tuple[Ints, Ints]:
    assert layer.mapping is not None
    g, mapping = work.geometry, layer.mapping
    group, groups, batch, row, rows, col, cols = _wide(layer, "group", "groups", "batch", "row", "rows", "col", "cols")
    row_axis, col_axis = axes(g)
    width = g.channels * g.groups
    if mapping.input_residency is Residency.LAYER and layer.parts:
        return _whole_input_bits(layer, work)
    if mapping.input_residency is Residency.LAYER:
        first = group * g.channels
        last = (g.batch * g.in_height * g.in_width - 1) * width + (group + groups) * g.channels
        return first * work.input_bits, last * work.input_bits
    taps_high, taps_wide, channels = _taps(layer, work)
    top, bottom = _first(row_axis, row, taps_high[0]), _last(row_axis, row + rows - 1, taps_high[1])
    if mapping.input_residency is Residency.TILE:
        # Rows that the tile above has left in the scratchpad are not loaded again.
        above = _last(row_axis, row - 1, taps_high[1])
        top = np.where(row > _of_parts(layer, "row"), np.maximum(top, np.minimum(above + 1, bottom)), top)
    left, right = _first(col_axis, col, taps_wide[0]), _last(col_axis, col + cols - 1, taps_wide[1])
    bottom, right = np.maximum(top, bottom), np.maximum(left, right)
    start = ((batch * g.in_height + top) * g.in_width + left) * width + group * g.channels + channels[0]
    end = (batch * g.in_height + bottom) * g.in_width + right
    end = end * width + (group + groups - 1) * g.channels + channels[1]
    return start * work.input_bits, end * work.input_bits


def _of_parts(layer: LayerSchedule, name: str) -> Ints:
    """Return a field of the part that each tile op belongs to, 0 where the layer has no parts; int64 [tile ops]."""
    if not layer.parts:
        return np.zeros(len(layer.ops), np.int64)
    return np.repeat(np.array([getattr(part, name) for part in layer.parts], np.int64), layer.core_ops)


def _whole_input_bits(layer: LayerSchedule, work: ArrayWork) -> tuple[Ints, Ints]:
    """All that a core's part of the layer touches, of the tile op's groups."""
    g = work.geometry
    group, groups = _wide(layer, "group", "groups")
    image, images, row, rows = (_of_parts(layer, name) for name in ("image", "images", "row", "rows"))
    axis, width = axes(g)[0], g.channels * g.groups
    top, bottom = _first(axis, row, np.zeros_like(row)), _last(axis, row + rows - 1, np.full_like(row, g.kernel[0] - 1))
    first = (image * g.in_height + top) * g.in_width * width + group * g.channels
    last = ((image + images - 1) * g.in_height + np.maximum(top, bottom) + 1) * g.in_width - 1
    return first * work.input_bits, (last * width + (group + groups) * g.channels) * work.input_bits


def _taps(layer: LayerSchedule, work: ArrayWork) -> tuple[tuple[Ints, Ints], tuple[Ints, Ints], tuple[Ints, Ints]]:
    """First and last row and column of the filter, first channel and the one behind the last, of each tile op's box."""
    g = work.geometry
    assert layer.mapping is not None
    k, length = _wide(layer, "k", "k_length")
    if layer.mapping.input_residency is not Residency.CHUNK:
        k, length = np.zeros_like(k), np.full_like(k, g.k)
    last = k + length - 1
    tap, last_tap = k // g.channels, last // g.channels
    high = tap // g.kernel[1], last_tap // g.kernel[1]
    one_row, one_tap = high[0] == high[1], tap == last_tap
    wide = (
        np.where(one_row, tap % g.kernel[1], 0),
        np.where(one_row, last_tap % g.kernel[1], g.kernel[1] - 1),
    )
    channels = np.where(one_tap, k % g.channels, 0), np.where(one_tap, last % g.channels + 1, g.channels)
    return high, wide, channels


def _first(axis: Axis, out: Ints, tap: Ints) -> Ints:
    place = -(-(out * axis.stride - axis.padding + tap * axis.dilation) // axis.insertion)
    return np.asarray(np.clip(place, 0, axis.in_size - 1), np.int64)


def _last(axis: Axis, out: Ints, tap: Ints) -> Ints:
    place = (out * axis.stride - axis.padding + tap * axis.dilation) // axis.insertion
    return np.asarray(np.clip(place, 0, axis.in_size - 1), np.int64)
