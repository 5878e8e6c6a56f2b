"""Schedule of an array layer that a command-driven device runs as a matrix product."""

from __future__ import annotations

from math import isqrt
from typing import Any

import numpy as np
from numpy.typing import NDArray

from simulator.accelerator.spec import Accelerator
from simulator.errors import DoesNotFit
from simulator.graph.ops import Padding
from simulator.kernels import command_layout as at
from simulator.lowering.layer import Engine
from simulator.mapping.command_tiles import Extent, LoopTile, loop_tile
from simulator.mapping.commands import CommandDevice, CommandLists, Product, command_lists
from simulator.mapping.schedule import TILE_OP, LayerMapping, LayerSchedule, LoopOrder, Residency
from simulator.mapping.work import ArrayWork


def command_device(accelerator: Accelerator) -> CommandDevice:
    """Read the sizes off a specification that has a controller; the scratchpads are one memory."""
    assert accelerator.controller is not None
    dim, memories = accelerator.array.rows, accelerator.memories
    return CommandDevice(
        dim=dim,
        beat_bytes=accelerator.controller.bus_bytes,
        burst_bytes=accelerator.dma.burst_bytes,
        scratchpad_rows=(memories.input_scratchpad.size + memories.weight_scratchpad.size) // dim,
        accumulator_rows=memories.accumulator.size // (4 * dim),
    )


def product_of(work: ArrayWork) -> Product | None:
    """Return an array layer as a matrix product, or None for one that needs an address generator.

    Fully connected layers and 1x1 convolutions of stride 1 are products: activations lie in DRAM pixel by pixel.
    """
    g = work.geometry
    plain = g.groups == 1 and not g.transposed and g.padding == Padding()
    if not plain or (*g.kernel, *g.stride, *g.insertion) != (1,) * 6:
        return None
    bias = "none" if work.bias_bits == 0 else "matrix" if work.bias_matrix else "vector"
    return Product(m=g.m, n=g.n, k=g.k, out_bytes=1 if work.output_bits <= 8 else 4, bias=bias)


def command_schedule(name: str, product: Product, accelerator: Accelerator) -> LayerSchedule:
    """Cut a product by the device's fixed rule.

    Raises
    ------
    DoesNotFit
        Half of a memory is smaller than a block of each operand.

    """
    device = command_device(accelerator)
    extent = Extent.of(product.m, product.n, product.k, device.dim)
    tile = loop_tile(extent, device.scratchpad_rows, device.accumulator_rows, device.dim)
    if tile is None:
        raise _does_not_fit(name, accelerator, device)
    lists = command_lists(product, tile, device)
    return LayerSchedule(Engine.ARRAY, _loop_ops(product, lists), _mapping(product, extent, tile, device), lists)


def _loop_ops(product: Product, lists: CommandLists) -> NDArray[Any]:
    """Return one tile operation a loop; bytes are those on the bus, what a request reads too much included."""
    dim, beat_bytes = lists.device.dim, lists.device.beat_bytes
    ops = np.zeros(len(lists.blocks), TILE_OP)
    blocks = np.array([(b.i0, b.i, b.j0, b.j, b.k0, b.k) for b in lists.blocks], np.int64) * dim
    names = (("row", "rows", product.m), ("channel", "channels", product.n), ("k", "k_length", product.k))
    for column, (first, count, limit) in enumerate(names):
        begin, size = blocks[:, 2 * column], blocks[:, 2 * column + 1]
        ops[first], ops[count] = begin, np.minimum(begin + size, limit) - begin
    ops["groups"] = ops["cols"] = 1
    ops["folds"] = lists.loops[:-1, at.BLOCKS_J] * lists.loops[:-1, at.BLOCKS_K]
    for kind, sequencer in (
        ("input", at.ACTIVATIONS),
        ("weight", at.WEIGHTS),
        ("bias", at.BIASES),
        ("store", at.STORES),
    ):
        ops[f"{kind}_bytes"] = lists.beats[:, sequencer] * beat_bytes
        begin = lists.loops[:, at.FIRST_COMMAND + sequencer]
        rows = np.concatenate([[0], np.cumsum(lists.commands[:, at.ROWS])])
        ops[f"{kind}_segments"] = rows[begin[1:]] - rows[begin[:-1]]
    return ops


def _mapping(product: Product, extent: Extent, tile: LoopTile, device: CommandDevice) -> LayerMapping:
    trips, dim = extent.trips(tile), device.dim
    return LayerMapping(
        rows=min(tile.i * dim, product.m),
        cols=1,
        channels=min(tile.j * dim, product.n),
        k=min(tile.k * dim, product.k),
        groups=1,
        order=LoopOrder.INPUTS_RESIDENT,
        input_residency=Residency.LAYER if trips.i * trips.k <= 2 else Residency.CHUNK,
        weight_residency=Residency.LAYER if trips.j * trips.k <= 2 else Residency.CHUNK,
        extent=(1, 1, product.m, 1, product.n, product.k),
    )


def _does_not_fit(name: str, accelerator: Accelerator, device: CommandDevice) -> DoesNotFit:
    dim, memories = device.dim, accelerator.memories
    block_bytes = 4 * dim * dim
    if memories.accumulator.size < 2 * block_bytes:
        levers = [f"memories.accumulator.size >= {2 * block_bytes}"]
        return DoesNotFit(name, "accumulator", 2 * block_bytes, memories.accumulator.size, levers)
    side = isqrt(memories.accumulator.size // (2 * block_bytes))
    needed = 4 * dim * dim * side
    have = memories.input_scratchpad.size + memories.weight_scratchpad.size
    levers = [f"memories.input_scratchpad.size + memories.weight_scratchpad.size >= {needed}"]
    return DoesNotFit(name, "scratchpad", needed, have, levers)
