"""Converters of pools, reductions and resizes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from math import prod

import numpy as np

from simulator.graph import ops
from simulator.graph.ops import Arithmetic, Op
from simulator.numerics.formats import BOOL, FLOAT32, INT64, Format
from simulator.numerics.quant import QuantParams
from workloads.importers._onnx_draft import Layout, Value
from workloads.importers._onnx_node import Converter, NodeView, Refused, axis_of
from workloads.importers._onnx_resize import nearest_indices, target_size, tflite_flags
from workloads.importers._onnx_windows import window_of


def _max_pool(view: NodeView) -> None:
    view.only("storage_order", 0)
    if len(view.raw.outputs) > 1:
        raise Refused("its indices are read; only the first output is")
    x = view.input(0)
    window = window_of(view, x, view.attribute("kernel_shape", ()))
    if window.dilation != (1, 1):
        raise Refused(f"attribute dilations = {window.dilation}; supported: (1, 1)")
    op = ops.MaxPool2D(window.kernel, window.stride, window.padding)
    view.emit(op, [view.image(x)], (*x.shape[:2], *window.size), x.format, Layout.IMAGE, x.quant)


def average_pool(view: NodeView, x: Value, arithmetic: Arithmetic, format: Format, quant: QuantParams | None) -> None:
    """Emit an average pool with the window that the attributes state."""
    window = window_of(view, x, view.attribute("kernel_shape", ()))
    if window.dilation != (1, 1):
        raise Refused(f"attribute dilations = {window.dilation}; supported: (1, 1)")
    counts = bool(view.attribute("count_include_pad", 0))
    if counts and view.attribute("ceil_mode", 0):
        raise Refused("attributes count_include_pad = 1 and ceil_mode = 1 together; supported: one of them")
    counts = counts and any(vars(window.padding).values())
    op = ops.AveragePool2D(window.kernel, window.stride, window.padding, arithmetic=arithmetic, count_padding=counts)
    view.emit(op, [view.image(x)], (*x.shape[:2], *window.size), format, Layout.IMAGE, quant)


def _float_average_pool(view: NodeView) -> None:
    x = view.input(0)
    if x.format != FLOAT32:
        raise Refused(f"the average of {x.format} without scale; com.microsoft.QLinearAveragePool would work")
    average_pool(view, x, Arithmetic.FIXED_POINT, FLOAT32, None)


def global_average(view: NodeView, x: Value, arithmetic: Arithmetic, format: Format, quant: QuantParams | None) -> None:
    """Emit a mean over height and width."""
    op = ops.Mean((1, 2), keep_dims=True, arithmetic=arithmetic)
    view.emit(op, [view.image(x)], (*x.shape[:2], 1, 1), format, Layout.IMAGE, quant)


def _float_global_average(view: NodeView) -> None:
    global_average(view, view.input(0), Arithmetic.FIXED_POINT, FLOAT32, None)


def _global_max(view: NodeView) -> None:
    x = view.input(0)
    view.emit(
        ops.ReduceMax((1, 2), keep_dims=True), [view.image(x)], (*x.shape[:2], 1, 1), x.format, Layout.IMAGE, x.quant
    )


def _reduce(make: type[ops.Mean] | type[ops.Sum] | type[ops.ReduceMax], view: NodeView) -> None:
    x, keep = view.input(0), bool(view.attribute("keepdims", 1))
    rank = len(x.shape)
    stated = view.ints(1, "axes") or ()
    if not stated and view.attribute("noop_with_empty_axes", 0):
        view.bind(x)
        return
    if x.format == BOOL:
        raise Refused(f"{view.raw.op} of {x.format}; numbers are read")
    if x.quant is not None and make is not ops.ReduceMax:
        raise Refused(f"{make.__name__} of quantized values without a scale of its own")
    axes = sorted({axis_of(axis, rank) for axis in stated} or range(rank))
    reduced = tuple(1 if axis in axes else n for axis, n in enumerate(x.shape))
    kept = tuple(n for axis, n in enumerate(x.shape) if axis not in axes)
    layout = view.layout(x)
    ours = tuple(layout.axis(axis) for axis in axes)
    if keep:
        view.emit(make(ours, keep_dims=True), [view.read(x, layout)], reduced, x.format, layout, x.quant)
        return
    if layout is Layout.IMAGE and len(kept) > 1 and 1 not in axes and kept != x.shape[:2]:
        layout, ours = Layout.FILE, tuple(axes)
    view.emit(make(ours), [view.read(x, layout)], kept, x.format, Layout.FILE, x.quant)


def _arg_max(view: NodeView) -> None:
    view.only("select_last_index", 0)
    x = view.input(0)
    axis = axis_of(int(view.attribute("axis", 0)), len(x.shape))
    layout = view.layout(x)
    if layout is Layout.IMAGE and axis != 1:
        layout = Layout.FILE
    op = ops.ArgMax(layout.axis(axis))
    kept = (*x.shape[:axis], *x.shape[axis + 1 :])
    if not view.attribute("keepdims", 1):
        view.emit(op, [view.read(x, layout)], kept, INT64)
        return
    name = view.step(op, [view.read(x, layout)], kept, INT64, "index")
    shape = (*x.shape[:axis], 1, *x.shape[axis + 1 :])
    view.emit(ops.Reshape(shape), [name], shape, INT64)


def _softmax(view: NodeView) -> None:
    x = view.input(0)
    rank = len(x.shape)
    axis = axis_of(int(view.attribute("axis", -1 if view.opset >= 13 else 1)), rank)
    if view.opset < 13 and axis != rank - 1 and prod(x.shape[axis + 1 :]) != 1:
        # Before version 13 all axes from `axis` on are one.
        flat = (prod(x.shape[:axis]), prod(x.shape[axis:]))
        rows = view.reshaped(view.read(x, Layout.FILE), flat, "rows")
        shares = view.step(ops.Softmax(), [rows], flat, x.format, "shares")
        view.emit(ops.Reshape(x.shape), [shares], x.shape, x.format)
        return
    if axis == 1 and rank == 4:
        view.emit(ops.Softmax(), [view.image(x)], x.shape, x.format, Layout.IMAGE)
        return
    if axis == rank - 1:
        view.emit(ops.Softmax(), [view.read(x, Layout.FILE)], x.shape, x.format)
        return
    swap = [*range(rank)]
    swap[axis], swap[-1] = swap[-1], swap[axis]
    shape = tuple(x.shape[i] for i in swap)
    last = view.step(ops.Transpose(tuple(swap)), [view.read(x, Layout.FILE)], shape, x.format, "last")
    shares = view.step(ops.Softmax(), [last], shape, x.format, "shares")
    view.emit(ops.Transpose(tuple(swap)), [shares], x.shape, x.format)


def _resize(view: NodeView) -> None:
    x = view.input(0)
    size = target_size(view, x)
    if size == x.shape[2:]:
        view.bind(x)
        return
    if view.attribute("mode", "nearest") == "nearest":
        _nearest(view, x, size)
        return
    align, half = tflite_flags(view, x, size)
    arithmetic = view.attribute("bittrue_arithmetic", Arithmetic.FLOAT32_TO_ZERO)
    op = ops.ResizeBilinear(size, align, half, arithmetic=Arithmetic.FIXED_POINT if x.quant is None else arithmetic)
    if x.format != FLOAT32 and x.quant is None:
        op = replace(op, arithmetic=arithmetic)
    view.emit(op, [view.image(x)], (*x.shape[:2], *size), x.format, Layout.IMAGE, x.quant)


def _nearest(view: NodeView, x: Value, size: tuple[int, int]) -> None:
    """Emit a nearest-neighbour resize; one whose choice of pixels TFLite's does not make gathers rows and columns."""
    from simulator.lowering.resize import nearest_axis

    indices = [nearest_indices(view, x.shape[i + 2], size[i], i) for i in (0, 1)]
    for align, half in ((False, False), (False, True), (True, False)):
        if all(np.array_equal(nearest_axis(x.shape[i + 2], size[i], align, half), indices[i]) for i in (0, 1)):
            op: Op = ops.ResizeNearest(size, align, half)
            view.emit(op, [view.image(x)], (*x.shape[:2], *size), x.format, Layout.IMAGE, x.quant)
            return
    rows, columns = (view.constant_tensor(f"pixels{i}", indices[i].astype(np.int64)) for i in (0, 1))
    shape = (x.shape[0], size[0], x.shape[3], x.shape[1])
    name = view.step(ops.Gather(1), [view.image(x), rows], shape, x.format, "rows", x.quant)
    view.emit(ops.Gather(2), [name, columns], (*x.shape[:2], *size), x.format, Layout.IMAGE, x.quant)


