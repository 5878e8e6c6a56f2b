"""Tensors that stay in the input scratchpad between layers, where the tiles of all layers meanwhile leave room.

Tiles stay as they were cut; what is kept is neither stored nor loaded again. A concatenation whose parts and result are
kept copies nothing: its parts are written where the result has them. Nothing is kept that would make a layer slower (a
transfer that is left out lets others come first, and rarely that costs). No choice changes a value.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field

import numpy as np

from simulator.graph.ops import Concat
from simulator.lowering.layer import Engine, Layer
from simulator.mapping.chunks import TapBox, chunks
from simulator.mapping.reach import axes, reach
from simulator.mapping.schedule import TILE_OP, Hold, LayerMapping, LayerSchedule, Residency
from simulator.mapping.streams import shares, traffic
from simulator.mapping.work import ArrayWork

_HALVES = 2


@dataclass(frozen=True)
class _Group:
    """Tensors that lie in one place: one, with its reshapes, or the parts of a concatenation and its result."""

    size: int
    tensors: frozenset[str]
    first: int
    """Layer that writes the first of it."""
    last: int
    """Layer that reads the last of it."""
    touched: tuple[int, ...]
    """Layers that write or read it."""
    silent: tuple[int, ...] = ()
    """Concatenations that need do nothing."""

    @property
    def order(self) -> tuple[int, float, int]:
        """Groups that are tried first: concatenations, then many uses in few layers."""
        return (-len(self.silent), -len(self.touched) / (self.last - self.first + 1), self.first)


def keep(
    layers: Sequence[Layer],
    schedules: Sequence[LayerSchedule],
    size_bytes: int,
    cycles: Callable[[LayerSchedule], int],
    outputs: Collection[str] | None,
) -> list[LayerSchedule]:
    """Return the schedules without the loads and stores of what is kept.

    Parameters
    ----------
    size_bytes
        Of the input scratchpad.
    cycles
        Times a layer.
    outputs
        Names of tensors that leave the network, and are stored. None: all may.

    """
    if outputs is None:
        return list(schedules)
    room = _Room(layers, schedules, size_bytes, cycles)
    for group in sorted(_groups(layers, set(outputs)), key=lambda g: g.order):
        room.keep_if_it_fits(group)
    return room.now


@dataclass
class _Room:
    """What each layer leaves of the input scratchpad, as more and more is kept."""

    layers: Sequence[Layer]
    before: Sequence[LayerSchedule]
    size_bytes: int
    cycles: Callable[[LayerSchedule], int]
    now: list[LayerSchedule] = field(init=False)
    _kept: set[str] = field(default_factory=set)
    _silent: set[int] = field(default_factory=set)
    _occupied: list[int] = field(init=False)
    _changed: dict[tuple[int, bool, bool], LayerSchedule] = field(default_factory=dict)
    _times: dict[int, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.now = list(self.before)
        self._occupied = [0] * len(self.layers)

    def keep_if_it_fits(self, group: _Group) -> None:
        """Keep `group` where every layer from its first to its last has room, and none becomes slower."""
        if group.tensors & self._kept:
            return
        kept, silent = self._kept | group.tensors, self._silent | set(group.silent)
        changed = {i: self._without(i, kept, silent) for i in group.touched}
        for i in range(group.first, group.last + 1):
            used = _tile_bytes(self.layers[i], changed.get(i, self.now[i]), kept)
            if self._occupied[i] + group.size + used > self.size_bytes:
                return
        if any(self._time(schedule) > self._time(self.now[i]) for i, schedule in changed.items()):
            return
        self._kept, self._silent = kept, silent
        for i, schedule in changed.items():
            self.now[i] = schedule
        for i in range(group.first, group.last + 1):
            self._occupied[i] += group.size

    def _time(self, schedule: LayerSchedule) -> int:
        if id(schedule) not in self._times:
            self._times[id(schedule)] = self.cycles(schedule)
            self._changed.setdefault((id(schedule), False, False), schedule)  # its id must not come again
        return self._times[id(schedule)]

    def _without(self, index: int, kept: set[str], silent: set[int]) -> LayerSchedule:
        layer, schedule = self.layers[index], self.before[index]
        if not len(schedule.ops):
            return schedule
        if index in silent:
            return LayerSchedule(layer.engine, np.zeros(0, TILE_OP))
        if layer.engine is not Engine.ARRAY:
            return _stream_without(layer, schedule, kept)
        key = (id(schedule), _first_input(layer) in kept, layer.outputs[0].name in kept)
        if key not in self._changed:
            self._changed[key] = _array_without(layer, schedule, *key[1:])
        return self._changed[key]


def _first_input(layer: Layer) -> str:
    assert layer.inputs[0] is not None
    return layer.inputs[0].name


def _array_without(layer: Layer, schedule: LayerSchedule, no_input: bool, no_output: bool) -> LayerSchedule:
    ops = schedule.ops.copy()
    if no_input:
        ops["input_bytes"] = ops["input_segments"] = 0
        ops["hold"] &= ~(Hold.TAKE_INPUT | Hold.GIVE_INPUT)
    if no_output:
        # The results leave accumulator memory behind the work, at the array's rate: nobody waits for a store.
        ops["store_bytes"] = ops["store_segments"] = 0
        ops["hold"] &= ~Hold.TAKE_ACCUMULATOR
    x, y = layer.inputs[0], layer.outputs[0]
    assert x is not None
    return LayerSchedule(
        layer.engine,
        ops,
        schedule.mapping,
        work=schedule.work,
        kept_input_bytes=x.bytes if no_input else 0,
        kept_output_bytes=y.bytes if no_output else 0,
    )


def _stream_without(layer: Layer, schedule: LayerSchedule, kept: set[str]) -> LayerSchedule:
    read, write = traffic(layer)
    count, inputs = len(schedule.ops), {t.name: t.bytes for t in layer.inputs if t is not None}
    kept_in = sum(size for name, size in inputs.items() if name in kept)
    no_output = layer.outputs[0].name in kept
    ops = schedule.ops.copy()
    ops["input_bytes"] = shares(max(0, read - kept_in), count)
    ops["store_bytes"] = shares(0 if no_output else write, count)
    for name in ("input", "store"):
        ops[f"{name}_segments"] = ops[f"{name}_bytes"] > 0
    stays = write if no_output else 0
    return LayerSchedule(layer.engine, ops, kept_input_bytes=min(kept_in, read), kept_output_bytes=stays)


def _tile_bytes(layer: Layer, schedule: LayerSchedule, kept: set[str]) -> int:
    """Bytes of the input scratchpad that both halves of a layer's tiles take."""
    if not len(schedule.ops):
        return 0
    if layer.engine is not Engine.ARRAY:
        return _HALVES * int((schedule.ops["input_bytes"] + schedule.ops["store_bytes"]).max())
    assert schedule.mapping is not None
    return 0 if _first_input(layer) in kept else _HALVES * input_half_bytes(ArrayWork.of(layer), schedule.mapping)


