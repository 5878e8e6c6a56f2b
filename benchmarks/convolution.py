"""One convolution with its operands, as each contender takes it: our network, an ONNX model, a TFLite model."""

from __future__ import annotations

from dataclasses import dataclass

import flatbuffers
import numpy as np
import onnx
from ai_edge_litert import schema_py_generated as schema
from numpy.typing import ArrayLike, NDArray
from onnx import TensorProto, helper, numpy_helper

from simulator.graph.builder import GraphBuilder
from simulator.graph.graph import Graph
from simulator.graph.ops import Conv2D, Padding
from simulator.numerics.quant import QuantParams

_X_SCALE, _Y_SCALE = 0.02, 0.02
_X_ZERO_POINT, _Y_ZERO_POINT = 8, 120
"""Of uint8 activations; 128 less of int8 ones."""


@dataclass(frozen=True)
class ConvShape:
    """A convolution of a square image whose padding is centred, (kernel - 1) * dilation / 2 on every side."""

    name: str
    size: int
    channels: int
    filters: int
    kernel: int
    stride: int = 1
    dilation: int = 1

    @property
    def padding(self) -> int:
        """Rows and columns of padding on every side."""
        return (self.kernel - 1) * self.dilation // 2

    @property
    def out_size(self) -> int:
        """Side of the output."""
        return (self.size - 1) // self.stride + 1

    @property
    def macs(self) -> int:
        """Multiply-accumulates, padding taps counted."""
        return self.out_size**2 * self.filters * self.channels * self.kernel**2


@dataclass(frozen=True, eq=False)
class ConvCase:
    """A shape and operands: activations uint8 with zero point, weights int8 per filter, biases int32."""

    shape: ConvShape
    x: NDArray[np.uint8]
    """[1, size, size, channels]."""
    weights: NDArray[np.int8]
    """[filters, kernel, kernel, channels]."""
    bias: NDArray[np.int32]
    weight_scales: NDArray[np.float32]
    """[filters]."""

    @property
    def x_int8(self) -> NDArray[np.int8]:
        """The activations re-centred."""
        return (self.x.astype(np.int16) - 128).astype(np.int8)


def random_case(shape: ConvShape, seed: int = 0) -> ConvCase:
    """Draw full-range operands whose outputs spread over the output's range, hardly any of them saturated."""
    rng = np.random.default_rng(seed)
    k = shape.kernel**2 * shape.channels
    x = np.clip(np.rint(rng.normal(_X_ZERO_POINT, 60, (1, shape.size, shape.size, shape.channels))), 0, 255)
    weights = np.clip(
        np.rint(rng.normal(0, 40, (shape.filters, shape.kernel, shape.kernel, shape.channels))), -127, 127
    )
    return ConvCase(
        shape,
        x.astype(np.uint8),
        weights.astype(np.int8),
        rng.integers(-2000, 2000, shape.filters, np.int32),
        (rng.uniform(0.5, 1.5, shape.filters) / np.sqrt(k) / 40).astype(np.float32),
    )


def our_graph(case: ConvCase) -> Graph:
    """Return the convolution of the int8 input as a network of ours."""
    shape, builder = case.shape, GraphBuilder(case.shape.name)
    weight_scales = tuple(float(scale) for scale in case.weight_scales)
    zeros = (0,) * shape.filters
    x = builder.input("input", case.x.shape, "int8", QuantParams.per_tensor(np.float32(_X_SCALE), _X_ZERO_POINT - 128))
    weights = builder.constant("weights", case.weights, quant=QuantParams(weight_scales, zeros, 0))
    bias_scales = tuple(float(np.float32(_X_SCALE)) * scale for scale in weight_scales)
    bias = builder.constant("bias", case.bias, quant=QuantParams(bias_scales, zeros, 0))
    pad, stride, dilation = shape.padding, (shape.stride,) * 2, (shape.dilation,) * 2
    op = Conv2D(stride, Padding(pad, pad, pad, pad), dilation)
    builder.add(op, x, weights, bias, name="output", quant=QuantParams.per_tensor(_Y_SCALE, _Y_ZERO_POINT - 128))
    return builder.build()


