"""Schedules of layers written before: devices that cut a layer alike share its tile operations."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from typing import Any

from simulator.lowering.layer import Engine, Layer
from simulator.mapping.schedule import LayerMapping, LayerSchedule
from simulator.mapping.streams import chunk_count, stream_of, traffic
from simulator.mapping.tiles import array_schedule
from simulator.mapping.work import ArrayWork, Device

MOST_TILE_OPS = 1 << 24
"""Tile ops whose kinds are kept, 4 bytes each, the last used longest."""


_MOST_LAYERS = 1 << 12


@dataclass(frozen=True, eq=False)
class _Stream:
    """What a layer off the array streams."""

    key: tuple[Hashable, ...]
    """All that its tile operations depend on but for their number."""
    counts: dict[int, int] = field(default_factory=dict)
    """Bytes of half the input scratchpad -> chunks."""


class _Compact(LayerSchedule):
    """A schedule that keeps what is counted and timed, its kinds; its tile ops are written again for who asks."""

    def __init__(self, whole: LayerSchedule, write: Callable[[], LayerSchedule]) -> None:
        own = {"engine": whole.engine, "mapping": whole.mapping, "commands": None, "kinds": whole.kinds}
        self.__dict__.update(own, _write=write)

    def __getattr__(self, name: str) -> Any:
        if name != "ops":
            raise AttributeError(name)
        write: Callable[[], LayerSchedule] = self.__dict__["_write"]
        return self.__dict__.setdefault("ops", write().ops)


class KnownSchedules:
    """Schedules found again by everything that they depend on."""

    def __init__(self) -> None:
        self._kept: dict[Hashable, LayerSchedule] = {}
        self._tile_ops = 0
        self._works: dict[ArrayWork, ArrayWork] = {}
        self._layers: dict[int, tuple[Layer, ArrayWork | _Stream]] = {}

    def work(self, layer: Layer) -> ArrayWork:
        """Return what the mapper must know of an array layer: one object for all that are alike."""
        _, found = self._layers.get(id(layer)) or self._take_in(layer)
        assert isinstance(found, ArrayWork)
        return found

    def array(self, work: ArrayWork, mapping: LayerMapping, device: Device) -> LayerSchedule:
        """Return the tile operations of a mapped array layer."""
        key = id(self._works.setdefault(work, work)), mapping, device.rows, device.cols, device.dataflow
        return self._found(key, lambda: array_schedule(work, mapping, device))

    def stream(self, layer: Layer, device: Device) -> LayerSchedule:
        """Return the tile operations of a layer off the array; DoesNotFit as `stream_schedule`."""
        _, alike = self._layers.get(id(layer)) or self._take_in(layer)
        assert isinstance(alike, _Stream)
        half = device.input_half_bytes
        if half not in alike.counts:
            alike.counts[half] = chunk_count(layer, device) if layer.moves_data else 0
        count = alike.counts[half]
        return self._found((*alike.key, count), lambda: stream_of(layer, count))

    def _take_in(self, layer: Layer) -> tuple[Layer, ArrayWork | _Stream]:
        if layer.engine is Engine.ARRAY:
            work = ArrayWork.of(layer)
            found: ArrayWork | _Stream = self._works.setdefault(work, work)
        else:
            found = _Stream((layer.engine, *traffic(layer), layer.vector_ops))
        if len(self._layers) >= _MOST_LAYERS:
            self._layers.clear()
        # The layer is kept beside, so that its id stays its own.
        return self._layers.setdefault(id(layer), (layer, found))

    def _found(self, key: Hashable, make: Callable[[], LayerSchedule]) -> LayerSchedule:
        found = self._kept.pop(key, None)
        if found is None:
            found = _Compact(make(), make)
            self._tile_ops += found.tile_ops
            while self._tile_ops > MOST_TILE_OPS and self._kept:
                self._tile_ops -= self._kept.pop(next(iter(self._kept))).tile_ops
        self._kept[key] = found
        return found
