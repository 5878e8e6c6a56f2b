"""Concatenations without copies in DRAM: what they join is written where the result has it.

The layers that write the parts store with a stride, and other readers of a part load with one; the concatenation then
moves nothing. Runs of a part may be shorter than a burst, which costs requests: it is done where the layers concerned
together take no more cycles than with the copy. No choice changes a value.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from simulator.graph.graph import Tensor
from simulator.graph.ops import Concat
from simulator.lowering.concat import ConcatConstants
from simulator.lowering.layer import Engine, Layer
from simulator.mapping.places import Place
from simulator.mapping.schedule import TILE_OP, LayerSchedule
from simulator.mapping.split import rewritten
from simulator.mapping.work import Device

_TENSORS = ("input", "weight", "bias", "store")
_Places = dict[str, Place]


def join_in_place(
    layers: Sequence[Layer],
    schedules: Sequence[LayerSchedule],
    device: Device,
    cycles: Callable[[LayerSchedule], int],
    outputs: Collection[str],
) -> list[LayerSchedule]:
    """Return the schedules without the copies that need not be.

    Parameters
    ----------
    cycles
        Times a layer.
    outputs
        Names of tensors that leave the network: they lie by themselves.

    """
    joiner = _Joiner(layers, schedules, device, cycles, _in_dram_alone(layers, schedules, outputs))
    for index, layer in enumerate(layers):
        if isinstance(layer.node.op, Concat) and layer.engine is Engine.DMA and len(schedules[index].ops):
            joiner.join(index)
    return joiner.now


def _in_dram_alone(
    layers: Sequence[Layer], schedules: Sequence[LayerSchedule], outputs: Collection[str]
) -> dict[str, int]:
    """Tensors that could lie within others -> index of the layer that writes them."""
    writers: dict[str, int] = {}
    refused = set(outputs)
    for index, (layer, schedule) in enumerate(zip(layers, schedules, strict=True)):
        inputs = [tensor.name for tensor in layer.inputs if tensor is not None]
        names = [tensor.name for tensor in layer.outputs]
        if inputs[:1] == names:  # a pool that the store path has done
            continue
        # A reshape is free only of a tensor without gaps; a layer of several passes was cut for one.
        if layer.engine is Engine.HOST or not layer.moves_data or layer.reread_bytes:
            refused.update(inputs, names)
        if layer.engine is Engine.ARRAY:  # weights and biases are loaded as they are
            refused.update(inputs[1:])
        if len(names) > 1 or schedule.kept_output_bytes:
            refused.update(names)
        writers.update((name, index) for name in names)
    return {name: index for name, index in writers.items() if name not in refused}


@dataclass
class _Joiner:
    """Which tensors lie within others, as more and more concatenations need do nothing."""

    layers: Sequence[Layer]
    before: Sequence[LayerSchedule]
    device: Device
    cycles: Callable[[LayerSchedule], int]
    writers: dict[str, int]
    """Only of tensors that may lie within others."""
    now: list[LayerSchedule] = field(init=False)
    _places: _Places = field(default_factory=dict)
    _members: dict[str, list[str]] = field(default_factory=dict)
    """Result of a concatenation in place -> all tensors that lie within it."""
    _readers: dict[str, list[int]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.now = list(self.before)
        for index, layer in enumerate(self.layers):
            for tensor in layer.inputs:
                if tensor is not None:
                    self._readers.setdefault(tensor.name, []).append(index)

    def join(self, index: int) -> None:
        """Leave out the copy of concatenation `index` where its parts can lie in its result, and that is no slower."""
        layer, found = self.layers[index], self._placed(index)
        if found is None:
            return
        places = self._places | found
        touched = {self.writers[name] for name in found} | {i for name in found for i in self._readers[name]}
        changed = {index: LayerSchedule(layer.engine, np.zeros(0, TILE_OP))}
        for other in sorted(touched - {index}):
            if len(self.now[other].ops):
                schedule = self._with(other, places)
                if schedule is None:
                    return
                changed[other] = schedule
        if sum(map(self.cycles, changed.values())) > sum(self.cycles(self.now[i]) for i in changed):
            return
        self._places = places
        self._members[layer.outputs[0].name] = list(found)
        for other, schedule in changed.items():
            self.now[other] = schedule

    def _placed(self, index: int) -> _Places | None:
        """Return the places, in the result, of the parts and all that lies within those."""
        layer = self.layers[index]
        assert isinstance(layer.constants, ConcatConstants)
        whole, axis, before = layer.outputs[0], layer.constants.axis, 0
        if self.now[index].kept_input_bytes or self.now[index].kept_output_bytes:
            return None
        found: _Places = {}
        for part in layer.inputs:
            assert part is not None
            if part.name in found or part.name in self._places or part.name not in self.writers:
                return None
            place = Place.joined(part.shape, whole.shape, axis, before)
            if any(size * part.format.bits % 8 for size in (place.run, place.pitch, place.offset)):
                return None
            found[part.name] = place
            for member in self._members.get(part.name, ()):
                inner = self._places[member].within(place)
                if inner is None:
                    return None
                found[member] = inner
            before += part.shape[axis]
        return found

    def _with(self, index: int, places: _Places) -> LayerSchedule | None:
        """Return the schedule of a layer whose tensors have `places`; None where they cut its pixels."""
        layer, schedule = self.layers[index], self.before[index]
        if layer.engine is not Engine.ARRAY:
            return _placed_stream(layer, schedule, places)
        x, g = layer.inputs[0], layer.geometry
        assert x is not None
        assert g is not None
        assert schedule.work is not None
        assert schedule.mapping is not None
        source, target = places.get(x.name), places.get(layer.outputs[0].name)
        for place, channels in ((source, g.channels), (target, g.filters)):
            if place is not None and place.run % (channels * g.groups):
                return None
        work = replace(schedule.work, input_place=source, output_place=target)
        written, ops = rewritten(schedule, work, self.device), schedule.ops.copy()
        for kind in ("input", "store"):
            ops[f"{kind}_segments"] = np.where(ops[f"{kind}_bytes"] > 0, written[f"{kind}_segments"], 0)
        kept = schedule.kept_input_bytes, schedule.kept_output_bytes
        split = schedule.core_ops, schedule.parts
        return LayerSchedule(layer.engine, ops, schedule.mapping, None, work, *kept, *split)


def _placed_stream(layer: Layer, schedule: LayerSchedule, places: _Places) -> LayerSchedule:
    """Streams take stretches and gaps evenly: a layer off the array has no addresses but those of its bytes in turn."""
    ops = schedule.ops.copy()
    regions = np.zeros((len(ops), len(_TENSORS), 2), np.int64)
    inputs = list({tensor.name: tensor for tensor in layer.inputs if tensor is not None}.values())
    for kind, tensors in (("input", inputs), ("store", layer.outputs)):
        size = ops[f"{kind}_bytes"]
        stretches, gaps = _stretches(tensors, places, size)
        ops[f"{kind}_segments"] = np.minimum(size, stretches)
        span, which = size + gaps, _TENSORS.index(kind)
        regions[:, which, 0], regions[:, which, 1] = np.cumsum(span) - span, span
    kept = schedule.kept_input_bytes, schedule.kept_output_bytes
    return LayerSchedule(layer.engine, ops, None, None, None, *kept, schedule.core_ops, regions=regions)


def _stretches(
    tensors: Sequence[Tensor], places: _Places, size: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Stretches of DRAM, and bytes between them, of each tile op that moves `size` bytes of some tensors together."""
    total = int(size.sum())
    stretches = np.zeros_like(size)
    gaps = np.zeros_like(size)
    together = 0
    for tensor in tensors:
        place = places.get(tensor.name)
        if place is None:
            together = 1
            continue
        run, gap = (elements * tensor.format.bits // 8 for elements in (place.run, place.pitch - place.run))
        # A slice of a tensor reads a part of it.
        share = -(-size * min(tensor.bytes, total) // (total * run)) if total else stretches
        stretches += share
        gaps += share * gap
    return np.where(size > 0, stretches + together, 0), gaps
