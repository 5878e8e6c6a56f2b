"""Schedule of an array layer that a command-driven device runs: as a matrix product, or as a convolution."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from math import isqrt
from typing import Any

import numpy as np
from numpy.typing import NDArray

from simulator.accelerator.spec import Accelerator
from simulator.errors import DoesNotFit
from simulator.graph.ops import Padding
from simulator.kernels import command_layout as at
from simulator.lowering.layer import Engine
from simulator.mapping.command_lists import KEPT_TRIPS, CommandDevice, CommandLists
from simulator.mapping.command_tiles import Extent, LoopTile, loop_blocks, loop_tile
from simulator.mapping.commands import Product, command_lists
from simulator.mapping.convolution_commands import convolution_lists
from simulator.mapping.convolution_tiles import (
    Convolution,
    ConvolutionLoop,
    ConvolutionTile,
    Pool,
    convolution_loops,
    convolution_tile,
    keeps,
    rows_used,
)
from simulator.mapping.host_commands import host_lists
from simulator.mapping.schedule import TILE_OP, LayerMapping, LayerSchedule, LoopOrder, Residency
from simulator.mapping.work import ArrayWork
from simulator.numerics.modes import Dataflow


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
        scratchpad_banks=memories.input_scratchpad.banks + memories.weight_scratchpad.banks,
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


def convolution_of(work: ArrayWork) -> Convolution | None:
    """Return an array layer as a convolution that the device unrolls, or None for one that it cannot.

    One group, not transposed, a square filter with one stride and one dilation, int8 outputs, no bias matrix.
    """
    g = work.geometry
    if g.groups != 1 or g.transposed or g.insertion != (1, 1) or work.output_bits > 8 or work.bias_matrix:
        return None
    if any(a != b for a, b in (g.kernel, g.stride, g.dilation)):
        return None
    return Convolution(
        batch=g.batch,
        in_height=g.in_height,
        in_width=g.in_width,
        channels=g.channels,
        out_height=g.out_height,
        out_width=g.out_width,
        filters=g.filters,
        kernel=g.kernel[0],
        stride=g.stride[0],
        dilation=g.dilation[0],
        pad_top=g.padding.top,
        pad_left=g.padding.left,
        bias=work.bias_bits > 0,
    )


def can_pool(work: ArrayWork, accelerator: Accelerator) -> bool:
    """Whether the store of a layer can do a max pool: only that of a convolution which the device unrolls can."""
    return accelerator.array.dataflow is Dataflow.WEIGHT_STATIONARY and convolution_of(work) is not None


def command_layer(
    name: str, work: ArrayWork, accelerator: Accelerator, pool: Pool | None = None
) -> LayerSchedule | None:
    """Cut a layer by the device's fixed rule; None where neither a product nor a convolution describes it.

    With a pool, a product too runs as a convolution. Output stationary there are only products: the device's library
    exits on others (gemmini.h, tiled_conv: "Gemmini convs do not currently support OS").

    Raises
    ------
    DoesNotFit
        Half of a memory is smaller than a block of each operand.

    """
    product = product_of(work)
    if product is not None and pool is None:
        return command_schedule(name, product, accelerator)
    convolution = convolution_of(work)
    if convolution is None or accelerator.array.dataflow is Dataflow.OUTPUT_STATIONARY:
        return None
    return convolution_schedule(name, replace(convolution, pool=pool), accelerator)


def command_schedule(name: str, product: Product, accelerator: Accelerator) -> LayerSchedule:
    """Cut a product by the device's fixed rule.

    Raises
    ------
    DoesNotFit
        Half of a memory is smaller than a block of each operand.

    """
    device = command_device(accelerator)
    by_host = accelerator.array.dataflow is Dataflow.OUTPUT_STATIONARY
    extent = Extent.of(product.m, product.n, product.k, device.dim)
    tile = loop_tile(extent, device.scratchpad_rows, device.accumulator_rows, device.dim, 1 if by_host else 2)
    if tile is None:
        raise _does_not_fit(name, accelerator, device)
    lists = host_lists(product, tile, device) if by_host else command_lists(product, tile, device)
    ops = _loop_ops(product, extent, tile, lists)
    return LayerSchedule(Engine.ARRAY, ops, _mapping(product, extent, tile, lists), lists)


def convolution_schedule(name: str, conv: Convolution, accelerator: Accelerator) -> LayerSchedule:
    """Cut a convolution by the device's fixed rule.

    Raises
    ------
    DoesNotFit
        Half of a memory is smaller than one tap of one output.

    """
    device = command_device(accelerator)
    tile = convolution_tile(conv, device.scratchpad_rows, device.accumulator_rows, device.dim)
    if tile is None:
        raise _convolution_does_not_fit(name, conv, accelerator, device)
    cut = tuple(convolution_loops(conv, tile))
    lists = convolution_lists(conv, tile, cut, device)
    return LayerSchedule(Engine.ARRAY, _convolution_ops(conv, cut, lists), _convolution_mapping(conv, tile), lists)


def _loop_ops(product: Product, extent: Extent, tile: LoopTile, lists: CommandLists) -> NDArray[Any]:
    """Return one tile operation a loop."""
    dim = lists.device.dim
    ops = np.zeros(len(lists.loops) - 1, TILE_OP)
    cut = loop_blocks(extent, tile)
    blocks = np.array([(b.i0, b.i, b.j0, b.j, b.k0, b.k) for b in cut], np.int64) * dim
    names = (("row", "rows", product.m), ("channel", "channels", product.n), ("k", "k_length", product.k))
    for column, (first, count, limit) in enumerate(names):
        begin, size = blocks[:, 2 * column], blocks[:, 2 * column + 1]
        ops[first], ops[count] = begin, np.minimum(begin + size, limit) - begin
    ops["groups"] = ops["cols"] = 1
    other = at.BLOCKS_I if lists.unroller == at.HOST else at.BLOCKS_K
    ops["folds"] = lists.loops[:-1, at.BLOCKS_J] * lists.loops[:-1, other]
    _count_traffic(ops, lists)
    return ops


def _convolution_ops(conv: Convolution, cut: Sequence[ConvolutionLoop], lists: CommandLists) -> NDArray[Any]:
    """Return one tile operation a loop; `k` is the first tap, `k_length` the taps times input channels."""
    ops = np.zeros(len(lists.loops) - 1, TILE_OP)
    corners, sizes = np.array([loop.first for loop in cut]), np.array([loop.size for loop in cut])
    first, size = ConvolutionTile(*corners.T), ConvolutionTile(*sizes.T)
    ops["batch"], ops["channel"], ops["channels"] = first.batches, first.filters, size.filters
    ops["row"], ops["rows"] = [loop.out_row for loop in cut], [loop.out_rows for loop in cut]
    ops["rows"] *= size.batches
    ops["col"], ops["cols"] = [loop.out_col for loop in cut], [loop.out_cols for loop in cut]
    ops["k"] = (first.kernel_rows * conv.kernel + first.kernel_cols) * conv.channels + first.channels
    ops["k_length"] = size.kernel_rows * size.kernel_cols * size.channels
    ops["groups"] = 1
    new_weights = np.concatenate([[0], np.cumsum(lists.executes[:, at.NEW_WEIGHTS])])
    begin = lists.loops[:-1, at.SHAPE_COMMAND + at.EXECUTES]
    ops["folds"] = new_weights[begin + np.diff(lists.loops[:, at.FIRST_BLOCK])] - new_weights[begin]
    _count_traffic(ops, lists)
    return ops


def _count_traffic(ops: NDArray[Any], lists: CommandLists) -> None:
    """Note bytes on the bus, what a request reads too much included, and rows of DRAM that they come in."""
    for kind, sequencer in (
        ("input", at.ACTIVATIONS),
        ("weight", at.WEIGHTS),
        ("bias", at.BIASES),
        ("store", at.STORES),
    ):
        ops[f"{kind}_bytes"] = lists.beats[:, sequencer] * lists.device.beat_bytes
        ops[f"{kind}_segments"] = lists.rows[:, sequencer]


def _mapping(product: Product, extent: Extent, tile: LoopTile, lists: CommandLists) -> LayerMapping:
    trips, dim = extent.trips(tile), lists.device.dim
    kept = KEPT_TRIPS if lists.unroller == at.PRODUCTS else 0
    return LayerMapping(
        rows=min(tile.i * dim, product.m),
        cols=1,
        channels=min(tile.j * dim, product.n),
        k=min(tile.k * dim, product.k),
        groups=1,
        order=LoopOrder.INPUTS_RESIDENT,
        input_residency=Residency.LAYER if trips.i * trips.k <= kept else Residency.CHUNK,
        weight_residency=Residency.LAYER if trips.j * trips.k <= kept else Residency.CHUNK,
        extent=(1, 1, product.m, 1, product.n, product.k),
    )


def _convolution_mapping(conv: Convolution, tile: ConvolutionTile) -> LayerMapping:
    inputs_kept, weights_kept = keeps(conv, tile)
    pool = conv.window
    return LayerMapping(
        rows=tile.rows * pool.stride,
        cols=tile.cols * pool.stride,
        channels=tile.filters,
        k=tile.kernel_rows * tile.kernel_cols * tile.channels,
        groups=1,
        order=LoopOrder.INPUTS_RESIDENT,
        input_residency=Residency.LAYER if inputs_kept else Residency.CHUNK,
        weight_residency=Residency.LAYER if weights_kept else Residency.CHUNK,
        extent=(1, conv.batch, conv.out_height, conv.out_width, conv.filters, conv.kernel**2 * conv.channels),
    )


def _does_not_fit(name: str, accelerator: Accelerator, device: CommandDevice) -> DoesNotFit:
    dim, memories = device.dim, accelerator.memories
    block_bytes = 4 * dim * dim
    buffers = 1 if accelerator.array.dataflow is Dataflow.OUTPUT_STATIONARY else 2
    if memories.accumulator.size < buffers * block_bytes:
        levers = [f"memories.accumulator.size >= {buffers * block_bytes}"]
        return DoesNotFit(name, "accumulator", buffers * block_bytes, memories.accumulator.size, levers)
    side = isqrt(memories.accumulator.size // (buffers * block_bytes))
    needed = 2 * buffers * dim * dim * side
    have = memories.input_scratchpad.size + memories.weight_scratchpad.size
    levers = [f"memories.input_scratchpad.size + memories.weight_scratchpad.size >= {needed}"]
    return DoesNotFit(name, "scratchpad", needed, have, levers)


def _convolution_does_not_fit(
    name: str, conv: Convolution, accelerator: Accelerator, device: CommandDevice
) -> DoesNotFit:
    memories = accelerator.memories
    rows, accumulators = rows_used(conv, ConvolutionTile(1, 1, 1, 1, 1, 1, 1), device.dim)
    if 2 * accumulators > device.accumulator_rows:
        needed = 8 * device.dim * accumulators
        levers = [f"memories.accumulator.size >= {needed}"]
        return DoesNotFit(name, "accumulator", needed, memories.accumulator.size, levers)
    needed = 2 * device.dim * rows
    have = memories.input_scratchpad.size + memories.weight_scratchpad.size
    levers = [f"memories.input_scratchpad.size + memories.weight_scratchpad.size >= {needed}"]
    return DoesNotFit(name, "scratchpad", needed, have, levers)
