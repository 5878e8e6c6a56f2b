"""The best way to split a layer over cores: all ways, those that a lower bound of their cycles rules out untimed.

What could be best is timed first, so that it rules out the most; what is left out costs no less than what is found, so
the choice costs what it would if all were timed. With fewer cores there are fewer ways and none of them changes: more
cores are never slower.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from heapq import heapify, heappop, heappush
from math import ceil

from simulator.lowering.layer import Layer
from simulator.mapping.schedule import LayerMapping, LayerSchedule
from simulator.mapping.split import core_counts, split_schedule, splits
from simulator.mapping.split_bounds import Cost, LeastCost
from simulator.mapping.streams import stream_of, traffic
from simulator.mapping.tiles import array_schedule
from simulator.mapping.work import ArrayWork, Device, Part


@dataclass(frozen=True)
class SplitChooser:
    """Chooses how many cores work at a layer, what each computes, and the tiles that they cut it into."""

    device: Device
    cores: int
    mappings: Callable[[ArrayWork], Iterable[LayerMapping]]
    """Mappings of one core's part, where there are any."""
    cost: Callable[[LayerSchedule], Cost]
    bounded: bool
    """Whether `cost` counts cycles of the machine, so that bounds hold."""

    def array(self, work: ArrayWork) -> LayerSchedule | None:
        """Return the best schedule of an array layer, or None where nothing fits."""
        ways = [(Part.whole(work.geometry),), *splits(work, self.device, self.cores)]
        bounds = [LeastCost(work, parts, self.device) for parts in ways]
        waiting: list[tuple[Cost, int, int, LayerMapping | None]] = [
            (self._bound(b.cost), place, -1, None) for place, b in enumerate(bounds)
        ]
        heapify(waiting)
        least: tuple[Cost, tuple[int, int]] | None = None
        best: LayerSchedule | None = None
        while waiting:
            bound, place, rank, mapping = heappop(waiting)
            if least is not None and bound >= least[0]:
                break
            if mapping is None:
                for i, one in enumerate(self.mappings(work.part(bounds[place].largest))):
                    heappush(waiting, (self._bound(bounds[place].of(one)), place, i, one))
                continue
            found = self._written(work, ways[place], mapping)
            key = None if found is None else (self.cost(found), (place, rank))
            if key is not None and (least is None or key < least):
                least, best = key, found
        return best

    def stream(self, layer: Layer, one: LayerSchedule, cores: int) -> LayerSchedule:
        """Return the best schedule of a layer off the array, `one` being that of one core, on `cores` at most."""
        best, least = one, self.cost(one)
        bus = ceil(sum(traffic(layer)) / self.device.bytes_per_cycle)
        for count in core_counts(cores):
            if self.bounded and bus >= least[0]:
                break
            found = stream_of(layer, count * -(-one.tile_ops // count), count)
            cost = self.cost(found)
            if cost < least:
                best, least = found, cost
        return best

    def _bound(self, cost: Cost) -> Cost:
        return cost if self.bounded else (-1, -1)

    def _written(self, work: ArrayWork, parts: tuple[Part, ...], mapping: LayerMapping) -> LayerSchedule | None:
        if len(parts) == 1:
            return array_schedule(work, mapping, self.device)
        return split_schedule(work, parts, mapping, self.device)