def _depth_to_space(view: NodeView) -> None:
    """Mode DCR takes a block's pixels from channels c, c + n, ... as ours does; CRD from adjacent ones."""
    x, block = view.input(0), int(view.attribute("blocksize", 0))
    mode = view.only("mode", "DCR", "DCR", "CRD")
    name, channels = view.image(x), x.shape[1] // block**2
    if mode == "CRD":
        order = np.arange(x.shape[1]).reshape(channels, block**2).T.ravel()
        picks = view.constant_tensor("channels", order.astype(np.int64))
        shape = Layout.IMAGE.shape(x.shape)
        name = view.step(ops.Gather(3), [name, picks], shape, x.format, "ordered", x.quant)
    shape = (x.shape[0], channels, x.shape[2] * block, x.shape[3] * block)
    view.emit(ops.DepthToSpace(block), [name], shape, x.format, Layout.IMAGE, x.quant)


def _space_to_depth(view: NodeView) -> None:
    x, block = view.input(0), int(view.attribute("blocksize", 0))
    view.only("mode", "DCR")
    shape = (x.shape[0], x.shape[1] * block**2, x.shape[2] // block, x.shape[3] // block)
    view.emit(ops.SpaceToDepth(block), [view.image(x)], shape, x.format, Layout.IMAGE, x.quant)


CONVERTERS: Mapping[str, Converter] = {
    "MaxPool": _max_pool,
    "AveragePool": _float_average_pool,
    "GlobalAveragePool": _float_global_average,
    "GlobalMaxPool": _global_max,
    "ReduceMean": partial(_reduce, ops.Mean),
    "ReduceSum": partial(_reduce, ops.Sum),
    "ReduceMax": partial(_reduce, ops.ReduceMax),
    "ArgMax": _arg_max,
    "Softmax": _softmax,
    "Resize": _resize,
    "Upsample": _resize,
    "DepthToSpace": _depth_to_space,
    "SpaceToDepth": _space_to_depth,
}