def input_half_bytes(work: ArrayWork, mapping: LayerMapping) -> int:
    """Bytes that the largest tile of a layer has in one half of the input scratchpad."""
    g = work.geometry
    row_axis, col_axis = axes(g)
    whole = TapBox(0, g.kernel[0] - 1, 0, g.kernel[1] - 1, g.channels)
    if mapping.input_residency is Residency.LAYER:
        rows, cols = (
            reach(row_axis, g.out_height, 0, whole.last_kh).total,
            reach(col_axis, g.out_width, 0, whole.last_kw),
        )
        elements = rows * cols.total * g.channels * g.batch
    else:
        chunked = mapping.input_residency is Residency.CHUNK
        boxes = chunks(g.kernel, g.channels, mapping.k).boxes if chunked else (whole,)
        elements = max(
            reach(row_axis, mapping.rows, b.first_kh, b.last_kh).most
            * reach(col_axis, mapping.cols, b.first_kw, b.last_kw).most
            * b.channels
            for b in boxes
        )
    return -(-elements * mapping.groups * work.input_bits // 8)


def _groups(layers: Sequence[Layer], outputs: set[str]) -> list[_Group]:
    """Tensors that may be kept, by themselves and as parts of a concatenation."""
    root: dict[str, str] = {}
    for layer in layers:
        x = layer.inputs[0] if layer.inputs else None
        # A reshape's output is its input's bytes.
        alias = not layer.moves_data and x is not None
        for tensor in layer.outputs:
            root[tensor.name] = root.get(x.name, x.name) if alias and x is not None else tensor.name
    single = _by_place(layers, root, outputs)
    found = list(single.values())
    for index, layer in enumerate(layers):
        if not (isinstance(layer.node.op, Concat) and layer.engine is Engine.DMA):
            continue
        parts = [root.get(t.name, t.name) for t in layer.inputs if t is not None]
        result = single.get(layer.outputs[0].name)
        if result is None or len(set(parts)) < len(parts) or not all(part in single for part in parts):
            continue
        members = [result, *(single[part] for part in parts)]
        found.append(
            _Group(
                size=result.size,
                tensors=frozenset().union(*(m.tensors for m in members)),
                first=min(m.first for m in members),
                last=max(m.last for m in members),
                touched=tuple(sorted({i for m in members for i in m.touched})),
                silent=(index,),
            )
        )
    return found


def _by_place(layers: Sequence[Layer], root: dict[str, str], outputs: set[str]) -> dict[str, _Group]:
    """Return groups of one tensor each, by its name."""
    names: dict[str, set[str]] = {}
    touched: dict[str, list[int]] = {}
    sizes: dict[str, int] = {}
    refused = {root.get(name, name) for name in outputs}
    for index, layer in enumerate(layers):
        for place, tensor in enumerate(layer.inputs):
            if tensor is None:
                continue
            name = root.get(tensor.name, tensor.name)
            touched.setdefault(name, []).append(index)
            elsewhere = layer.engine is Engine.ARRAY and place > 0  # weights and biases have memories of their own
            # What is read in several passes was cut for that; it stays as it is.
            if layer.engine is Engine.HOST or elsewhere or layer.reread_bytes:
                refused.add(name)
        for tensor in layer.outputs:
            name = root[tensor.name]
            names.setdefault(name, set()).add(tensor.name)
            touched.setdefault(name, []).append(index)
            sizes[name] = max(sizes.get(name, 0), tensor.bytes)
            matrix = layer.engine is Engine.ARRAY and ArrayWork.of(layer).bias_matrix
            if layer.engine is Engine.HOST or len(layer.outputs) > 1 or matrix:
                refused.add(name)
    reads = Counter(root.get(t.name, t.name) for layer in layers for t in layer.inputs if t is not None)
    return {
        name: _Group(sizes[name], frozenset(names[name] | {name}), min(where), max(where), tuple(sorted(set(where))))
        for name, where in touched.items()
        if name in names and name not in refused and reads[name]
    }
