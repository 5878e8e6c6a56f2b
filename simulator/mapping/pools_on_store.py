"""Pools that the store path does: the full map that they read is neither stored nor loaded again.

A pool joins the layer on the array before it where it is all that reads that layer's output, the device has it
(`store_path.pools`), windows that lie in several tiles fit its buffer, and the two together then neither take more
cycles nor move more bytes. The tiles of such a layer are cut anew. No choice changes a value.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace

import numpy as np

from simulator.accelerator.store_path import Pools
from simulator.graph.ops import AveragePool2D, MaxPool2D
from simulator.lowering.layer import Engine, Layer
from simulator.lowering.pooling import PoolConstants
from simulator.mapping.schedule import TILE_OP, LayerMapping, LayerSchedule, LoopOrder
from simulator.mapping.store_pool import StorePool, pooled_cols, pooled_rows, waiting_windows
from simulator.mapping.work import ArrayWork, Device


def store_pools(layers: Sequence[Layer], outputs: Collection[str], pools: Pools) -> dict[int, int]:
    """Return index of an array layer -> index of the pool that is all that reads its output.

    Parameters
    ----------
    outputs
        Names of tensors that leave the network: they are stored as they are.

    """
    readers = Counter(tensor.name for layer in layers for tensor in layer.inputs if tensor is not None)
    writers = {tensor.name: index for index, layer in enumerate(layers) for tensor in layer.outputs}
    found = {}
    for index, layer in enumerate(layers):
        if not _suits(layer, pools):
            continue
        x = layer.inputs[0]
        assert x is not None
        before = writers.get(x.name)
        if before is None or readers[x.name] != 1 or x.name in outputs:
            continue
        g, y = layers[before].geometry, layers[before].outputs[0]
        if g is None or ArrayWork.of(layers[before]).bias_matrix:
            continue
        image = (g.batch, g.out_height, g.out_width, g.filters * g.groups)
        if (x.shape, x.format) == (image, y.format):
            found[before] = index
    return found


def _suits(layer: Layer, pools: Pools) -> bool:
    """Whether the store path does such a pool. An average that is rescaled to another scale stays a layer."""
    if layer.engine is not Engine.VECTOR or not isinstance(layer.constants, PoolConstants):
        return False
    if isinstance(layer.node.op, MaxPool2D):
        return pools is not Pools.NONE
    average = isinstance(layer.node.op, AveragePool2D) and layer.constants.real is None
    return average and pools is Pools.MAX_AND_AVERAGE


def pool_of(layer: Layer) -> StorePool:
    """Return a lowered pool as the store path does it."""
    constants = layer.constants
    assert isinstance(constants, PoolConstants)
    _, height, width, _ = layer.outputs[0].shape
    average = isinstance(layer.node.op, AveragePool2D)
    return StorePool(constants.kernel, constants.stride, constants.offset, (height, width), average)


def can_wait(work: ArrayWork, mapping: LayerMapping, device: Device) -> bool:
    """Whether each tile of a mapping completes a window, and the buffer holds those that lie in several."""
    assert work.pool is not None
    rows = pooled_rows(work.pool, work.geometry, mapping.rows)
    windows = waiting_windows(work.pool, rows, pooled_cols(work.pool, work.geometry, mapping.cols))
    if windows is None:
        return False
    inside = mapping.order is LoopOrder.INPUTS_RESIDENT
    channels = mapping.groups * (work.geometry.filters if inside else mapping.channels)
    bits = windows * channels * work.pool.waiting_bits(work.output_bits)
    return -(-bits // 8) <= device.pool_buffer_bytes


def aligned(mapping: LayerMapping, pool: StorePool) -> LayerMapping:
    """Return a mapping whose tiles begin where windows do, if large enough: for a tiler without a search."""
    rows, cols = (
        size // step * step or size for size, step in zip((mapping.rows, mapping.cols), pool.stride, strict=True)
    )
    return replace(mapping, rows=rows, cols=cols)


@dataclass(frozen=True)
class PoolChooser:
    """Decides which of the pools that the store path could do it does."""

    best: Callable[[ArrayWork], LayerSchedule | None]
    """Best schedule of a layer with its pool, where there is one."""
    cycles: Callable[[LayerSchedule], int]

    def apply(
        self, layers: Sequence[Layer], schedules: list[LayerSchedule], pairs: dict[int, int]
    ) -> tuple[dict[int, int], list[LayerSchedule]]:
        """Return those of `pairs` (see `store_pools`) that are worth it, and the schedules with them."""
        done, now = {}, list(schedules)
        known: dict[tuple[ArrayWork, int], LayerSchedule | None] = {}
        for before, after in pairs.items():
            work = replace(ArrayWork.of(layers[before]), pool=pool_of(layers[after]))
            key = work, id(schedules[after])
            if key not in known:
                known[key] = self._worth_it(work, schedules[before], schedules[after])
            found = known[key]
            if found is not None:
                done[before] = after
                now[before], now[after] = found, LayerSchedule(layers[after].engine, np.zeros(0, TILE_OP))
        return done, now

    def _worth_it(self, work: ArrayWork, before: LayerSchedule, after: LayerSchedule) -> LayerSchedule | None:
        best = self.best(work)
        if best is None:
            return None
        slower = self.cycles(best) > self.cycles(before) + self.cycles(after)
        return None if slower or _moved(best) > _moved(before) + _moved(after) else best


def _moved(schedule: LayerSchedule) -> int:
    return sum(schedule.total(f"{kind}_bytes") for kind in ("input", "weight", "bias", "store"))


def as_stored(layers: Sequence[Layer], done: dict[int, int]) -> list[Layer]:
    """Return the layers with each convolution writing what its pool gives, and that pool doing nothing."""
    found = list(layers)
    for before, after in done.items():
        outputs = layers[after].outputs
        found[before] = replace(layers[before], outputs=outputs)
        found[after] = replace(layers[after], inputs=outputs, moves_data=False)
    return found
