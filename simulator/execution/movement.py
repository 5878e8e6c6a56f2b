"""Execute operators that move data: any format, stored values as they are."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from simulator.errors import InputError
from simulator.execution.context import ExecutionContext, Executor, ExecutorTable, LayerResult
from simulator.execution.turned import swapped, swaps_ends
from simulator.graph import ops
from simulator.graph.graph import Tensor
from simulator.graph.ops import Op
from simulator.lowering.layer import Layer

Array = NDArray[Any]
_Move = Callable[[Any, list[Array], Layer], Sequence[Array]]


def _pad(op: ops.Pad, arrays: list[Array], layer: Layer) -> Sequence[Array]:
    value = np.asarray(op.value).astype(arrays[0].dtype)
    return [np.pad(arrays[0], op.paddings, constant_values=value)]


def _mirror_pad(op: ops.MirrorPad, arrays: list[Array], layer: Layer) -> Sequence[Array]:
    return [np.pad(arrays[0], op.paddings, mode="reflect" if op.mode == "reflect" else "symmetric")]


def _reshape(op: ops.Reshape, arrays: list[Array], layer: Layer) -> Sequence[Array]:
    return [arrays[0].reshape(layer.outputs[0].shape)]


def _slice(op: ops.Slice, arrays: list[Array], layer: Layer) -> Sequence[Array]:
    cuts = tuple(slice(*cut) for cut in zip(op.begin, op.end, op.step, strict=True))
    return [arrays[0][cuts].reshape(layer.outputs[0].shape)]


def _split(op: ops.Split, arrays: list[Array], layer: Layer) -> Sequence[Array]:
    return np.split(arrays[0], np.cumsum(op.sizes)[:-1], axis=op.axis)


def _tile(op: ops.Tile, arrays: list[Array], layer: Layer) -> Sequence[Array]:
    return [np.tile(arrays[0], op.multiples)]


def _transpose(op: ops.Transpose, arrays: list[Array], layer: Layer) -> Sequence[Array]:
    x, order = arrays[0], op.permutation
    return [swapped(x) if swaps_ends(order) else x.transpose(order)]


def _pack(op: ops.Pack, arrays: list[Array], layer: Layer) -> Sequence[Array]:
    return [np.stack(arrays, axis=op.axis)]


def _unpack(op: ops.Unpack, arrays: list[Array], layer: Layer) -> Sequence[Array]:
    return list(np.moveaxis(arrays[0], op.axis, 0))


def _space_to_batch(op: ops.SpaceToBatch, arrays: list[Array], layer: Layer) -> Sequence[Array]:
    x, rank = arrays[0], len(op.block)
    rest = x.ndim - rank - 1
    fill = np.asarray(_zero(layer.outputs[0])).astype(x.dtype)
    x = np.pad(x, ((0, 0), *op.paddings, *((0, 0),) * rest), constant_values=fill)
    sizes = [part for n, block in zip(x.shape[1:], op.block, strict=False) for part in (n // block, block)]
    split = x.reshape(x.shape[0], *sizes, *x.shape[rank + 1 :])
    blocks, pixels = range(2, 2 * rank + 1, 2), range(1, 2 * rank, 2)
    order = (*blocks, 0, *pixels, *range(2 * rank + 1, split.ndim))
    return [split.transpose(order).reshape(layer.outputs[0].shape)]


def _zero(tensor: Tensor) -> int:
    return 0 if tensor.quant is None else tensor.zero_point


def _batch_to_space(op: ops.BatchToSpace, arrays: list[Array], layer: Layer) -> Sequence[Array]:
    x, rank = arrays[0], len(op.block)
    batch = x.shape[0] // int(np.prod(op.block))
    split = x.reshape(*op.block, batch, *x.shape[1:])
    woven = [axis for i in range(rank) for axis in (rank + 1 + i, i)]
    moved = split.transpose(rank, *woven, *range(2 * rank + 1, split.ndim))
    sizes = [n * block for n, block in zip(x.shape[1:], op.block, strict=False)]
    full = moved.reshape(batch, *sizes, *x.shape[rank + 1 :])
    cuts = [slice(before, n - after) for n, (before, after) in zip(sizes, op.crops, strict=True)]
    return [full[(slice(None), *cuts)]]


def _space_to_depth(op: ops.SpaceToDepth, arrays: list[Array], layer: Layer) -> Sequence[Array]:
    batch, height, width, channels = layer.outputs[0].shape
    split = arrays[0].reshape(batch, height, op.block, width, op.block, channels // op.block**2)
    return [split.transpose(0, 1, 3, 2, 4, 5).reshape(layer.outputs[0].shape)]


def _depth_to_space(op: ops.DepthToSpace, arrays: list[Array], layer: Layer) -> Sequence[Array]:
    batch, height, width, channels = arrays[0].shape
    split = arrays[0].reshape(batch, height, width, op.block, op.block, channels // op.block**2)
    return [split.transpose(0, 1, 3, 2, 4, 5).reshape(layer.outputs[0].shape)]


def _gather(op: ops.Gather, arrays: list[Array], layer: Layer) -> Sequence[Array]:
    x, indices = arrays
    _check_indices(indices, x.shape[op.axis], layer)
    lead = x.shape[: op.batch_dims]
    flat_x, flat_indices = x.reshape(-1, *x.shape[len(lead) :]), indices.reshape(-1, *indices.shape[len(lead) :])
    taken = [np.take(a, i, axis=op.axis - len(lead)) for a, i in zip(flat_x, flat_indices, strict=True)]
    return [np.stack(taken).reshape(layer.outputs[0].shape)]


def _gather_nd(op: ops.GatherNd, arrays: list[Array], layer: Layer) -> Sequence[Array]:
    x, indices = arrays
    columns = [indices[..., axis] for axis in range(indices.shape[-1])]
    for size, column in zip(x.shape, columns, strict=False):
        _check_indices(column, size, layer)
    return [x[tuple(columns)].reshape(layer.outputs[0].shape)]


def _check_indices(indices: Array, size: int, layer: Layer) -> None:
    if indices.size and not 0 <= indices.min() <= indices.max() < size:
        raise InputError(
            f"layer {layer.name}: indices {indices.min()} to {indices.max()} of an axis with {size} entries"
        )


_MOVES: dict[type[Op], _Move] = {
    ops.Pad: _pad,
    ops.MirrorPad: _mirror_pad,
    ops.Reshape: _reshape,
    ops.Slice: _slice,
    ops.Split: _split,
    ops.Tile: _tile,
    ops.Transpose: _transpose,
    ops.Pack: _pack,
    ops.Unpack: _unpack,
    ops.SpaceToBatch: _space_to_batch,
    ops.BatchToSpace: _batch_to_space,
    ops.SpaceToDepth: _space_to_depth,
    ops.DepthToSpace: _depth_to_space,
    ops.Gather: _gather,
    ops.GatherNd: _gather_nd,
}


def _executor(move: _Move) -> Executor:
    def execute(layer: Layer, arrays: Sequence[Array | None], context: ExecutionContext) -> LayerResult:
        moved = move(layer.node.op, [array for array in arrays if array is not None], layer)
        return LayerResult(tuple(np.ascontiguousarray(array).reshape(array.shape) for array in moved))

    return execute


EXECUTORS: ExecutorTable = {op: _executor(move) for op, move in _MOVES.items()}
