"""A tiler without a search, as simple devices have it: the same few steps for every layer."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from simulator.mapping.candidates import even_parts, k_sizes, multiples
from simulator.mapping.chunks import TapBox, chunks
from simulator.mapping.reach import axes, reach
from simulator.mapping.schedule import LayerMapping, LoopOrder, Residency
from simulator.mapping.work import ArrayWork, Device


def fixed_rule(work: ArrayWork, device: Device) -> LayerMapping | None:
    """Map one array layer by rule, or return None where not even one output pixel fits.

    Beginning with one row of outputs for one column block of the array: the widest stretch of the row and then the
    longest chunk of K that fit; then as many output channels, then groups, then output rows as fit beside that. Inputs
    stay for all output channels of a tile where K is uncut; weights stay for the layer where all of them fit, and are
    loaded again for every tile where not. Sizes are those that the search tries, so it never moves more bytes.
    """
    start = _start(work, device)
    if start is None:
        return None
    g = work.geometry
    wide = [replace(start, channels=n) for n in multiples(device.cols, g.filters) if n >= start.channels]
    mapping = _first(wide, work, device) or start
    if mapping.k == g.k and mapping.channels == g.filters:
        shared = [replace(mapping, groups=n) for n in range(g.groups, 0, -1) if g.groups % n == 0]
        mapping = _first(shared, work, device) or mapping
    tall = _first((replace(mapping, rows=rows) for rows in even_parts(g.out_height)), work, device)
    return _with_residency(tall or mapping)


def _start(work: ArrayWork, device: Device) -> LayerMapping | None:
    g = work.geometry
    smallest = LayerMapping(
        rows=1,
        cols=1,
        channels=min(device.cols, g.filters),
        k=g.k,
        groups=1,
        order=LoopOrder.INPUTS_RESIDENT,
        input_residency=Residency.CHUNK,
        weight_residency=Residency.CHUNK,
        extent=(g.groups, g.batch, g.out_height, g.out_width, g.filters, g.k),
    )
    sizes = ((cols, k) for cols in even_parts(g.out_width) for k in k_sizes(g, device.rows))
    return _first((replace(smallest, cols=cols, k=k) for cols, k in sizes), work, device)


def _first(mappings: Iterable[LayerMapping], work: ArrayWork, device: Device) -> LayerMapping | None:
    return next((m for m in mappings if _fits(m, work, device)), None)


def _with_residency(mapping: LayerMapping) -> LayerMapping:
    whole_k = mapping.k == mapping.extent[5]
    whole_weights = whole_k and mapping.channels == mapping.extent[4]
    return replace(
        mapping,
        input_residency=Residency.TILE if whole_k else Residency.CHUNK,
        weight_residency=Residency.LAYER if whole_weights else Residency.CHUNK,
    )


def _fits(mapping: LayerMapping, work: ArrayWork, device: Device) -> bool:
    g = work.geometry
    filters = mapping.groups * mapping.channels
    accumulators = mapping.rows * mapping.cols * filters * device.accumulator_element_bytes
    weight_bits = filters * (mapping.k * work.weight_bits + work.weight_bias_bits)
    if accumulators > device.accumulator_half_bytes or -(-weight_bits // 8) > device.weight_half_bytes:
        return False
    whole = TapBox(0, g.kernel[0] - 1, 0, g.kernel[1] - 1, g.channels)
    boxes = (whole,) if mapping.k == g.k else chunks(g.kernel, g.channels, mapping.k).boxes
    row_axis, col_axis = axes(g)
    elements = 0
    for box in boxes:
        rows = reach(row_axis, mapping.rows, box.first_kh, box.last_kh).most
        cols = reach(col_axis, mapping.cols, box.first_kw, box.last_kw).most
        elements = max(elements, rows * cols * box.channels)
    return -(-elements * mapping.groups * work.input_bits // 8) <= device.input_half_bytes
