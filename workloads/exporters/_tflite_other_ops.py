"""Writers of element-wise operators, windows, reductions, resizing and movement."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import partial

import numpy as np
from numpy.typing import ArrayLike

from simulator.graph import ops
from simulator.graph.graph import Node
from simulator.graph.ops import Op
from simulator.numerics.formats import INT8, IntFormat
from workloads.exporters._tflite_array_ops import pad
from workloads.exporters._tflite_context import ACTIVATIONS, VALID, Context, Refused, Writer, padding_scheme


def _plain(code: str, options: str | None, context: Context, node: Node, **fields: int | float) -> None:
    """Write an operator with the inputs and outputs of the node as they are."""
    inputs, outputs = context.graph.tensors_of(node.inputs), context.graph.tensors_of(node.outputs)
    context.emit(code, inputs, [tensor for tensor in outputs if tensor is not None], options, **fields)


def _fused(code: str, options: str, context: Context, node: Node) -> None:
    _plain(code, options, context, node, FusedActivationFunction=ACTIVATIONS[getattr(node.op, "activation")])  # noqa: B009


def _with_constants(
    code: str, options: str | None, constants: Mapping[str, ArrayLike], context: Context, node: Node, **fields: int
) -> None:
    """Write an operator whose attributes are int32 constants after its input."""
    extra = [context.ints(node.name, what, values) for what, values in constants.items()]
    outputs = [context.graph.tensors[name] for name in node.outputs]
    context.emit(code, [context.input(node, 0), *extra], outputs, options, **fields)


def _pool(code: str, context: Context, node: Node) -> None:
    op, x, y = node.op, context.input(node, 0), context.output(node)
    assert isinstance(op, ops.MaxPool2D | ops.AveragePool2D)
    scheme = padding_scheme(op.padding, (x.shape[1:3], y.shape[1:3]), op.kernel, op.stride)
    if scheme is None and isinstance(op, ops.AveragePool2D):
        raise Refused(f"{op.padding} of an average is neither TFLite's SAME nor VALID")
    if scheme is None:
        if not isinstance(x.format, IntFormat):
            raise Refused(f"{op.padding} of {x.format} values is neither TFLite's SAME nor VALID")
        x, scheme = pad(context, x, op.padding, fill=x.format.min), VALID
    context.emit(
        code,
        [x],
        [y],
        "Pool2DOptions",
        Padding=scheme,
        StrideH=op.stride[0],
        StrideW=op.stride[1],
        FilterHeight=op.kernel[0],
        FilterWidth=op.kernel[1],
        FusedActivationFunction=ACTIVATIONS[op.activation],
    )


def _reduce(code: str, context: Context, node: Node) -> None:
    op = node.op
    assert isinstance(op, ops.Mean | ops.Sum | ops.ReduceMax)
    _with_constants(code, "ReducerOptions", {"axes": op.axes}, context, node, KeepDims=int(op.keep_dims))


def _resize(code: str, options: str, context: Context, node: Node) -> None:
    op = node.op
    assert isinstance(op, ops.ResizeBilinear | ops.ResizeNearest)
    flags = {"AlignCorners": int(op.align_corners), "HalfPixelCenters": int(op.half_pixel_centers)}
    _with_constants(code, options, {"size": op.size}, context, node, **flags)


def _concat(context: Context, node: Node) -> None:
    op, y = node.op, context.output(node)
    assert isinstance(op, ops.Concat)
    parts = [context.graph.tensors[name] for name in node.inputs]
    for part in parts:
        if part.quant != y.quant and y.format == INT8:
            raise Refused(f"input {part.name} has another scale than the output; TFLite's int8 kernel does not rescale")
    axis, activation = op.axis % len(y.shape), ACTIVATIONS[op.activation]
    context.emit("CONCATENATION", parts, [y], "ConcatenationOptions", Axis=axis, FusedActivationFunction=activation)


def _arg_max(context: Context, node: Node) -> None:
    from workloads.exporters._tflite_file import schema, tensor_type

    op = node.op
    assert isinstance(op, ops.ArgMax)
    kind = getattr(schema().TensorType, tensor_type(context.output(node).format) or "")
    _with_constants("ARG_MAX", "ArgMaxOptions", {"axis": op.axis}, context, node, OutputType=kind)


def _pad(context: Context, node: Node) -> None:
    op, x, y = node.op, context.input(node, 0), context.output(node)
    assert isinstance(op, ops.Pad)
    paddings = context.ints(node.name, "paddings", op.paddings)
    if op.value == x.zero_point:
        context.emit("PAD", [x, paddings], [y], "PadOptions")
        return
    value = context.fresh(x, "fill", shape=(1,), data=np.asarray([op.value], x.format.dtype))
    context.emit("PADV2", [x, paddings, value], [y], "PadV2Options")


def _mirror_pad(context: Context, node: Node) -> None:
    op = node.op
    assert isinstance(op, ops.MirrorPad)
    mode = ("reflect", "symmetric").index(op.mode)
    _with_constants("MIRROR_PAD", "MirrorPadOptions", {"paddings": op.paddings}, context, node, Mode=mode)


def _slice(context: Context, node: Node) -> None:
    op = node.op
    assert isinstance(op, ops.Slice)
    masks = {"BeginMask": _mask(v is None for v in op.begin), "EndMask": _mask(v is None for v in op.end)}
    masks["ShrinkAxisMask"] = _mask(axis in op.squeeze for axis in range(len(op.begin)))
    bounds: dict[str, ArrayLike] = {
        "begin": [v or 0 for v in op.begin],
        "end": [v or 0 for v in op.end],
        "strides": op.step,
    }
    _with_constants("STRIDED_SLICE", "StridedSliceOptions", bounds, context, node, **masks)


def _mask(bits: Iterable[bool]) -> int:
    return sum(1 << position for position, bit in enumerate(bits) if bit)


def _split(context: Context, node: Node) -> None:
    op = node.op
    assert isinstance(op, ops.Split)
    constants: dict[str, ArrayLike] = {"sizes": op.sizes, "axis": op.axis}
    _with_constants("SPLIT_V", "SplitVOptions", constants, context, node, NumSplits=len(op.sizes))


def _attributes(code: str, options: str | None, names: Mapping[str, str], context: Context, node: Node) -> None:
    """Constants of the node's attributes: what each is called -> the attribute."""
    _with_constants(code, options, {what: getattr(node.op, name) for what, name in names.items()}, context, node)


