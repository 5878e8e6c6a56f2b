"""Map every layer of a network: choose tiles, write tile operations."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field

import numpy as np

from simulator.accelerator.spec import Accelerator, BetweenLayers, Mapper
from simulator.accelerator.store_path import Concatenations
from simulator.errors import InputError
from simulator.lowering.layer import Engine, Layer
from simulator.mapping.command_schedule import can_pool, command_layer
from simulator.mapping.convolution_tiles import Pool
from simulator.mapping.fit import does_not_fit
from simulator.mapping.fixed_rule import fixed_rule
from simulator.mapping.in_place import join_in_place
from simulator.mapping.kept import keep
from simulator.mapping.known import KnownSchedules
from simulator.mapping.pool_fusion import fused_pools
from simulator.mapping.pools_on_store import PoolChooser, aligned, as_stored, can_wait, store_pools
from simulator.mapping.schedule import TILE_OP, LayerMapping, LayerSchedule, Schedule
from simulator.mapping.search import search, shortlist
from simulator.mapping.split import most_stream_cores
from simulator.mapping.split_choice import SplitChooser
from simulator.mapping.tiles import array_schedule
from simulator.mapping.work import ArrayWork, Device

LayerCycles = Callable[[LayerSchedule], int]
"""Exact cycles of one layer's tile operations on the accelerator, from an idle machine."""
_Mappings = Callable[[ArrayWork], tuple[LayerMapping, ...]]


def map_layers(
    layers: Sequence[Layer],
    accelerator: Accelerator,
    cycles: LayerCycles | None = None,
    outputs: Collection[str] | None = None,
    written: KnownSchedules | None = None,
    *,
    bounded: bool = False,
) -> Schedule:
    """Cut `layers` into tile operations that fit `accelerator`. Layers that are alike share one schedule.

    Parameters
    ----------
    cycles
        Times a candidate; only `mapper: least_cycles`, what joins layers (`Accelerator.joins_layers`) and several cores
        need it.
    outputs
        Names of tensors that leave the network. None: all may, so no pool joins the layer before it, nothing stays on
        chip and every concatenation copies.
    written
        Where schedules written for other accelerators are found again, and these are kept.
    bounded
        Whether `cycles` are those of the accelerator: then splits over cores that must take longer than one timed
        before are not timed. The choice is the same.

    Raises
    ------
    DoesNotFit
        The smallest tile of a layer is larger than a memory; the error lists what would make it fit.
    InputError
        `mapper: least_cycles`, what joins layers, or several cores, without `cycles`.

    """
    if accelerator.mapper is Mapper.LEAST_CYCLES and cycles is None:
        raise InputError(f"{accelerator.name}: mapper least_cycles times its candidates; give map_layers the timing")
    if accelerator.joins_layers and cycles is None:
        which = "between_layers on_chip, concatenations in_place or pools on the store path"
        raise InputError(f"{accelerator.name}: {which} times its layers; give map_layers the timing")
    if accelerator.cores > 1 and cycles is None:
        raise InputError(f"{accelerator.name}: how layers are split over cores is timed; give map_layers the timing")
    device = Device.of(accelerator)
    written = written or KnownSchedules()
    chooser = _Chooser(accelerator, device, cycles, written, bounded)
    pools = {} if outputs is None or accelerator.controller is None else fused_pools(layers, outputs)
    known: dict[tuple[int, Pool | None], LayerSchedule] = {}
    schedules: list[LayerSchedule] = []
    done_before = False
    for index, layer in enumerate(layers):
        if done_before:
            schedules.append(LayerSchedule(layer.engine, np.zeros(0, TILE_OP)))
            done_before = False
            continue
        if layer.engine is not Engine.ARRAY:
            schedules.append(chooser.stream(layer))
            continue
        work = written.work(layer)
        pool = pools.get(index)
        pool = pool if pool is not None and can_pool(work, accelerator) else None
        if (id(work), pool) not in known:
            known[id(work), pool] = chooser.schedule(layer.name, work, pool)
        schedules.append(known[id(work), pool])
        done_before = pool is not None
    if accelerator.joins_layers and outputs is not None:
        schedules = chooser.joined(layers, schedules, outputs)
    return Schedule(tuple(layer.name for layer in layers), tuple(schedules))


