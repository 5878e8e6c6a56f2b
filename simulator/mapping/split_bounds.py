"""Cycles that a split of an array layer takes at the least: what need not be timed to be left out.

An array works at least through its folds, and the bus carries every byte that some core needs, at its bandwidth.
"""

from __future__ import annotations

from math import ceil

from simulator.mapping.chunks import TapBox, chunks
from simulator.mapping.reach import axes, reach
from simulator.mapping.schedule import LayerMapping, LoopOrder, Residency
from simulator.mapping.split import largest
from simulator.mapping.work import ArrayWork, Device, Part
from simulator.numerics.modes import Dataflow

Cost = tuple[int, int]
"""Cycles, then bytes of inputs and weights loaded."""


class LeastCost:
    """Lower bounds of one split: however it is mapped (`cost`), and with a given mapping (`of`)."""

    def __init__(self, work: ArrayWork, parts: tuple[Part, ...], device: Device) -> None:
        g = work.geometry
        self.largest = largest(work, parts)
        self._work, self._geometry, self._parts, self._device = work, g, parts, device
        self._weight_bits = [p.groups * p.channels * (g.k * work.weight_bits + work.weight_bias_bits) for p in parts]
        self._fixed_bits = work.stored_pixels * g.n * g.groups * work.output_bits
        if work.bias_matrix:
            self._fixed_bits += g.m * g.n * g.groups * work.bias_bits
        whole = self._input_bits(Part.whole(g))
        by_channels = len({part.channel for part in parts}) > 1
        self.cost = self._at_least(self._folds(), whole * (len(parts) if by_channels else 1) + sum(self._weight_bits))

    def of(self, mapping: LayerMapping) -> Cost:
        """Return the bound with the mapping of the largest part."""
        cols = -(-self._geometry.out_width // mapping.cols)
        again = mapping.weight_residency is Residency.CHUNK
        bits = 0
        for part, weights in zip(self._parts, self._weight_bits, strict=True):
            tiles = part.images * -(-part.rows // mapping.rows) * cols
            bits += weights * (tiles if again else 1) + self._input_bits(part, mapping)
        return self._at_least(self._folds_of(mapping), bits)

    def _input_bits(self, part: Part, mapping: LayerMapping | None = None) -> int:
        """Bits of input that a part loads: those that it touches, or with a mapping, in whole bits, all it loads."""
        g = self._geometry
        row_axis, col_axis = axes(part.of(g))
        boxes, counts = (TapBox(0, g.kernel[0] - 1, 0, g.kernel[1] - 1, g.channels),), (1,)
        rows, cols, trips = g.out_height, g.out_width, 1
        if mapping is not None and mapping.input_residency is not Residency.LAYER:
            rows, cols = mapping.rows, mapping.cols
            if mapping.input_residency is Residency.CHUNK:
                cut = chunks(g.kernel, g.channels, mapping.k)
                boxes, counts = cut.boxes, tuple(cut.count.tolist())
            if mapping.input_residency is Residency.CHUNK or mapping.order is LoopOrder.WEIGHTS_RESIDENT:
                trips = -(-part.channels // mapping.channels)
        ring = mapping is not None and mapping.input_residency is Residency.TILE
        elements = 0
        for box, count in zip(boxes, counts, strict=True):
            high = reach(row_axis, rows, box.first_kh, box.last_kh)
            wide = reach(col_axis, cols, box.first_kw, box.last_kw)
            elements += (high.fresh_total if ring else high.total) * wide.total * box.channels * count
        return elements * part.groups * part.images * trips * self._work.input_bits

    def _at_least(self, compute_cycles: int, loaded_bits: int) -> Cost:
        """Return the longer of the array's cycles and those to the last byte.

        Before the first byte, a load of weights and (but where a tile may read padding alone) inputs is set up.
        """
        padding, device = self._geometry.padding, self._device
        descriptors = 1 if padding.top > 0 or padding.left > 0 else 2
        lead = descriptors * device.setup_cycles + device.latency_cycles
        bus_cycles = ceil((loaded_bits + self._fixed_bits) / (8 * device.bytes_per_cycle))
        return max(compute_cycles, lead + bus_cycles), loaded_bits // 8

    def _folds(self) -> int:
        """Cycles of the largest part, each fold or block for its pixels or products alone."""
        g, device = self.largest.of(self._geometry), self._device
        columns = g.groups * -(-g.filters // device.cols)
        if device.dataflow is Dataflow.WEIGHT_STATIONARY:
            return columns * -(-g.k // device.rows) * g.m
        return columns * -(-g.m // device.rows) * g.k

    def _folds_of(self, mapping: LayerMapping) -> int:
        """Cycles of the largest part with fill and drain of each tile op, where pixels stream; else as `_folds`."""
        g, device = self.largest.of(self._geometry), self._device
        if device.dataflow is not Dataflow.WEIGHT_STATIONARY:
            return self._folds()
        tiles = g.batch * -(-g.out_height // mapping.rows) * -(-g.out_width // mapping.cols)
        blocks = (g.groups // mapping.groups) * -(-g.filters // mapping.channels) * -(-g.k // mapping.k)
        return self._folds() + tiles * blocks * (2 * device.rows + device.cols + 2)
