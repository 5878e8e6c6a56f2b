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
from simulator.mapping.schedule import LayerSchedule
from simulator.mapping.work import Device


@dataclass(frozen=True)
class WorkRates:
    """How fast each engine works, read off a specification once."""

    device: Device
    vector_startup_cycles: int
    vector_lanes: int
    host_elements_per_cycle: Fraction

    @classmethod
    def of(cls, accelerator: Accelerator) -> WorkRates:
        """Read the rates off a specification."""
        unit = accelerator.vector_unit
        host = Fraction(accelerator.host.elements_per_cycle).limit_denominator(10**6)
        return cls(Device.of(accelerator), unit.startup_cycles, unit.lanes, host)

    @cached_property
    def all_that_counts(self) -> tuple[int | str, ...]:
        """What `work_cycles` reads: devices that differ in memories alone are alike."""
        device, host = self.device, self.host_elements_per_cycle
        array = device.rows, device.cols, device.dataflow.value, int(device.weight_double_buffer)
        return *array, self.vector_startup_cycles, self.vector_lanes, host.numerator, host.denominator


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


_known: WeakKeyDictionary[LayerSchedule, tuple[tuple[int | str, ...], NDArray[np.int64]]] = WeakKeyDictionary()


def kind_cycles(layer: LayerSchedule, rates: WorkRates) -> NDArray[np.int64]:
    """Cycles of each kind of tile op of a layer, int64 [kinds], not to be written to; those of the last rates are kept.

    In a sweep many points differ in nothing that this depends on.
    """
    found = _known.get(layer)
    if found is None or found[0] != rates.all_that_counts:
        found = _known[layer] = rates.all_that_counts, work_cycles(layer.engine, layer.kinds.ops, rates)
    return found[1]
