"""Shapes and formats of what the operators of integer training give, from those of their inputs."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from simulator.errors import NetworkError
from simulator.graph import training_ops as ops
from simulator.graph.ops import Op
from simulator.numerics.formats import INT16, INT32, INT64, UINT8, Format, IntFormat

Shape = tuple[int, ...]
Formats = tuple[IntFormat, ...]
SCALE: Shape = (2,)
"""Of a scale, int64 (mantissa, exponent), and of a key, int64 (seed, step)."""


class ShapeMismatch(Exception):
    """Why shapes do not suit an operator; `infer_shapes` adds which operator and shapes."""


def _need(condition: bool, reason: str) -> None:
    if not condition:
        raise ShapeMismatch(reason)


def _names(shapes: Sequence[Shape | None], layout: str) -> list[Shape]:
    """Check inputs against a layout such as `x s c [s]`: x any, s a scale, c [channels] of x, [s] optional.

    i: image of rank 4; p: [batch, 1, 1, channels]; 2: [2, channels]; l: one value; e: the shape of the first input.
    """
    words = layout.split()
    least = sum(not word.startswith("[") for word in words)
    _need(least <= len(shapes) <= len(words) and None not in shapes[:least], f"takes {least} inputs: {layout}")
    present = [shape for shape in shapes if shape is not None]
    first = present[0]
    for number, (word, shape) in enumerate(zip(words, present, strict=False)):
        kind = word.strip("[]")
        wanted = {"s": SCALE, "c": first[-1:], "2": (2, *first[-1:]), "l": (1,), "e": first}.get(kind)
        _need(wanted is None or shape == wanted, f"input {number} has shape {shape}, not {wanted}")
        if kind in "ip":
            _need(len(shape) == 4, f"input {number} is [batch, height, width, channels], not of rank {len(shape)}")
        if kind == "p":
            _need(shape[1:3] == (1, 1), f"input {number} is [batch, 1, 1, channels]")
    return present


def _as_first(layout: str, *extra: Shape) -> Callable[[Op, Sequence[Shape | None]], tuple[Shape, ...]]:
    """Rule of an operator whose first output has the shape of the first input, and whose others are `extra`."""

    def rule(op: Op, shapes: Sequence[Shape | None]) -> tuple[Shape, ...]:
        return (_names(shapes, layout)[0], *extra)

    return rule


def _channels(layout: str, *form: str) -> Callable[[Op, Sequence[Shape | None]], tuple[Shape, ...]]:
    """Rule by words: x the shape of the first input, s a scale, c [channels], 2 [2, channels]."""

    def rule(op: Op, shapes: Sequence[Shape | None]) -> tuple[Shape, ...]:
        first = _names(shapes, layout)[0]
        _need(bool(first), "the first input has a channel axis")
        known = {"x": first, "s": SCALE, "c": first[-1:], "2": (2, *first[-1:])}
        return tuple(known[word] for word in form)

    return rule


def _combine(op: Op, shapes: Sequence[Shape | None]) -> tuple[Shape, ...]:
    _need(len(shapes) > 0 and all(shape == SCALE for shape in shapes), "takes scales, int64 [2]")
    return (SCALE,)


def _pairs(shapes: Sequence[Shape | None], least: int) -> list[Shape]:
    values, scales = shapes[::2], shapes[1::2]
    suits = len(shapes) % 2 == 0 and len(values) >= least and None not in shapes and set(scales) == {SCALE}
    _need(suits, f"takes pairs of a tensor and its scale, at least {least}")
    return [shape for shape in values if shape is not None]


def _aligned_add(op: Op, shapes: Sequence[Shape | None]) -> tuple[Shape, ...]:
    values = _pairs(shapes, 2)
    _need(len(set(values)) == 1, "all tensors have one shape")
    return values[0], SCALE


def _aligned_concat(op: ops.AlignedConcat, shapes: Sequence[Shape | None]) -> tuple[Shape, ...]:
    first, *others = values = _pairs(shapes, 1)
    _need(-len(first) <= op.axis < len(first), f"axis {op.axis} is outside rank {len(first)}")
    axis = op.axis % len(first)
    for other in others:
        suits = len(other) == len(first) and other[:axis] + other[axis + 1 :] == first[:axis] + first[axis + 1 :]
        _need(suits, f"all sizes but those of axis {axis} are equal")
    return (*first[:axis], sum(shape[axis] for shape in values), *first[axis + 1 :]), SCALE


def _pooled(size: int, kernel: int, stride: int, padding: int, what: str) -> int:
    _need(stride > 0 and kernel > 0 and size + padding >= kernel, f"{what} {size} is less than the window's {kernel}")
    return (size + padding - kernel) // stride + 1


def _windows(op: ops.MaxPoolIndexed | ops.MaxPoolGradient, height: int, width: int) -> tuple[int, int]:
    pad = op.padding
    inside = max(pad.top, pad.bottom) < op.kernel[0] and max(pad.left, pad.right) < op.kernel[1]
    _need(inside and min(pad.top, pad.bottom, pad.left, pad.right) >= 0, f"padding {pad} of windows of {op.kernel}")
    _need(op.kernel[0] * op.kernel[1] <= 256, "a window has at most 256 positions")
    rows = _pooled(height, op.kernel[0], op.stride[0], pad.top + pad.bottom, "height")
    return rows, _pooled(width, op.kernel[1], op.stride[1], pad.left + pad.right, "width")


def _max_pool(op: ops.MaxPoolIndexed, shapes: Sequence[Shape | None]) -> tuple[Shape, ...]:
    (x,) = _names(shapes, "i")
    shape = (x[0], *_windows(op, x[1], x[2]), x[3])
    return shape, shape


def _max_pool_gradient(op: ops.MaxPoolGradient, shapes: Sequence[Shape | None]) -> tuple[Shape, ...]:
    error, _ = _names(shapes, "i e")
    _need(_windows(op, *op.input_size) == error[1:3], f"images of {op.input_size} do not pool to {error[1:3]}")
    return ((error[0], *op.input_size, error[3]),)


def _bilinear(op: ops.BilinearForward, shapes: Sequence[Shape | None]) -> tuple[Shape, ...]:
    x = _names(shapes, "i s")[0]
    return (x[0], *op.size, x[3]), SCALE


def _bilinear_gradient(op: ops.BilinearGradient, shapes: Sequence[Shape | None]) -> tuple[Shape, ...]:
    x = _names(shapes, "i s")[0]
    return (x[0], *op.input_size, x[3]), SCALE


def _mean_forward(op: Op, shapes: Sequence[Shape | None]) -> tuple[Shape, ...]:
    x = _names(shapes, "i s")[0]
    return (x[0], 1, 1, x[3]), SCALE


def _mean_gradient(op: ops.MeanGradient, shapes: Sequence[Shape | None]) -> tuple[Shape, ...]:
    x = _names(shapes, "p s")[0]
    return (x[0], *op.size, x[3]), SCALE


def _broadcast(op: ops.BroadcastSpatial, shapes: Sequence[Shape | None]) -> tuple[Shape, ...]:
    (x,) = _names(shapes, "p")
    return ((x[0], *op.size, x[3]),)


def _sum_spatial(op: Op, shapes: Sequence[Shape | None]) -> tuple[Shape, ...]:
    (x,) = _names(shapes, "i")
    return ((x[0], 1, 1, x[3]),)


def _loss(op: Op, shapes: Sequence[Shape | None]) -> tuple[Shape, ...]:
    logits, _, labels = _names(shapes, "x s x")
    _need(len(logits) > 1 and labels == logits[:-1], f"labels have the logits' shape but the classes, {logits[:-1]}")
    weights = op.class_weights if isinstance(op, ops.SoftmaxCrossEntropyGradient) else ()
    _need(len(weights) in (0, logits[-1]), f"{len(weights)} class weights for {logits[-1]} classes")
    return logits, SCALE, (3,)


def _dropout(op: ops.Dropout, shapes: Sequence[Shape | None]) -> tuple[Shape, ...]:
    x = _names(shapes, "x s [s]")[0]
    return x, SCALE, x


SHAPES: Mapping[type[Op], Callable[[Any, Sequence[Shape | None]], tuple[Shape, ...]]] = {
    ops.ScaleQuantize: _as_first("x s [s]", SCALE),
    ops.FixedQuantize: _as_first("x s"),
    ops.FlagQuantize: _as_first("x s", SCALE),
    ops.CombineScales: _combine,
    ops.AlignedAdd: _aligned_add,
    ops.AlignedConcat: _aligned_concat,
    ops.ReluGradient: _as_first("x e"),
    ops.BiasChannels: _as_first("x s c"),
    ops.ChannelSum: _channels("x", "c"),
    ops.L1Statistics: _channels("x s", "c", "c", "2"),
    ops.L2Statistics: _channels("x s", "c", "c", "2"),
    ops.ChannelExtremes: _channels("x", "2"),
    ops.NormalizeChannels: _channels("x s c c 2", "x", "s", "2"),
    ops.AffineChannels: _as_first("x s c c", SCALE),
    ops.AffineQuantize: _as_first("x s c c 2", SCALE),
    ops.L1NormGradient: _channels("x s e s c c", "x", "s", "c", "s", "c", "s"),
    ops.L2NormGradient: _channels("x s e s c c", "x", "s", "c", "s", "c", "s"),
    ops.RunningAverage: _as_first("x e"),
    ops.MaxPoolIndexed: _max_pool,
    ops.MaxPoolGradient: _max_pool_gradient,
    ops.BilinearForward: _bilinear,
    ops.BilinearGradient: _bilinear_gradient,
    ops.MeanForward: _mean_forward,
    ops.MeanGradient: _mean_gradient,
    ops.BroadcastSpatial: _broadcast,
    ops.SumSpatial: _sum_spatial,
    ops.SoftmaxCrossEntropyGradient: _loss,
    ops.SquaredErrorGradient: _loss,
    ops.Dropout: _dropout,
    ops.Update: _as_first("x e s l"),
    ops.MomentumUpdate: lambda op, shapes: (_names(shapes, "x e e s l")[0],) * 2,
}


def training_formats(op: ops.TrainingOp, inputs: Sequence[Format | None], first: Format | None = None) -> Formats:
    """Return the formats of all outputs of `op`.

    Parameters
    ----------
    op
        The operator.
    inputs
        Formats of its inputs.
    first
        What the caller wants of the first output: int32 or int64 where the operator leaves it open; None = its default.

    Raises
    ------
    NetworkError
        A float input, or a first output the operator does not give.

    """
    given = [format for format in inputs if isinstance(format, IntFormat)]
    if len(given) != sum(format is not None for format in inputs):
        raise NetworkError(f"{op.kind} takes integers, not {', '.join(str(format) for format in inputs)}")
    formats = _formats(op, given)
    if first is None or first == formats[0]:
        return formats
    if not (isinstance(op, _OPEN) and first in (INT32, INT64)):
        raise NetworkError(f"{op.kind} gives {formats[0]}, not {first}")
    assert isinstance(first, IntFormat)
    return (first, *formats[1:])


_OPEN = (ops.AlignedAdd, ops.AlignedConcat, ops.MaxPoolGradient, ops.BilinearGradient, ops.SumSpatial, ops.MeanForward)
"""Operators whose first output may be int32 or int64."""


def _formats(op: ops.TrainingOp, inputs: Sequence[IntFormat]) -> Formats:
    first = inputs[0]
    match op:
        case ops.ScaleQuantize() | ops.AffineQuantize():
            return IntFormat(op.bits), INT64
        case ops.FixedQuantize():
            return (IntFormat(op.bits),)
        case ops.FlagQuantize():
            return INT16, INT64
        case ops.CombineScales() | ops.ChannelSum() | ops.ChannelExtremes():
            return (INT64,)
        case ops.ReluGradient() | ops.BiasChannels() | ops.BroadcastSpatial():
            return (first,)
        case ops.L1Statistics() | ops.L2Statistics():
            return IntFormat(op.bits), IntFormat(op.bits), INT64
        case ops.NormalizeChannels():
            return IntFormat(op.bits), INT64, INT64
        case ops.L1NormGradient() | ops.L2NormGradient():
            return (INT32 if op.bits is None else IntFormat(op.bits), *(INT64,) * 5)
        case ops.MaxPoolIndexed():
            return first, UINT8
        case ops.MeanGradient():
            return first, INT64
        case ops.Dropout():
            return first, INT64, UINT8
        case ops.SoftmaxCrossEntropyGradient() | ops.SquaredErrorGradient():
            return INT32, INT64, INT64
        case ops.MaxPoolGradient() | ops.RunningAverage() | ops.SumSpatial() | ops.Update():
            return (INT32,)
        case ops.MomentumUpdate():
            return INT32, INT32
        case _:  # sums, interpolation, means, affine: a wide tensor and its scale
            return INT32, INT64