def onnx_model(case: ConvCase, unsigned_weights: bool = False) -> bytes:
    """Return the convolution of the uint8 input as ONNX Runtime's QLinearConv on NHWC, which transposes nothing.

    Parameters
    ----------
    case
        What is computed.
    unsigned_weights
        Re-centre the weights to uint8 with zero point 128: the same numbers, other kernels.

    """
    weights = case.weights.transpose(0, 3, 1, 2).astype(np.int16) + (128 if unsigned_weights else 0)
    weight_type = np.dtype(np.uint8 if unsigned_weights else np.int8)
    constants = {
        "x_scale": np.float32(_X_SCALE),
        "x_zero_point": np.uint8(_X_ZERO_POINT),
        "weights": np.ascontiguousarray(weights, weight_type),
        "weight_scales": case.weight_scales,
        "weight_zero_points": np.full(case.shape.filters, 128 if unsigned_weights else 0, weight_type),
        "y_scale": np.float32(_Y_SCALE),
        "y_zero_point": np.uint8(_Y_ZERO_POINT),
        "bias": case.bias,
    }
    node = helper.make_node(
        "QLinearConv",
        ["x", *constants],
        ["y"],
        domain="com.microsoft",
        channels_last=1,
        kernel_shape=[case.shape.kernel] * 2,
        strides=[case.shape.stride] * 2,
        dilations=[case.shape.dilation] * 2,
        pads=[case.shape.padding] * 4,
    )
    graph = helper.make_graph(
        [node],
        "convolution",
        [helper.make_tensor_value_info("x", TensorProto.UINT8, case.x.shape)],
        [helper.make_tensor_value_info("y", TensorProto.UINT8, None)],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()],
    )
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("com.microsoft", 1)]
    return onnx.helper.make_model(graph, opset_imports=opsets, ir_version=8).SerializeToString()


def tflite_model(case: ConvCase) -> bytes:
    """Return the convolution of the int8 input as a TFLite model; SAME padding is the shape's own."""
    shape, types = case.shape, schema.TensorType
    zeros = np.zeros(shape.filters, np.int64)
    model = schema.ModelT()
    model.version, model.description, model.buffers = 3, "one convolution", [schema.BufferT()]
    code = schema.OperatorCodeT()
    code.builtinCode = code.deprecatedBuiltinCode = schema.BuiltinOperator.CONV_2D
    code.version = 3
    model.operatorCodes = [code]
    out_shape = (1, shape.out_size, shape.out_size, shape.filters)
    bias_scales = np.float32(_X_SCALE) * case.weight_scales
    graph = schema.SubGraphT()
    graph.name = "main"
    graph.tensors = [
        _tensor("x", case.x.shape, types.INT8, _X_SCALE, _X_ZERO_POINT - 128),
        _tensor("weights", case.weights.shape, types.INT8, case.weight_scales, zeros, _buffer(model, case.weights)),
        _tensor("bias", case.bias.shape, types.INT32, bias_scales, zeros, _buffer(model, case.bias)),
        _tensor("y", out_shape, types.INT8, _Y_SCALE, _Y_ZERO_POINT - 128),
    ]
    options = schema.Conv2DOptionsT()
    options.padding = schema.Padding.SAME
    options.strideH = options.strideW = shape.stride
    options.dilationHFactor = options.dilationWFactor = shape.dilation
    operator = schema.OperatorT()
    operator.opcodeIndex = 0
    operator.inputs, operator.outputs = np.array([0, 1, 2], np.int32), np.array([3], np.int32)
    operator.builtinOptionsType, operator.builtinOptions = schema.BuiltinOptions.Conv2DOptions, options
    graph.operators = [operator]
    graph.inputs, graph.outputs = np.array([0], np.int32), np.array([3], np.int32)
    model.subgraphs = [graph]
    builder = flatbuffers.Builder(1 << 20)
    builder.Finish(model.Pack(builder), file_identifier=b"TFL3")
    return bytes(builder.Output())


def _buffer(model: schema.ModelT, data: NDArray[np.int8] | NDArray[np.int32]) -> int:
    buffer = schema.BufferT()
    buffer.data = np.frombuffer(np.ascontiguousarray(data).tobytes(), np.uint8)
    model.buffers.append(buffer)
    return len(model.buffers) - 1


def _tensor(
    name: str, shape: tuple[int, ...], dtype: int, scale: ArrayLike, zero_point: ArrayLike, buffer: int = 0
) -> schema.TensorT:
    quant = schema.QuantizationParametersT()
    quant.scale = np.atleast_1d(np.asarray(scale, np.float32))
    quant.zeroPoint = np.atleast_1d(np.asarray(zero_point, np.int64))
    quant.quantizedDimension = 0
    tensor = schema.TensorT()
    tensor.name, tensor.shape, tensor.type = name, np.asarray(shape, np.int32), dtype
    tensor.quantization, tensor.buffer = quant, buffer
    return tensor
