"""Shapes of an operator's outputs, from the shapes of its inputs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import prod
from typing import Any

import numpy as np

from simulator.errors import NetworkError
from simulator.graph import ops
from simulator.graph.ops import Op
from simulator.graph.training_shapes import SHAPES as TRAINING_RULES
from simulator.graph.training_shapes import ShapeMismatch as _Mismatch

Shape = tuple[int, ...]
Rule = Callable[[Any, Sequence[Shape | None]], tuple[Shape, ...]]


def infer_shapes(op: Op, input_shapes: Sequence[Shape | None]) -> tuple[Shape, ...]:
    """Return the shape of each output of `op`.

    Parameters
    ----------
    op
        The operator.
    input_shapes
        One shape per input in the operator's order; None for an absent optional input.

    Raises
    ------
    NetworkError
        Shapes that do not suit the operator; names it, all shapes, and the reason.

    """
    rule = _RULES.get(type(op))
    if rule is None:
        raise NetworkError(f"{op.kind}: no shape rule for this operator")
    try:
        shapes = rule(op, input_shapes)
        if any(size < 1 for shape in shapes for size in shape):
            raise _Mismatch(f"the output would be empty, {' '.join(map(str, shapes))}")
    except _Mismatch as reason:
        given = ", ".join("absent" if shape is None else str(shape) for shape in input_shapes)
        raise NetworkError(f"{op.kind} on shapes {given}: {reason}") from None
    return shapes


def _need(condition: bool, reason: str) -> None:
    if not condition:
        raise _Mismatch(reason)


def _inputs(shapes: Sequence[Shape | None], least: int, most: int | None = None) -> list[Shape]:
    """Shapes of inputs that must all be there, `least` to `most` of them."""
    most = least if most is None else most
    present = [shape for shape in shapes if shape is not None]
    count = f"{least}" if least == most else f"{least} to {most}"
    _need(least <= len(present) <= most and None not in shapes[:least], f"takes {count} inputs")
    return present


def _image(shape: Shape) -> Shape:
    _need(len(shape) == 4, f"the input is [batch, height, width, channels], not of rank {len(shape)}")
    return shape


def _axis(axis: int, rank: int) -> int:
    _need(-rank <= axis < rank, f"axis {axis} is outside rank {rank}")
    return axis % rank


def _window(size: int, kernel: int, stride: int, dilation: int, padding: int, what: str) -> int:
    _need(kernel > 0 and stride > 0 and dilation > 0, "kernel, stride and dilation are at least 1")
    span = (kernel - 1) * dilation + 1
    _need(size + padding >= span, f"{what} {size} with {padding} of padding is less than the window's {span}")
    return (size + padding - span) // stride + 1


def _windows(image: Shape, kernel: Shape, op: Any, dilation: Shape = (1, 1)) -> Shape:
    pad = op.padding
    least = min(pad.top, pad.left) if isinstance(op, ops.Conv2D) else min(pad.top, pad.bottom, pad.left, pad.right)
    _need(least >= 0, "padding is not negative, but at the bottom and right of a convolution, where it crops")
    height = _window(image[1], kernel[0], op.stride[0], dilation[0], pad.top + pad.bottom, "height")
    return height, _window(image[2], kernel[1], op.stride[1], dilation[1], pad.left + pad.right, "width")


def _bias(shapes: Sequence[Shape], allowed: Sequence[Shape]) -> None:
    if len(shapes) > 2:
        _need(shapes[2] in allowed, f"the bias has shape {' or '.join(map(str, allowed))}")


def _conv2d(op: ops.Conv2D, shapes: Sequence[Shape | None]) -> tuple[Shape, ...]:
    x, weights, *_ = present = _inputs(shapes, 2, 3)
    _image(x)
    _need(len(weights) == 4, "weights are [filters, kernel_h, kernel_w, channels / groups]")
    filters, kernel_h, kernel_w, channels = weights
    _need(
        op.groups > 0 and channels * op.groups == x[3] and filters % op.groups == 0,
        f"weights of {channels} channels and {filters} filters do not divide {x[3]} input channels into "
        f"{op.groups} group(s)",
    )
    _bias(present, [(filters,)])
    return ((x[0], *_windows(x, (kernel_h, kernel_w), op, op.dilation), filters),)


def _transpose_conv2d(op: ops.TransposeConv2D, shapes: Sequence[Shape | None]) -> tuple[Shape, ...]:
    x, weights, *_ = present = _inputs(shapes, 2, 3)
    _image(x)
    _need(len(weights) == 4 and weights[3] == x[3], f"weights are [filters, kernel_h, kernel_w, {x[3]}]")
    for axis, start in enumerate((op.padding.top, op.padding.left)):
        full = (x[axis + 1] - 1) * op.stride[axis] + (weights[axis + 1] - 1) * op.dilation[axis] + 1
        _need(0 <= start < full, f"padding of {start} crops the whole result of {full}")
    _bias(present, [(weights[0],)])
    return ((x[0], *op.output_size, weights[0]),)


def _fully_connected(op: ops.FullyConnected, shapes: Sequence[Shape | None]) -> tuple[Shape, ...]:
    x, weights, *_ = present = _inputs(shapes, 2, 3)
    _need(len(weights) == 2, "weights are [n, k]")
    n, k = weights
    _need(prod(x) % k == 0, f"{prod(x)} input values do not divide into rows of k = {k}")
    rows = prod(x) // k
    _bias(present, [(n,), (rows, n)])
    if not op.keep_dims:
        return ((rows, n),)
    _need(bool(x) and x[-1] == k, f"with keep_dims the last axis is k = {k}")
    return ((*x[:-1], n),)


def _batch_norm(op: ops.BatchNorm, shapes: Sequence[Shape | None]) -> tuple[Shape, ...]:
    x, *parameters = _inputs(shapes, 5)
    _need(all(shape == x[-1:] for shape in parameters), f"gamma, beta, mean and variance have shape {x[-1:]}")
    return (x,)


def _broadcast(op: Op, shapes: Sequence[Shape | None]) -> tuple[Shape, ...]:
    try:
        return (np.broadcast_shapes(*_inputs(shapes, 2)),)
    except ValueError:
        raise _Mismatch("the shapes do not broadcast") from None


def _prelu(op: Op, shapes: Sequence[Shape | None]) -> tuple[Shape, ...]:
    (shape,) = _broadcast(op, shapes)
    _need(shape == shapes[0], "alpha has to broadcast to the shape of x")
    return (shape,)


def _same(op: Op, shapes: Sequence[Shape | None]) -> tuple[Shape, ...]:
    return (_inputs(shapes, 1)[0],)


def _pool(op: ops.MaxPool2D | ops.AveragePool2D, shapes: Sequence[Shape | None]) -> tuple[Shape, ...]:
    image = _image(_inputs(shapes, 1)[0])
    pad = op.padding
    inside = max(pad.top, pad.bottom) < op.kernel[0] and max(pad.left, pad.right) < op.kernel[1]
    _need(inside, f"padding {pad} leaves windows of {op.kernel} without a pixel")
    return ((image[0], *_windows(image, op.kernel, op), image[3]),)


def _reduce(op: ops.Mean | ops.Sum | ops.ReduceMax, shapes: Sequence[Shape | None]) -> tuple[Shape, ...]:
    (x,) = _inputs(shapes, 1)
    axes = {_axis(axis, len(x)) for axis in op.axes}
    if op.keep_dims:
        return (tuple(1 if axis in axes else size for axis, size in enumerate(x)),)
    return (tuple(size for axis, size in enumerate(x) if axis not in axes),)


def _arg_max(op: ops.ArgMax, shapes: Sequence[Shape | None]) -> tuple[Shape, ...]:
    (x,) = _inputs(shapes, 1)
    axis = _axis(op.axis, len(x))
    return ((*x[:axis], *x[axis + 1 :]),)


def _resize(op: ops.ResizeBilinear | ops.ResizeNearest, shapes: Sequence[Shape | None]) -> tuple[Shape, ...]:
    image = _image(_inputs(shapes, 1)[0])
    return ((image[0], *op.size, image[3]),)


def _concat(op: ops.Concat, shapes: Sequence[Shape | None]) -> tuple[Shape, ...]:
    first, *others = present = _inputs(shapes, 1, len(shapes))
    axis = _axis(op.axis, len(first))
    for other in others:
        suits = len(other) == len(first) and all(
            a == b for i, (a, b) in enumerate(zip(first, other, strict=True)) if i != axis
        )
        _need(suits, f"all sizes but those of axis {axis} are equal")
    return ((*first[:axis], sum(shape[axis] for shape in present), *first[axis + 1 :]),)


def _pad(op: ops.Pad | ops.MirrorPad, shapes: Sequence[Shape | None]) -> tuple[Shape, ...]:
    (x,) = _inputs(shapes, 1)
    _need(len(op.paddings) == len(x), f"paddings for {len(op.paddings)} axes, the input has {len(x)}")
    _need(all(before >= 0 and after >= 0 for before, after in op.paddings), "paddings are not negative")
    if isinstance(op, ops.MirrorPad):
        _need(op.mode in ("reflect", "symmetric"), f"mode is reflect or symmetric, not {op.mode!r}")
        margin = 1 if op.mode == "reflect" else 0
        suits = all(max(pads) <= size - margin for pads, size in zip(op.paddings, x, strict=True))
        _need(suits, "a mirrored border is wider than the image")
    return (tuple(before + size + after for size, (before, after) in zip(x, op.paddings, strict=True)),)


def _reshape(op: ops.Reshape, shapes: Sequence[Shape | None]) -> tuple[Shape, ...]:
    (x,) = _inputs(shapes, 1)
    elements = prod(x)
    known = prod(size for size in op.shape if size != -1)
    _need(op.shape.count(-1) <= 1 and known > 0, f"{op.shape} is not a shape (at most one -1)")
    shape = tuple(elements // known if size == -1 else size for size in op.shape)
    _need(prod(shape) == elements, f"{elements} values do not fill {op.shape}")
    return (shape,)


def _slice(op: ops.Slice, shapes: Sequence[Shape | None]) -> tuple[Shape, ...]:
    (x,) = _inputs(shapes, 1)
    _need(len(op.begin) == len(op.end) == len(op.step) == len(x), f"begin, end and step have {len(x)} entries")
    _need(0 not in op.step, "a step is not 0")
    cuts = zip(op.begin, op.end, op.step, x, strict=True)
    sizes = [len(range(*slice(begin, end, step).indices(size))) for begin, end, step, size in cuts]
    squeezed = {_axis(axis, len(x)) for axis in op.squeeze}
    _need(all(sizes[axis] == 1 for axis in squeezed), "a squeezed axis has size 1")
    return (tuple(size for axis, size in enumerate(sizes) if axis not in squeezed),)


def _split(op: ops.Split, shapes: Sequence[Shape | None]) -> tuple[Shape, ...]:
    (x,) = _inputs(shapes, 1)
    axis = _axis(op.axis, len(x))
    _need(sum(op.sizes) == x[axis], f"parts of {op.sizes} do not sum to the {x[axis]} of axis {axis}")
    return tuple((*x[:axis], size, *x[axis + 1 :]) for size in op.sizes)


def _tile(op: ops.Tile, shapes: Sequence[Shape | None]) -> tuple[Shape, ...]:
    (x,) = _inputs(shapes, 1)
    _need(len(op.multiples) == len(x), f"{len(op.multiples)} multiples, the input has {len(x)} axes")
    return (tuple(size * times for size, times in zip(x, op.multiples, strict=True)),)


def _transpose(op: ops.Transpose, shapes: Sequence[Shape | None]) -> tuple[Shape, ...]:
    (x,) = _inputs(shapes, 1)
    _need(sorted(op.permutation) == list(range(len(x))), f"{op.permutation} is no permutation of {len(x)} axes")
    return (tuple(x[axis] for axis in op.permutation),)


def _pack(op: ops.Pack, shapes: Sequence[Shape | None]) -> tuple[Shape, ...]:
    present = _inputs(shapes, 1, len(shapes))
    _need(len(set(present)) == 1, "all inputs have one shape")
    axis = _axis(op.axis, len(present[0]) + 1)
    return ((*present[0][:axis], len(present), *present[0][axis:]),)


def _unpack(op: ops.Unpack, shapes: Sequence[Shape | None]) -> tuple[Shape, ...]:
    (x,) = _inputs(shapes, 1)
    axis = _axis(op.axis, len(x))
    return ((*x[:axis], *x[axis + 1 :]),) * x[axis]


def _space_to_batch(op: ops.SpaceToBatch, shapes: Sequence[Shape | None]) -> tuple[Shape, ...]:
    (x,) = _inputs(shapes, 1)
    rank = len(op.block)
    _need(len(op.paddings) == rank and len(x) > rank, f"paddings and spatial axes for a block of rank {rank}")
    padded = [size + sum(pads) for size, pads in zip(x[1 : rank + 1], op.paddings, strict=True)]
    divides = all(block > 0 and size % block == 0 for size, block in zip(padded, op.block, strict=True))
    _need(divides, f"padded sizes {tuple(padded)} are not multiples of the block {op.block}")
    spatial = (size // block for size, block in zip(padded, op.block, strict=True))
    return ((x[0] * prod(op.block), *spatial, *x[rank + 1 :]),)


def _batch_to_space(op: ops.BatchToSpace, shapes: Sequence[Shape | None]) -> tuple[Shape, ...]:
    (x,) = _inputs(shapes, 1)
    rank = len(op.block)
    _need(len(op.crops) == rank and len(x) > rank, f"crops and spatial axes for a block of rank {rank}")
    blocks = prod(op.block)
    _need(blocks > 0 and x[0] % blocks == 0, f"a batch of {x[0]} is not a multiple of the block {op.block}")
    sizes = zip(x[1 : rank + 1], op.block, op.crops, strict=True)
    return ((x[0] // blocks, *(size * block - sum(crops) for size, block, crops in sizes), *x[rank + 1 :]),)


def _space_to_depth(op: ops.SpaceToDepth, shapes: Sequence[Shape | None]) -> tuple[Shape, ...]:
    batch, height, width, channels = _image(_inputs(shapes, 1)[0])
    suits = op.block > 0 and height % op.block == 0 and width % op.block == 0
    _need(suits, f"height and width are multiples of the block {op.block}")
    return ((batch, height // op.block, width // op.block, channels * op.block**2),)


def _depth_to_space(op: ops.DepthToSpace, shapes: Sequence[Shape | None]) -> tuple[Shape, ...]:
    batch, height, width, channels = _image(_inputs(shapes, 1)[0])
    _need(op.block > 0 and channels % op.block**2 == 0, f"channels are a multiple of {op.block} x {op.block}")
    return ((batch, height * op.block, width * op.block, channels // op.block**2),)


def _gather(op: ops.Gather, shapes: Sequence[Shape | None]) -> tuple[Shape, ...]:
    x, indices = _inputs(shapes, 2)
    axis = _axis(op.axis, len(x))
    batch = op.batch_dims
    suits = 0 <= batch <= min(axis, len(indices)) and x[:batch] == indices[:batch]
    _need(suits, f"the first {batch} axes of x and indices are equal and lie before axis {axis}")
    return ((*x[:axis], *indices[batch:], *x[axis + 1 :]),)


def _gather_nd(op: ops.GatherNd, shapes: Sequence[Shape | None]) -> tuple[Shape, ...]:
    x, indices = _inputs(shapes, 2)
    _need(bool(indices) and indices[-1] <= len(x), f"index tuples have at most {len(x)} entries")
    return ((*indices[:-1], *x[indices[-1] :]),)


_RULES: dict[type[Op], Rule] = {
    **TRAINING_RULES,
    ops.Conv2D: _conv2d,
    ops.TransposeConv2D: _transpose_conv2d,
    ops.FullyConnected: _fully_connected,
    ops.BatchNorm: _batch_norm,
    **dict.fromkeys((ops.Add, ops.Sub, ops.Mul, ops.Div, ops.FloorDiv, ops.Maximum, ops.Minimum), _broadcast),
    **dict.fromkeys((ops.Unary, ops.Relu, ops.Relu6, ops.ReluN1To1, ops.LeakyRelu, ops.Logistic, ops.Tanh), _same),
    **dict.fromkeys((ops.HardSwish, ops.Softmax, ops.Quantize, ops.Dequantize, ops.Cast), _same),
    ops.PRelu: _prelu,
    **dict.fromkeys((ops.MaxPool2D, ops.AveragePool2D), _pool),
    **dict.fromkeys((ops.Mean, ops.Sum, ops.ReduceMax), _reduce),
    ops.ArgMax: _arg_max,
    **dict.fromkeys((ops.ResizeBilinear, ops.ResizeNearest), _resize),
    ops.Concat: _concat,
    **dict.fromkeys((ops.Pad, ops.MirrorPad), _pad),
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
