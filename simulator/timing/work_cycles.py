"""Cycles that a layer's own engine works on each tile op."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np
from numpy.typing import NDArray

from simulator.accelerator.spec import Accelerator
from simulator.lowering.layer import Engine
from simulator.mapping.array_cycles import tile_op_cycles
from simulator.mapping.schedule import LayerSchedule, TileOpKinds
from simulator.mapping.work import Device
from simulator.timing.bank_conflicts import conflict_cycles


@dataclass(frozen=True)
class WorkRates:
    """How fast each engine works, read off a specification once."""

    device: Device
    vector_startup_cycles: int
    vector_lanes: int
    host_elements_per_cycle: Fraction
    input_banks: tuple[int, int] | None = None
    """Banks of the input scratchpad and elements of a word, where pixels wait for them."""

    @classmethod
    def of(cls, accelerator: Accelerator) -> WorkRates:
        """Read the rates off a specification."""
        unit = accelerator.vector_unit
        host = Fraction(accelerator.host.elements_per_cycle).limit_denominator(10**6)
        return cls(Device.of(accelerator), unit.startup_cycles, unit.lanes, host, accelerator.input_banks)

    @cached_property
    def all_that_counts(self) -> tuple[int | str, ...]:
        """What `work_cycles` reads: devices that differ in memories alone are alike."""
        device, host = self.device, self.host_elements_per_cycle
        array = device.rows, device.cols, device.dataflow.value, int(device.weight_double_buffer)
        units = self.vector_startup_cycles, self.vector_lanes, host.numerator, host.denominator
        return *array, *units, *(self.input_banks or ())


def work_cycles(engine: Engine, ops: NDArray[Any], rates: WorkRates) -> NDArray[np.int64]:
    """Cycles of each of the tile ops `ops` (dtype TILE_OP), int64 [tile ops].

    array: the closed forms of `simulator.mapping.array_cycles`; vector: startup + ceil(lane operations / lanes);
    host: ceil(elements / elements per cycle); dma: 0, the data only pass through.
    """
    if engine is Engine.ARRAY:
        return tile_op_cycles(ops, rates.device)
    if engine is Engine.VECTOR:
        return np.asarray(rates.vector_startup_cycles + -(-ops["ops"] // rates.vector_lanes), np.int64)
    if engine is Engine.HOST:
        rate = rates.host_elements_per_cycle
        return np.asarray(-(-ops["ops"] * rate.denominator // rate.numerator), np.int64)
    return np.zeros(len(ops), np.int64)


@dataclass(frozen=True, eq=False)
class TimedKinds:
    """The tile ops of a layer by kind, with the cycles that their engine works."""

    kinds: TileOpKinds
    """Those of the layer, told apart by how long their pixels wait for banks."""
    cycles: NDArray[np.int64]
    """[kinds] of each, those waits included; not to be written to."""
    core_conflict_cycles: tuple[int, ...]
    """Cycles in which pixels wait for banks, on each core."""

    @property
    def tile_op_cycles(self) -> NDArray[np.int64]:
        """[tile ops]."""
        return self.cycles[self.kinds.kind_of]


_known: WeakKeyDictionary[LayerSchedule, tuple[tuple[int | str, ...], TimedKinds]] = WeakKeyDictionary()


def timed_kinds(layer: LayerSchedule, rates: WorkRates) -> TimedKinds:
    """Return the cycles of each kind of tile op of a layer; those of the last rates are kept.

    In a sweep many points differ in nothing that this depends on.
    """
    found = _known.get(layer)
    if found is None or found[0] != rates.all_that_counts:
        found = _known[layer] = rates.all_that_counts, _timed_kinds(layer, rates)
    return found[1]


def _timed_kinds(layer: LayerSchedule, rates: WorkRates) -> TimedKinds:
    kinds = layer.kinds
    cycles = work_cycles(layer.engine, kinds.ops, rates)
    if rates.input_banks is None or layer.engine is not Engine.ARRAY:
        return TimedKinds(kinds, cycles, (0,) * len(layer.core_slices))
    waits = conflict_cycles(layer, rates.input_banks, rates.device)
    pairs = np.stack([kinds.kind_of.astype(np.int64), waits], 1)
    found, first, of, counts = np.unique(pairs, axis=0, return_index=True, return_inverse=True, return_counts=True)
    apart = TileOpKinds(of.reshape(-1).astype(np.int32), layer.ops[first], counts.astype(np.int64))
    by_core = tuple(int(waits[part].sum()) for part in layer.core_slices)
    return TimedKinds(apart, cycles[found[:, 0]] + found[:, 1], by_core)
