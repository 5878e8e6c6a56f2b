"""Writers of operators that move values: the same integers whatever the scale."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from simulator.graph import ops
from simulator.graph.graph import Node
from simulator.graph.ops import Op
from simulator.lowering.resize import nearest_axis
from workloads.exporters._onnx_file import FileWriter, Refused
from workloads.exporters._onnx_steps import Writer, inputs_of, integers, output_of, require_same_scale, reshaped

_FAR = 1 << 40
"""Beyond the end of every axis: ONNX's Slice stops there at the edge."""


def _moved(write: Callable[[FileWriter, Node, str], str]) -> Writer:
    """Make a writer of one that turns the input's value, in the network's own layout, into the output's."""

    def writer(file: FileWriter, node: Node) -> None:
        require_same_scale(file, node)
        file.give(node.outputs[0], write(file, node, file.as_is(node.inputs[0])))

    return writer


def _reshape(file: FileWriter, node: Node, x: str) -> str:
    return reshaped(file, node, x, output_of(file, node).shape)


def _transpose(file: FileWriter, node: Node, x: str) -> str:
    assert isinstance(node.op, ops.Transpose)
    return file.emit("Transpose", [x], node.name, perm=node.op.permutation)


def _sides(file: FileWriter, node: Node, paddings: Sequence[tuple[int, int]]) -> str:
    return integers(file, node, "pads", [before for before, _ in paddings] + [after for _, after in paddings])


def _pad(file: FileWriter, node: Node, x: str) -> str:
    assert isinstance(node.op, ops.Pad)
    value = file.constant(f"{node.name}/fill", np.asarray(node.op.value, output_of(file, node).format.dtype))
    return file.emit("Pad", [x, _sides(file, node, node.op.paddings), value], node.name)


def _mirror_pad(file: FileWriter, node: Node, x: str) -> str:
    assert isinstance(node.op, ops.MirrorPad)
    if node.op.mode != "reflect":
        raise Refused(f"mode {node.op.mode}; ONNX has reflect")
    return file.emit("Pad", [x, _sides(file, node, node.op.paddings)], node.name, mode="reflect")


def _slice(file: FileWriter, node: Node, x: str) -> str:
    op, y = node.op, output_of(file, node)
    assert isinstance(op, ops.Slice)
    begin = [(0 if s > 0 else _FAR) if b is None else b for b, s in zip(op.begin, op.step, strict=True)]
    end = [(_FAR if s > 0 else -_FAR) if e is None else e for e, s in zip(op.end, op.step, strict=True)]
    parts = (("begin", begin), ("end", end), ("axes", range(len(begin))), ("step", op.step))
    made = file.emit("Slice", [x, *(integers(file, node, what, [*v]) for what, v in parts)], node.name)
    return reshaped(file, node, made, y.shape) if op.squeeze else made


def _parts(file: FileWriter, node: Node, axis: int, sizes: Sequence[int]) -> None:
    """Write a Split, and of what has lost the axis a Reshape."""
    x, outputs = inputs_of(file, node, 1)[0], [file.graph.tensors[name] for name in node.outputs]
    require_same_scale(file, node)
    operands = [file.as_is(x.name), integers(file, node, "sizes", [*sizes])]
    made = file.emit_many("Split", operands, [node.name] * len(sizes), axis=axis % len(x.shape))
    for value, y in zip(made, outputs, strict=True):
        file.give(y.name, value if len(y.shape) == len(x.shape) else reshaped(file, node, value, y.shape))


def _split(file: FileWriter, node: Node) -> None:
    assert isinstance(node.op, ops.Split)
    _parts(file, node, node.op.axis, node.op.sizes)


def _unpack(file: FileWriter, node: Node) -> None:
    assert isinstance(node.op, ops.Unpack)
    _parts(file, node, node.op.axis, (1,) * len(node.outputs))


def _pack(file: FileWriter, node: Node) -> None:
    op, y = node.op, output_of(file, node)
    assert isinstance(op, ops.Pack)
    require_same_scale(file, node)
    axis = op.axis % len(y.shape)
    shape = (*y.shape[:axis], 1, *y.shape[axis + 1 :])
    parts = [reshaped(file, node, file.as_is(name), shape) for name in node.inputs]
    file.give(y.name, file.emit("Concat", parts, node.name, axis=axis))


def _tile(file: FileWriter, node: Node, x: str) -> str:
    assert isinstance(node.op, ops.Tile)
    return file.emit("Tile", [x, integers(file, node, "repeats", node.op.multiples)], node.name)


