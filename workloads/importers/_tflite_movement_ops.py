"""Converters of operators that move data and compute nothing."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from math import prod

from simulator.graph import ops
from simulator.graph.graph import Tensor
from simulator.graph.ops import Op
from simulator.numerics.formats import INT32, INT64
from workloads.importers._tflite_node import Converted, Converter, NodeView, Refused, activation
from workloads.importers._tflite_vector_ops import axes_of


def _moved(op: Op, view: NodeView) -> Converted:
    return Converted(op, (view.input(0).name,))


def _axis(tensor: Tensor, axis: int, extra: int = 0) -> int:
    rank = len(tensor.shape) + extra
    if not -rank <= axis < rank:
        raise ValueError(f"axis {axis} for tensor {tensor.name}, which has {len(tensor.shape)} dimensions")
    return axis % rank


def _concat(view: NodeView) -> Converted:
    options = view.options("ConcatenationOptions")
    names = tuple(view.input(position).name for position in range(len(view.raw.inputs)))
    axis = _axis(view.input(0), options.Axis())
    return Converted(ops.Concat(axis, activation(options)), names)


def _pad(view: NodeView) -> Converted:
    x = view.input(0)
    value = 0 if x.quant is None else x.zero_point
    return _moved(ops.Pad(view.pairs(1, "paddings"), value), view)


def _pad_v2(view: NodeView) -> Converted:
    x, value = view.input(0), view.input(2)
    if value.data is None:
        raise Refused(f"padding value {value.name} is not constant")
    if value.format != x.format or value.elements != 1:
        raise ValueError(f"padding value {value.name} is {value.format} {list(value.shape)}, the input is {x.format}")
    if value.quant is not None and value.quant != x.quant:
        raise ValueError(f"padding value {value.name} has another scale or zero point than {x.name}")
    return _moved(ops.Pad(view.pairs(1, "paddings"), value.data.ravel()[0].item()), view)


def _mirror_pad(view: NodeView) -> Converted:
    mode = view.options("MirrorPadOptions").Mode()
    if mode not in (0, 1):
        raise ValueError(f"mirror mode {mode}")
    return _moved(ops.MirrorPad(view.pairs(1, "paddings"), ("reflect", "symmetric")[mode]), view)


def _reshape(view: NodeView) -> Converted:
    x, options = view.input(0), view.optional_options("ReshapeOptions")
    # A one-dimensional int32 second input wins over the options, as in reshape.cc.
    stored = view.optional(1)
    if stored is not None and len(stored.shape) == 1:
        shape = view.ints(1, "shape")
    elif options is not None and options.NewShapeLength():
        shape = tuple(int(n) for n in options.NewShapeAsNumpy())
        if shape == (0,):  # a scalar, in files of early converters
            shape = ()
    else:
        shape = ()
    return _moved(ops.Reshape(_resolve(shape, x)), view)


def _resolve(shape: tuple[int, ...], x: Tensor) -> tuple[int, ...]:
    known = prod(n for n in shape if n != -1)
    if shape.count(-1) > 1 or any(n < -1 for n in shape) or known == 0 or x.elements % known:
        raise ValueError(f"{x.elements} values of tensor {x.name} cannot take the shape {list(shape)}")
    return tuple(x.elements // known if n == -1 else n for n in shape)


def _squeeze(view: NodeView) -> Converted:
    x, options = view.input(0), view.optional_options("SqueezeOptions")
    listed = options is not None and options.SqueezeDimsLength()
    axes = axes_of(x, tuple(int(n) for n in options.SqueezeDimsAsNumpy())) if listed else ()
    chosen = axes or tuple(axis for axis, size in enumerate(x.shape) if size == 1)
    if any(x.shape[axis] != 1 for axis in chosen):
        raise ValueError(f"axes {list(chosen)} of tensor {x.name} {list(x.shape)} are not all of size 1")
    return _moved(ops.Reshape(tuple(n for axis, n in enumerate(x.shape) if axis not in chosen)), view)


def _expand_dims(view: NodeView) -> Converted:
    x = view.input(0)
    (stored,) = view.ints(1, "axis")
    axis = _axis(x, stored, extra=1)
    return _moved(ops.Reshape((*x.shape[:axis], 1, *x.shape[axis:])), view)


def _slice(view: NodeView) -> Converted:
    x = view.input(0)
    begin, size = view.ints(1, "begin"), view.ints(2, "size")
    ends = []
    for n, first, count in zip(x.shape, begin, size, strict=True):
        end = n if count == -1 else first + count
        if not 0 <= first <= end <= n:
            raise ValueError(f"slice [{first}, {end}) of tensor {x.name} {list(x.shape)}")
        ends.append(end)
    return _moved(ops.Slice(begin, tuple(ends), (1,) * len(begin)), view)


def _strided_slice(view: NodeView) -> Converted:
    x, options = view.input(0), view.options("StridedSliceOptions")
    if options.NewAxisMask():
        raise Refused("new_axis_mask")
    begin, end, step = (view.ints(1, "begin"), view.ints(2, "end"), view.ints(3, "strides"))
    rows = _without_ellipsis(x, options, list(zip(begin, end, step, strict=True)))
    bounds = [_bounds(n, *row, offset=options.Offset()) for n, row in zip(x.shape, rows, strict=True)]
    op = ops.Slice(
        begin=tuple(bound[0] for bound in bounds),
        end=tuple(bound[1] for bound in bounds),
        step=tuple(bound[2] for bound in bounds),
        squeeze=tuple(axis for axis, row in enumerate(rows) if row[5]),
    )
    return _moved(op, view)


_Row = tuple[int, int, int, bool, bool, bool]
"""(begin, end, step, begin masked, end masked, axis shrunk)."""


def _without_ellipsis(x: Tensor, options: object, given: list[tuple[int, int, int]]) -> list[_Row]:
    """One row per axis of x: the ellipsis, and axes left out at the end, are whole axes."""
    masks = [getattr(options, name)() for name in ("BeginMask", "EndMask", "ShrinkAxisMask", "EllipsisMask")]
    missing = len(x.shape) - len(given)
    rows: list[_Row] = []
    for position, (begin, end, step) in enumerate(given):
        masked_begin, masked_end, shrunk, ellipsis = (bool(mask >> position & 1) for mask in masks)
        if ellipsis:
            rows += [(0, 0, 1, True, True, False)] * (missing + 1)
            missing = 0
        else:
            rows.append((begin, end, step, masked_begin, masked_end, shrunk))
    if missing < 0:
        raise ValueError(f"{len(given)} bounds for tensor {x.name} of {len(x.shape)} dimensions")
    return rows + [(0, 0, 1, True, True, False)] * missing


def _bounds(
    n: int, begin: int, end: int, step: int, no_begin: bool, no_end: bool, shrunk: bool, *, offset: bool
) -> tuple[int | None, int | None, int]:
    """NumPy bounds of one axis of size n, as strided_slice_logic.h resolves them."""
    if step == 0:
        raise ValueError("a stride of 0")
    if shrunk:
        first = 0 if no_begin else begin + n if begin < 0 else begin
        if step < 0 or not 0 <= first < n:
            raise ValueError(f"index {begin} with stride {step} of an axis of size {n}")
        return first, first + 1, 1
    if offset:
        end = begin + end
    return (None if no_begin else begin), (None if no_end else end), step


def _split(view: NodeView) -> Converted:
    x = view.input(1)
    (stored,) = view.ints(0, "axis")
    axis, parts = _axis(x, stored), view.options("SplitOptions").NumSplits()
    if parts != len(view.raw.outputs) or x.shape[axis] % parts:
        raise ValueError(f"axis {axis} of tensor {x.name} {list(x.shape)} in {parts} parts")
    return Converted(ops.Split(axis, (x.shape[axis] // parts,) * parts), (x.name,))


def _split_v(view: NodeView) -> Converted:
    x, sizes = view.input(0), view.ints(1, "sizes")
    (stored,) = view.ints(2, "axis")
    axis = _axis(x, stored)
    view.check_count(view.options("SplitVOptions").NumSplits(), len(sizes))
    rest = x.shape[axis] - sum(size for size in sizes if size != -1)
    if sizes.count(-1) > 1 or rest < 0:
        raise ValueError(f"axis {axis} of tensor {x.name} {list(x.shape)} in parts of {list(sizes)}")
    return _moved(ops.Split(axis, tuple(rest if size == -1 else size for size in sizes)), view)


def _tile(view: NodeView) -> Converted:
    return _moved(ops.Tile(view.ints(1, "multiples")), view)


def _transpose(view: NodeView) -> Converted:
    x = view.input(0)
    return _moved(ops.Transpose(tuple(_axis(x, axis) for axis in view.ints(1, "permutation"))), view)


def _pack(view: NodeView) -> Converted:
    names, options = tuple(view.input(i).name for i in range(len(view.raw.inputs))), view.options("PackOptions")
    view.check_count(options.ValuesCount(), len(names))
    return Converted(ops.Pack(_axis(view.input(0), options.Axis(), extra=1)), names)


def _unpack(view: NodeView) -> Converted:
    options = view.options("UnpackOptions")
    view.check_count(options.Num(), len(view.raw.outputs))
    return _moved(ops.Unpack(_axis(view.input(0), options.Axis())), view)


def _space_to_batch(view: NodeView) -> Converted:
    return _moved(ops.SpaceToBatch(view.ints(1, "block shape"), view.pairs(2, "paddings")), view)


def _batch_to_space(view: NodeView) -> Converted:
    return _moved(ops.BatchToSpace(view.ints(1, "block shape"), view.pairs(2, "crops")), view)


def _block(make: type[ops.SpaceToDepth] | type[ops.DepthToSpace], kind: str, view: NodeView) -> Converted:
    block = view.options(kind).BlockSize()
    if block < 1:
        raise ValueError(f"block size {block}")
    return _moved(make(block), view)


def _gather(view: NodeView) -> Converted:
    x, indices, options = view.input(0), view.input(1), view.optional_options("GatherOptions")
    axis = 0 if options is None else _axis(x, options.Axis())
    batch = 0 if options is None else options.BatchDims()
    if batch < 0:
        batch += len(indices.shape)
    _check_indices(indices, x.shape[axis])
    return Converted(ops.Gather(axis, batch), (x.name, indices.name))


def _gather_nd(view: NodeView) -> Converted:
    x, indices = view.input(0), view.input(1)
    if indices.data is not None and indices.shape:
        for axis, column in enumerate(indices.data.reshape(-1, indices.shape[-1]).T):
            _check_indices(Tensor(indices.name, column.shape, indices.format, data=column), x.shape[axis])
    return Converted(ops.GatherNd(), (x.name, indices.name))


def _check_indices(indices: Tensor, size: int) -> None:
    if indices.format not in (INT32, INT64):
        raise Refused(f"indices {indices.name} are {indices.format}; int32 and int64 are read")
    if indices.data is not None and indices.elements and not 0 <= indices.data.min() <= indices.data.max() < size:
        raise ValueError(f"indices {indices.name} reach outside an axis of size {size}")


CONVERTERS: Mapping[str, Converter] = {
    "CONCATENATION": _concat,
    "PAD": _pad,
    "PADV2": _pad_v2,
    "MIRROR_PAD": _mirror_pad,
    "RESHAPE": _reshape,
    "SQUEEZE": _squeeze,
    "EXPAND_DIMS": _expand_dims,
    "SLICE": _slice,
    "STRIDED_SLICE": _strided_slice,
    "SPLIT": _split,
    "SPLIT_V": _split_v,
    "TILE": _tile,
    "TRANSPOSE": _transpose,
    "PACK": _pack,
    "UNPACK": _unpack,
    "SPACE_TO_BATCH_ND": _space_to_batch,
    "BATCH_TO_SPACE_ND": _batch_to_space,
    "SPACE_TO_DEPTH": partial(_block, ops.SpaceToDepth, "SpaceToDepthOptions"),
    "DEPTH_TO_SPACE": partial(_block, ops.DepthToSpace, "DepthToSpaceOptions"),
    "GATHER": _gather,
    "GATHER_ND": _gather_nd,
}