@dataclass(frozen=True)
class _Chooser:
    """Chooses the tile operations of array layers as the accelerator's `mapper` says."""

    accelerator: Accelerator
    device: Device
    cycles: LayerCycles | None
    written: KnownSchedules
    bounded: bool
    streams: dict[tuple[int, int], tuple[LayerSchedule, LayerSchedule]] = field(default_factory=dict)
    """Schedule of a layer off the array for one core (its id), cores at most -> that schedule and the best."""

    def schedule(self, name: str, work: ArrayWork, pool: Pool | None) -> LayerSchedule:
        driven = self.accelerator.controller is not None
        commands = command_layer(name, work, self.accelerator, pool) if driven else None
        if commands is not None:
            return commands
        mappings = self._mappings(work)
        if not mappings:
            raise does_not_fit(name, work, self.device)
        if self.accelerator.cores == 1 and len(mappings) == 1:
            return self.written.array(work, mappings[0], self.device)
        found = self._best(work, self._mappings)
        assert found is not None
        return found

    def _best(self, work: ArrayWork, mappings: _Mappings) -> LayerSchedule | None:
        if self.accelerator.cores > 1:
            return self._splits(mappings).array(work)
        written = (array_schedule(work, mapping, self.device) for mapping in mappings(work))
        return min(written, key=self._cost, default=None)

    def joined(
        self, layers: Sequence[Layer], schedules: list[LayerSchedule], outputs: Collection[str]
    ) -> list[LayerSchedule]:
        """Return schedules of layers that save each other traffic: pools, tensors kept, concatenations, in turn."""
        accelerator, cycles = self.accelerator, self.cycles
        assert cycles is not None
        pairs = store_pools(layers, outputs, accelerator.store_path.pools)
        pools = PoolChooser(lambda work: self._best(work, self._pooled_mappings), cycles)
        done, schedules = pools.apply(layers, schedules, pairs)
        layers = as_stored(layers, done)
        if accelerator.between_layers is BetweenLayers.ON_CHIP:
            schedules = keep(layers, schedules, accelerator.memories.input_scratchpad.size, cycles, outputs)
        if accelerator.concatenations is Concatenations.IN_PLACE:
            schedules = join_in_place(layers, schedules, self.device, cycles, outputs)
        return schedules

    def _pooled_mappings(self, work: ArrayWork) -> tuple[LayerMapping, ...]:
        """Return mappings of a layer with a pool on the store path. The rule's own is as it is, or cut shorter."""
        assert work.pool is not None
        if self.accelerator.mapper is Mapper.LEAST_TRAFFIC:
            best = search(work, self.device)
            return () if best is None else (best,)
        by_rule = fixed_rule(work, self.device)
        by_rules = () if by_rule is None else (by_rule, aligned(by_rule, work.pool))
        ruled = tuple(mapping for mapping in by_rules if can_wait(work, mapping, self.device))
        if self.accelerator.mapper is Mapper.FIXED_RULE:
            return ruled[:1]
        return tuple(dict.fromkeys((*shortlist(work, self.device), *ruled)))

    def _mappings(self, work: ArrayWork) -> tuple[LayerMapping, ...]:
        if self.accelerator.mapper is Mapper.LEAST_TRAFFIC:
            best = search(work, self.device)
            return () if best is None else (best,)
        by_rule = fixed_rule(work, self.device)
        if by_rule is None:
            return ()
        if self.accelerator.mapper is Mapper.FIXED_RULE:
            return (by_rule,)
        return tuple(dict.fromkeys((*shortlist(work, self.device), by_rule)))

    def _cost(self, schedule: LayerSchedule) -> tuple[int, int]:
        assert self.cycles is not None
        return self.cycles(schedule), schedule.total("input_bytes") + schedule.total("weight_bytes")

    def stream(self, layer: Layer) -> LayerSchedule:
        """Return the tile operations of a layer off the array; DoesNotFit as `stream_schedule`."""
        one = self.written.stream(layer, self.device)
        cores = min(self.accelerator.cores, most_stream_cores(layer))
        if cores == 1:
            return one
        key = id(one), cores
        if key not in self.streams:
            self.streams[key] = one, self._splits(self._mappings).stream(layer, one, cores)
        return self.streams[key][1]

    def _splits(self, mappings: _Mappings) -> SplitChooser:
        return SplitChooser(self.device, self.accelerator.cores, mappings, self._cost, self.bounded)