def _depth_to_space(file: FileWriter, node: Node, x: str) -> str:
    op, (batch, height, width, channels) = node.op, inputs_of(file, node, 1)[0].shape
    assert isinstance(op, ops.DepthToSpace)
    split = reshaped(file, node, x, (batch, height, width, op.block, op.block, channels // op.block**2))
    woven = file.emit("Transpose", [split], node.name, perm=(0, 1, 3, 2, 4, 5))
    return reshaped(file, node, woven, output_of(file, node).shape)


def _space_to_depth(file: FileWriter, node: Node, x: str) -> str:
    op, (batch, height, width, channels) = node.op, inputs_of(file, node, 1)[0].shape
    assert isinstance(op, ops.SpaceToDepth)
    block = op.block
    split = reshaped(file, node, x, (batch, height // block, block, width // block, block, channels))
    gathered = file.emit("Transpose", [split], node.name, perm=(0, 1, 3, 2, 4, 5))
    return reshaped(file, node, gathered, output_of(file, node).shape)


def _space_to_batch(file: FileWriter, node: Node, x: str) -> str:
    op, given, y = node.op, inputs_of(file, node, 1)[0], output_of(file, node)
    assert isinstance(op, ops.SpaceToBatch)
    rank = len(op.block)
    sides = [(0, 0), *op.paddings, *((0, 0),) * (len(given.shape) - rank - 1)]
    fill = file.constant(f"{node.name}/fill", np.asarray(given.zero_point, given.format.dtype))
    made = file.emit("Pad", [x, _sides(file, node, sides), fill], node.name)
    size = [n + sum(pair) for n, pair in zip(given.shape, sides, strict=True)]
    split = [part for i, block in enumerate(op.block, 1) for part in (size[i] // block, block)]
    made = reshaped(file, node, made, [size[0], *split, *size[rank + 1 :]])
    order = [*range(2, 2 * rank + 1, 2), 0, *range(1, 2 * rank, 2), *range(2 * rank + 1, len(size) + rank)]
    return reshaped(file, node, file.emit("Transpose", [made], node.name, perm=order), y.shape)


def _batch_to_space(file: FileWriter, node: Node, x: str) -> str:
    op, size, y = node.op, inputs_of(file, node, 1)[0].shape, output_of(file, node)
    assert isinstance(op, ops.BatchToSpace)
    rank = len(op.block)
    batch = size[0] // int(np.prod(op.block))
    made = reshaped(file, node, x, [*op.block, batch, *size[1:]])
    woven = [axis for i in range(rank) for axis in (rank + 1 + i, i)]
    made = file.emit("Transpose", [made], node.name, perm=[rank, *woven, *range(2 * rank + 1, len(size) + rank)])
    spatial = [n * block for n, block in zip(size[1:], op.block, strict=False)]
    made = reshaped(file, node, made, [batch, *spatial, *size[rank + 1 :]])
    begin = [before for before, _ in op.crops]
    end = [before + n for before, n in zip(begin, y.shape[1:], strict=False)]
    bounds = (("begin", begin), ("end", end), ("axes", [*range(1, rank + 1)]))
    return file.emit("Slice", [made, *(integers(file, node, what, v) for what, v in bounds)], node.name)


def _picked(file: FileWriter, node: Node, x: str, indices: NDArray[np.int64], axis: int) -> str:
    return file.emit("Gather", [x, integers(file, node, "pixels", indices)], node.name, axis=axis)


def _nearest(file: FileWriter, node: Node) -> None:
    """Write a nearest-neighbour resize as the choice of rows and columns that it is."""
    op, (x,) = node.op, inputs_of(file, node, 1)
    assert isinstance(op, ops.ResizeNearest)
    require_same_scale(file, node)
    rows, columns = (nearest_axis(x.shape[i + 1], op.size[i], op.align_corners, op.half_pixel_centers) for i in (0, 1))
    made = _picked(file, node, file.channels_first(x.name), rows, 2)
    file.give_channels_first(node.outputs[0], _picked(file, node, made, columns, 3))


def _gather(file: FileWriter, node: Node) -> None:
    op, (x, indices) = node.op, inputs_of(file, node, 2)
    assert isinstance(op, ops.Gather)
    if op.batch_dims:
        raise Refused(f"batch_dims = {op.batch_dims}; ONNX's Gather has none")
    if indices.data is None:
        raise Refused(f"indices {indices.name} are computed")
    axis = op.axis % len(x.shape)
    file.give(node.outputs[0], _picked(file, node, file.as_is(x.name), indices.data.astype(np.int64), axis))


WRITERS: Mapping[type[Op], Writer] = {
    ops.Reshape: _moved(_reshape),
    ops.Transpose: _moved(_transpose),
    ops.Pad: _moved(_pad),
    ops.MirrorPad: _moved(_mirror_pad),
    ops.Slice: _moved(_slice),
    ops.Split: _split,
    ops.Unpack: _unpack,
    ops.Pack: _pack,
    ops.Tile: _moved(_tile),
    ops.DepthToSpace: _moved(_depth_to_space),
    ops.SpaceToDepth: _moved(_space_to_depth),
    ops.SpaceToBatch: _moved(_space_to_batch),
    ops.BatchToSpace: _moved(_batch_to_space),
    ops.ResizeNearest: _nearest,
    ops.Gather: _gather,
}
"""Operator -> how to write it."""
