"""Cycles that a layer's own engine works on each tile op."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from simulator.accelerator.spec import Accelerator
from simulator.lowering.layer import Engine
from simulator.mapping.array_cycles import tile_op_cycles
from simulator.mapping.schedule import LayerSchedule
from simulator.mapping.work import Device


def work_cycles(layer: LayerSchedule, accelerator: Accelerator) -> NDArray[np.int64]:
    """Cycles of each tile op, int64 [tile ops].

    array: the closed forms of `simulator.mapping.array_cycles`; vector: startup + ceil(lane operations / lanes);
    host: ceil(elements / elements per cycle); dma: 0, the data only pass through.
    """
    ops = layer.ops["ops"]
    if layer.engine is Engine.ARRAY:
        return tile_op_cycles(layer.ops, Device.of(accelerator))
    if layer.engine is Engine.VECTOR:
        unit = accelerator.vector_unit
        return np.asarray(unit.startup_cycles + -(-ops // unit.lanes), np.int64)
    if layer.engine is Engine.HOST:
        rate = Fraction(accelerator.host.elements_per_cycle).limit_denominator(10**6)
        return np.asarray(-(-ops * rate.denominator // rate.numerator), np.int64)
    return np.zeros(len(ops), np.int64)
