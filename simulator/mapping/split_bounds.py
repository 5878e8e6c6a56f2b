"""Cycles that a split of an array layer takes at the least: what need not be timed to be left out.

An array works at least through its folds, and the bus carries every byte that some core needs, at its bandwidth.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from functools import cached_property
from math import ceil

from simulator.mapping.array_cycles import READ_CYCLES
from simulator.mapping.chunks import TapBox, chunks
from simulator.mapping.reach import Axis, axes, reach
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
        self._work, self._geometry, self._parts, self._device = work, g, parts, device
        # Parts that differ only in which groups, images or channels they have are alike.
        alike = Counter(replace(part, group=0, image=0, channel=0) for part in parts)
        self._kinds = [(part, count, axes(part.of(g))) for part, count in alike.items()]
        self._fixed_bits = work.stored_pixels * g.n * g.groups * work.output_bits
        if work.bias_matrix:
            self._fixed_bits += g.m * g.n * g.groups * work.bias_bits
        whole = self._input_bits(Part.whole(g), axes(g)) * (len(parts) if parts[-1].channel > 0 else 1)
        weights = sum(self._weight_bits(part) * count for part, count, _ in self._kinds)
        self.cost = self._at_least(self._folds, whole + weights)

    @cached_property
    def largest(self) -> Part:
        """The part whose mapping all of them take."""
        return largest(self._work, self._parts)

    def of(self, mapping: LayerMapping) -> Cost:
        """Return the bound with the mapping of the largest part."""
        cols = -(-self._geometry.out_width // mapping.cols)
        again = mapping.weight_residency is Residency.CHUNK
        bits = 0
        for part, count, along in self._kinds:
            tiles = part.images * -(-part.rows // mapping.rows) * cols if again else 1
            bits += count * (self._weight_bits(part) * tiles + self._input_bits(part, along, mapping))
        return self._at_least(self._folds_of(mapping), bits)

    def _weight_bits(self, part: Part) -> int:
        return part.groups * part.channels * (self._geometry.k * self._work.weight_bits + self._work.weight_bias_bits)

    def _input_bits(self, part: Part, along: tuple[Axis, Axis], mapping: LayerMapping | None = None) -> int:
        """Bits of input that a part loads: those that it touches, or with a mapping, in whole bits, all it loads."""
        g = self._geometry
        row_axis, col_axis = along
        boxes: tuple[TapBox, ...] = (TapBox(0, g.kernel[0] - 1, 0, g.kernel[1] - 1, g.channels),)
        counts: tuple[int, ...] = (1,)
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

    @cached_property
    def _folds(self) -> int:
        """Cycles of the core with most to do, each fold or block for its pixels or products alone."""
        return max(self._folds_in(part) for part, _, _ in self._kinds)

    def _folds_in(self, part: Part) -> int:
        g, device = self._geometry, self._device
        columns, pixels = part.groups * -(-part.channels // device.cols), part.images * part.rows * g.out_width
        if device.dataflow is Dataflow.WEIGHT_STATIONARY:
            return columns * -(-g.k // device.rows) * pixels
        return columns * -(-pixels // device.rows) * g.k

    def _folds_of(self, mapping: LayerMapping) -> int:
        """Cycles of the largest part with fill and drain of each tile op, where pixels stream; else as `_folds`."""
        g, device, part = self._geometry, self._device, self.largest
        if device.dataflow is not Dataflow.WEIGHT_STATIONARY:
            return self._folds
        tiles = part.images * -(-part.rows // mapping.rows) * -(-g.out_width // mapping.cols)
        blocks = (part.groups // mapping.groups) * -(-part.channels // mapping.channels) * -(-g.k // mapping.k)
        return self._folds_in(part) + tiles * blocks * (READ_CYCLES + 2 * device.rows + device.cols + 2)
