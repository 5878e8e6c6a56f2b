"""Tile operations of layers off the array: chunks that stream through the input scratchpad."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from simulator.errors import DoesNotFit
from simulator.lowering.layer import Engine, Layer
from simulator.mapping.schedule import TILE_OP, Hold, LayerSchedule
from simulator.mapping.work import Device


def traffic(layer: Layer) -> tuple[int, int]:
    """Bytes that a layer off the array reads and writes.

    Pure movement reads only what it writes (a slice), or once what it repeats (a tile, a pad).
    """
    distinct = {tensor.name: tensor.bytes for tensor in layer.inputs if tensor is not None}
    read, write = sum(distinct.values()), sum(tensor.bytes for tensor in layer.outputs)
    return (min(read, write) if layer.engine is Engine.DMA else read), write


def stream_schedule(layer: Layer, device: Device) -> LayerSchedule:
    """Cut a vector, DMA or host layer into equal chunks whose inputs and outputs share half the input scratchpad.

    A layer of several passes (a quantizer needs the greatest magnitude before the first result) that is no single chunk
    reads its inputs again for each.

    Raises
    ------
    DoesNotFit
        Not even one output element with its share of the inputs fits.

    """
    return stream_of(layer, chunk_count(layer, device) if layer.moves_data else 0)


def chunk_count(layer: Layer, device: Device) -> int:
    """Return into how few chunks a layer that moves data is cut; DoesNotFit as `stream_schedule`."""
    read, write = traffic(layer)
    elements = max(1, sum(tensor.elements for tensor in layer.outputs))
    half = device.input_half_bytes
    smallest = -(-read // elements) + -(-write // elements)
    if smallest > half:
        lever = f"memories.input_scratchpad.size >= {2 * smallest}"
        raise DoesNotFit(layer.name, "input_scratchpad", 2 * smallest, 2 * half, [lever])
    if read + write > half:
        read += layer.reread_bytes
    count = max(1, -(-(read + write) // half))
    while -(-read // count) + -(-write // count) > half:
        count += 1
    return count


def stream_of(layer: Layer, count: int, cores: int = 1) -> LayerSchedule:
    """Tile operations of a layer off the array in `count` chunks, a multiple of `cores`; 0: it moves nothing."""
    if count == 0:
        return LayerSchedule(layer.engine, np.zeros(0, TILE_OP))
    read, write = traffic(layer)
    if count > 1:  # the layer does not fit on chip: `chunk_count`
        read += layer.reread_bytes
    ops = np.zeros(count, TILE_OP)
    for name, total in (("input", read), ("store", write)):
        ops[f"{name}_bytes"] = shares(total, count)
        ops[f"{name}_segments"] = ops[f"{name}_bytes"] > 0
    ops["ops"] = shares(layer.vector_ops, count)
    ops["hold"] = Hold.TAKE_INPUT | Hold.GIVE_INPUT_WHEN_STORED
    return LayerSchedule(layer.engine, ops, core_ops=(count // cores,) * cores if cores > 1 else ())


def shares(total: int, count: int) -> NDArray[np.int64]:
    """Split `total` into `count` whole shares that differ by at most one."""
    base, more = divmod(total, count)
    return base + (np.arange(count) < more).astype(np.int64)
