"""Converters of operators that move data and compute nothing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from math import prod

import numpy as np

from simulator.graph import ops
from simulator.numerics.formats import INT64
from workloads.importers._onnx_draft import TO_FILE, Layout, Value
from workloads.importers._onnx_node import Converter, NodeView, Refused, axis_of
from workloads.importers._onnx_quantized import join


def _reshape_to(view: NodeView, x: Value, shape: tuple[int, ...]) -> None:
    if shape == x.shape:
        view.bind(x)
        return
    # Of one pixel or one channel, both layouts have the same bytes.
    either = len(x.shape) == 4 and (x.shape[1] == 1 or prod(x.shape[2:]) == 1)
    view.emit(ops.Reshape(shape), [view.read(x, x.layout if either else Layout.FILE)], shape, x.format, quant=x.quant)


def _reshape(view: NodeView) -> None:
    x = view.input(0)
    wanted = view.ints(1, "shape") or ()
    keep_zero = bool(view.attribute("allowzero", 0))
    shape = [x.shape[i] if n == 0 and not keep_zero else n for i, n in enumerate(wanted)]
    known = prod(n for n in shape if n != -1)
    if shape.count(-1) > 1 or known == 0 or prod(x.shape) % known:
        raise ValueError(f"{prod(x.shape)} values cannot take the shape {shape}")
    _reshape_to(view, x, tuple(prod(x.shape) // known if n == -1 else n for n in shape))


def _flatten(view: NodeView) -> None:
    x = view.input(0)
    axis = int(view.attribute("axis", 1))
    axis = len(x.shape) if axis == len(x.shape) else axis_of(axis, len(x.shape))
    _reshape_to(view, x, (prod(x.shape[:axis]), prod(x.shape[axis:])))


def _squeeze(view: NodeView) -> None:
    x = view.input(0)
    stated = view.ints(1, "axes")
    if stated is None:
        stated = tuple(axis for axis, n in enumerate(x.shape) if n == 1)
    axes = {axis_of(axis, len(x.shape)) for axis in stated}
    if any(x.shape[axis] != 1 for axis in axes):
        raise ValueError(f"axes {sorted(axes)} of {x.name} {list(x.shape)} are not all of size 1")
    _reshape_to(view, x, tuple(n for axis, n in enumerate(x.shape) if axis not in axes))


def _unsqueeze(view: NodeView) -> None:
    x = view.input(0)
    stated = view.ints(1, "axes") or ()
    axes = {axis_of(axis, len(x.shape) + len(stated)) for axis in stated}
    sizes = iter(x.shape)
    _reshape_to(view, x, tuple(1 if axis in axes else next(sizes) for axis in range(len(x.shape) + len(axes))))


def _transpose(view: NodeView) -> None:
    x = view.input(0)
    rank = len(x.shape)
    order = tuple(view.attribute("perm") or range(rank)[::-1])
    shape = tuple(x.shape[axis] for axis in order)
    if order == tuple(range(rank)):
        view.bind(x)
    elif order == TO_FILE and Layout.FILE in x.held:
        # What the file turns to [batch, channels, height, width] is an image as we hold it.
        output = view.raw.outputs[0]
        view.values[output] = Value(output, shape, x.format, x.quant, held={Layout.IMAGE: x.held[Layout.FILE]})
    elif order == (0, 2, 3, 1) and Layout.IMAGE in x.held:
        output = view.raw.outputs[0]
        view.values[output] = Value(output, shape, x.format, x.quant, held={Layout.FILE: x.held[Layout.IMAGE]})
    else:
        view.emit(ops.Transpose(order), [view.read(x, Layout.FILE)], shape, x.format, quant=x.quant)


def _concat(view: NodeView) -> None:
    values = [view.input(position) for position in range(len(view.raw.inputs))]
    if len({value.quant for value in values}) > 1:
        raise Refused("operands of several scales; com.microsoft.QLinearConcat would rescale them")
    join(view, values, ops.Concat(0), values[0].format, values[0].quant)


def _slice(view: NodeView) -> None:
    x = view.input(0)
    starts, ends = view.ints(1, "starts") or (), view.ints(2, "ends") or ()
    axes = view.ints(3, "axes") or tuple(range(len(starts)))
    steps = view.ints(4, "steps") or (1,) * len(starts)
    cuts = [slice(0, n, 1) for n in x.shape]
    for start, end, axis, step in zip(starts, ends, axes, steps, strict=True):
        place = axis_of(axis, len(x.shape))
        cuts[place] = _bounds(start, end, step, x.shape[place])
    shape = tuple(len(range(*cut.indices(n))) for cut, n in zip(cuts, x.shape, strict=True))
    layout = view.layout(x)
    ours = layout.shape(tuple(range(len(cuts))))
    op = ops.Slice(
        tuple(cuts[axis].start for axis in ours),
        tuple(cuts[axis].stop for axis in ours),
        tuple(cuts[axis].step for axis in ours),
    )
    view.emit(op, [view.read(x, layout)], shape, x.format, layout, x.quant)


def _bounds(start: int, end: int, step: int, size: int) -> slice:
    """Bounds as NumPy takes them: an end before the first element, going down, is None."""
    if step == 0:
        raise ValueError("a step of 0")
    start = start + size if start < 0 else start
    end = end + size if end < 0 else end
    if step > 0:
        return slice(min(max(start, 0), size), min(max(end, 0), size), step)
    return slice(min(max(start, 0), size - 1), None if end < 0 else min(end, size - 1), step)


def _split(view: NodeView) -> None:
    x, parts = view.input(0), len(view.raw.outputs)
    axis = axis_of(int(view.attribute("axis", 0)), len(x.shape))
    stated = view.ints(1, "split")
    length = -(-x.shape[axis] // parts)
    sizes = stated or (*(length,) * (parts - 1), x.shape[axis] - length * (parts - 1))
    layout = view.layout(x)
    shapes = [(*x.shape[:axis], size, *x.shape[axis + 1 :]) for size in sizes]
    op = ops.Split(layout.axis(axis), tuple(sizes))
    view.emit_many(op, [view.read(x, layout)], shapes, x.format, layout, x.quant)


def _pad(view: NodeView) -> None:
    x = view.input(0)
    mode = view.only("mode", "constant", "constant", "reflect")
    pads = view.ints(1, "pads") or ()
    stored = None if view.opset < 11 else view.optional_constant(2, "padding value")
    value = float(view.attribute("value", 0.0)) if stored is None else float(stored.ravel()[0])
    stated = view.ints(3, "axes") if view.opset >= 18 else None
    axes = tuple(axis_of(a, len(x.shape)) for a in stated) if stated else tuple(range(len(x.shape)))
    if len(pads) != 2 * len(axes):
        raise ValueError(f"pads {pads} for {len(axes)} axes")
    sides = [(0, 0)] * len(x.shape)
    for index, axis in enumerate(axes):
        sides[axis] = (pads[index], pads[index + len(axes)])
    if any(side < 0 for pair in sides for side in pair):
        raise Refused(f"pads = {pads}; supported: none negative (a Slice cuts)")
    shape = tuple(before + n + after for n, (before, after) in zip(x.shape, sides, strict=True))
    layout = view.layout(x)
    ours = tuple(sides[axis] for axis in layout.shape(tuple(range(len(sides)))))
    op = ops.Pad(ours, value) if mode == "constant" else ops.MirrorPad(ours, "reflect")
    view.emit(op, [view.read(x, layout)], shape, x.format, layout, x.quant)


def _gather(view: NodeView) -> None:
    x, indices = view.input(0), view.constant(1, "indices")
    axis = axis_of(int(view.attribute("axis", 0)), len(x.shape))
    size = x.shape[axis]
    if indices.size and not -size <= indices.min() <= indices.max() < size:
        raise ValueError(f"indices from {indices.min()} to {indices.max()} of an axis of size {size}")
    places = np.where(indices < 0, indices + size, indices).astype(np.int64)
    layout = view.layout(x) if places.ndim == 1 else Layout.FILE
    shape = (*x.shape[:axis], *places.shape, *x.shape[axis + 1 :])
    op = ops.Gather(layout.axis(axis))
    view.emit(op, [view.read(x, layout), view.constant_tensor("indices", places)], shape, x.format, layout, x.quant)


def _tile(view: NodeView) -> None:
    repeats = view.ints(1, "repeats") or ()
    _repeated(view, view.input(0), repeats)


def _expand(view: NodeView) -> None:
    x = view.input(0)
    shape = np.broadcast_shapes(x.shape, view.ints(1, "shape") or ())
    padded = (*(1,) * (len(shape) - len(x.shape)), *x.shape)
    if len(padded) != len(x.shape):
        name = view.reshaped(view.read(x, Layout.FILE), padded, "padded")
        x = replace(x, shape=padded, data=None, held={Layout.FILE: name})
    _repeated(view, x, tuple(n // m for n, m in zip(shape, padded, strict=True)))


def _repeated(view: NodeView, x: Value, repeats: tuple[int, ...]) -> None:
    shape = tuple(n * times for n, times in zip(x.shape, repeats, strict=True))
    layout = view.layout(x)
    op = ops.Tile(layout.shape(repeats))
    view.emit(op, [view.read(x, layout)], shape, x.format, layout, x.quant)


def _shape(view: NodeView) -> None:
    """Sizes are known now: every shape here is fixed."""
    x = view.input(0)
    rank = len(x.shape)
    start, end = int(view.attribute("start", 0)), view.attribute("end")
    cut = x.shape[slice(start, rank if end is None else int(end))]
    _known(view, np.asarray(cut, np.int64))


def _size(view: NodeView) -> None:
    _known(view, np.asarray(prod(view.input(0).shape), np.int64))


def _known(view: NodeView, data: np.ndarray[tuple[int, ...], np.dtype[np.int64]]) -> None:
    output = view.raw.outputs[0]
    view.values[output] = Value(output, data.shape, INT64, None, data)


CONVERTERS: Mapping[str, Converter] = {
    "Reshape": _reshape,
    "Flatten": _flatten,
    "Squeeze": _squeeze,
    "Unsqueeze": _unsqueeze,
    "Transpose": _transpose,
    "Concat": _concat,
    "Slice": _slice,
    "Split": _split,
    "Pad": _pad,
    "Gather": _gather,
    "Tile": _tile,
    "Expand": _expand,
    "Shape": _shape,
    "Size": _size,
}