def _fields(code: str, options: str, names: Mapping[str, str], context: Context, node: Node) -> None:
    """Fields of the options table from the node's attributes: field -> attribute."""
    _plain(code, options, context, node, **{field: getattr(node.op, name) for field, name in names.items()})


def _pack(context: Context, node: Node) -> None:
    assert isinstance(node.op, ops.Pack)
    _plain("PACK", "PackOptions", context, node, ValuesCount=len(node.inputs), Axis=node.op.axis)


def _unpack(context: Context, node: Node) -> None:
    assert isinstance(node.op, ops.Unpack)
    _plain("UNPACK", "UnpackOptions", context, node, Num=len(node.outputs), Axis=node.op.axis)


def _unary(context: Context, node: Node) -> None:
    assert isinstance(node.op, ops.Unary)
    _plain(node.op.function.upper(), None, context, node)


WRITERS: Mapping[type[Op], Writer] = {
    ops.Add: partial(_fused, "ADD", "AddOptions"),
    ops.Sub: partial(_fused, "SUB", "SubOptions"),
    ops.Mul: partial(_fused, "MUL", "MulOptions"),
    ops.Div: partial(_fused, "DIV", "DivOptions"),
    ops.FloorDiv: partial(_plain, "FLOOR_DIV", None),
    ops.Maximum: partial(_plain, "MAXIMUM", "MaximumMinimumOptions"),
    ops.Minimum: partial(_plain, "MINIMUM", "MaximumMinimumOptions"),
    ops.Unary: _unary,
    ops.Relu: partial(_plain, "RELU", None),
    ops.Relu6: partial(_plain, "RELU6", None),
    ops.ReluN1To1: partial(_plain, "RELU_N1_TO_1", None),
    ops.PRelu: partial(_plain, "PRELU", None),
    ops.LeakyRelu: partial(_fields, "LEAKY_RELU", "LeakyReluOptions", {"Alpha": "alpha"}),
    ops.Logistic: partial(_plain, "LOGISTIC", None),
    ops.Tanh: partial(_plain, "TANH", None),
    ops.HardSwish: partial(_plain, "HARD_SWISH", "HardSwishOptions"),
    ops.Softmax: partial(_fields, "SOFTMAX", "SoftmaxOptions", {"Beta": "beta"}),
    ops.Quantize: partial(_plain, "QUANTIZE", "QuantizeOptions"),
    ops.Dequantize: partial(_plain, "DEQUANTIZE", "DequantizeOptions"),
    ops.Cast: partial(_plain, "CAST", None),
    ops.MaxPool2D: partial(_pool, "MAX_POOL_2D"),
    ops.AveragePool2D: partial(_pool, "AVERAGE_POOL_2D"),
    ops.Mean: partial(_reduce, "MEAN"),
    ops.Sum: partial(_reduce, "SUM"),
    ops.ReduceMax: partial(_reduce, "REDUCE_MAX"),
    ops.ArgMax: _arg_max,
    ops.ResizeBilinear: partial(_resize, "RESIZE_BILINEAR", "ResizeBilinearOptions"),
    ops.ResizeNearest: partial(_resize, "RESIZE_NEAREST_NEIGHBOR", "ResizeNearestNeighborOptions"),
    ops.Concat: _concat,
    ops.Pad: _pad,
    ops.MirrorPad: _mirror_pad,
    ops.Reshape: partial(_attributes, "RESHAPE", None, {"shape": "shape"}),
    ops.Slice: _slice,
    ops.Split: _split,
    ops.Tile: partial(_attributes, "TILE", None, {"multiples": "multiples"}),
    ops.Transpose: partial(_attributes, "TRANSPOSE", None, {"permutation": "permutation"}),
    ops.Pack: _pack,
    ops.Unpack: _unpack,
    ops.SpaceToBatch: partial(_attributes, "SPACE_TO_BATCH_ND", None, {"block": "block", "paddings": "paddings"}),
    ops.BatchToSpace: partial(_attributes, "BATCH_TO_SPACE_ND", None, {"block": "block", "crops": "crops"}),
    ops.SpaceToDepth: partial(_fields, "SPACE_TO_DEPTH", "SpaceToDepthOptions", {"BlockSize": "block"}),
    ops.DepthToSpace: partial(_fields, "DEPTH_TO_SPACE", "DepthToSpaceOptions", {"BlockSize": "block"}),
    ops.Gather: partial(_fields, "GATHER", "GatherOptions", {"Axis": "axis", "BatchDims": "batch_dims"}),
    ops.GatherNd: partial(_plain, "GATHER_ND", None),
}
