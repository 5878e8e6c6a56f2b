"""Map every layer of a network: choose tiles, write tile operations."""

from __future__ import annotations

from collections.abc import Sequence

from simulator.accelerator.spec import Accelerator
from simulator.lowering.layer import Engine, Layer
from simulator.mapping.command_schedule import command_schedule, product_of
from simulator.mapping.fit import does_not_fit
from simulator.mapping.schedule import LayerSchedule, Schedule
from simulator.mapping.search import search
from simulator.mapping.streams import stream_schedule
from simulator.mapping.tiles import array_schedule
from simulator.mapping.work import ArrayWork, Device


def map_layers(layers: Sequence[Layer], accelerator: Accelerator) -> Schedule:
    """Cut `layers` into tile operations that fit `accelerator`. Layers that are alike share one schedule.

    Raises
    ------
    DoesNotFit
        The smallest tile of a layer is larger than a memory; the error lists what would make it fit.

    """
    device = Device.of(accelerator)
    known: dict[ArrayWork, LayerSchedule] = {}
    schedules = []
    for layer in layers:
        if layer.engine is not Engine.ARRAY:
            schedules.append(stream_schedule(layer, device))
            continue
        work = ArrayWork.of(layer)
        if work not in known:
            known[work] = _map_array(layer.name, work, device, accelerator)
        schedules.append(known[work])
    return Schedule(tuple(layer.name for layer in layers), tuple(schedules))


def _map_array(name: str, work: ArrayWork, device: Device, accelerator: Accelerator) -> LayerSchedule:
    product = product_of(work) if accelerator.controller is not None else None
    if product is not None:
        return command_schedule(name, product, accelerator)
    mapping = search(work, device)
    if mapping is None:
        raise does_not_fit(name, work, device)
    return array_schedule(work, mapping, device)
