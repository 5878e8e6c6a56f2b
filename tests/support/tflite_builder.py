"""Build small .tflite models in memory and run them on the TFLite reference kernels; TensorFlow is not needed.

model = ModelBuilder()
x = model.tensor("x", [1, 8, 8, 3], "int8", scale=0.5, zero_point=-3)
w = model.tensor("w", [4, 3, 3, 3], "int8", scale=[.1, .2, .3, .4], zero_point=[0] * 4, axis=0, data=weights)
b = model.tensor("b", [4], "int32", scale=..., data=bias)
y = model.tensor("y", [1, 8, 8, 4], "int8", scale=1.0)
model.op("CONV_2D", [x, w, b], [y], padding=SAME, strideH=1, strideW=1, fusedActivationFunction=RELU)
buffer = model.build(inputs=[x], outputs=[y])
tensors = run_reference(buffer, {"x": array})     # every tensor by name
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import flatbuffers
import numpy as np
from ai_edge_litert import schema_py_generated as schema
from ai_edge_litert.interpreter import Interpreter
from numpy.typing import ArrayLike, NDArray

from benchmarks.litert import reference_interpreter

SAME, VALID = schema.Padding.SAME, schema.Padding.VALID
NONE = schema.ActivationFunctionType.NONE
RELU = schema.ActivationFunctionType.RELU
RELU6 = schema.ActivationFunctionType.RELU6
RELU_N1_TO_1 = schema.ActivationFunctionType.RELU_N1_TO_1
TANH = schema.ActivationFunctionType.TANH
REFLECT, SYMMETRIC = schema.MirrorPadMode.REFLECT, schema.MirrorPadMode.SYMMETRIC

TYPES = {
    "int8": schema.TensorType.INT8,
    "uint8": schema.TensorType.UINT8,
    "int16": schema.TensorType.INT16,
    "int32": schema.TensorType.INT32,
    "int64": schema.TensorType.INT64,
    "float32": schema.TensorType.FLOAT32,
    "float16": schema.TensorType.FLOAT16,
    "bool": schema.TensorType.BOOL,
}

_OPTIONS = {
    "CONV_2D": "Conv2DOptions",
    "DEPTHWISE_CONV_2D": "DepthwiseConv2DOptions",
    "TRANSPOSE_CONV": "TransposeConvOptions",
    "FULLY_CONNECTED": "FullyConnectedOptions",
    "ADD": "AddOptions",
    "SUB": "SubOptions",
    "MUL": "MulOptions",
    "DIV": "DivOptions",
    "FLOOR_DIV": "FloorDivOptions",
    "MAXIMUM": "MaximumMinimumOptions",
    "MINIMUM": "MaximumMinimumOptions",
    "CONCATENATION": "ConcatenationOptions",
    "AVERAGE_POOL_2D": "Pool2DOptions",
    "MAX_POOL_2D": "Pool2DOptions",
    "MEAN": "ReducerOptions",
    "SUM": "ReducerOptions",
    "REDUCE_MAX": "ReducerOptions",
    "RESIZE_BILINEAR": "ResizeBilinearOptions",
    "RESIZE_NEAREST_NEIGHBOR": "ResizeNearestNeighborOptions",
    "PAD": "PadOptions",
    "PADV2": "PadV2Options",
    "MIRROR_PAD": "MirrorPadOptions",
    "QUANTIZE": "QuantizeOptions",
    "DEQUANTIZE": "DequantizeOptions",
    "SOFTMAX": "SoftmaxOptions",
    "HARD_SWISH": "HardSwishOptions",
    "LEAKY_RELU": "LeakyReluOptions",
    "RESHAPE": "ReshapeOptions",
    "SQUEEZE": "SqueezeOptions",
    "EXPAND_DIMS": "ExpandDimsOptions",
    "SLICE": "SliceOptions",
    "STRIDED_SLICE": "StridedSliceOptions",
    "SPLIT": "SplitOptions",
    "SPLIT_V": "SplitVOptions",
    "TILE": "TileOptions",
    "TRANSPOSE": "TransposeOptions",
    "PACK": "PackOptions",
    "UNPACK": "UnpackOptions",
    "SPACE_TO_BATCH_ND": "SpaceToBatchNDOptions",
    "BATCH_TO_SPACE_ND": "BatchToSpaceNDOptions",
    "SPACE_TO_DEPTH": "SpaceToDepthOptions",
    "DEPTH_TO_SPACE": "DepthToSpaceOptions",
    "ARG_MAX": "ArgMaxOptions",
    "CAST": "CastOptions",
    "GATHER": "GatherOptions",
    "GATHER_ND": "GatherNdOptions",
    "SHAPE": "ShapeOptions",
    "EXP": "ExpOptions",
    "ABS": "AbsOptions",
    "NEG": "NegOptions",
    "SQUARE": "SquareOptions",
    "COS": "CosOptions",
}
"""Operators without options (LOGISTIC, TANH, RELU, PRELU, SQRT ...) are absent."""


class ModelBuilder:
    """Collects tensors and operators of one subgraph; `build` gives the file's bytes."""

    def __init__(self) -> None:
        self._model = schema.ModelT()
        self._model.version = 3
        self._model.description = "made by a test"
        self._model.buffers = [schema.BufferT()]
        self._model.operatorCodes = []
        self._graph = schema.SubGraphT()
        self._graph.name = "main"
        self._graph.tensors = []
        self._graph.operators = []

    def tensor(
        self,
        name: str | None,
        shape: Sequence[int],
        dtype: str,
        *,
        scale: ArrayLike | None = None,
        zero_point: ArrayLike = 0,
        axis: int = 0,
        data: ArrayLike | None = None,
        shape_signature: Sequence[int] | None = None,
    ) -> int:
        """Add a tensor and return its index. `data` makes it a constant; it is cast to the dtype's NumPy type."""
        tensor = schema.TensorT()
        tensor.name = name
        tensor.shape = np.asarray(shape, np.int32)
        tensor.type = TYPES[dtype]
        tensor.buffer = 0
        if shape_signature is not None:
            tensor.shapeSignature = np.asarray(shape_signature, np.int32)
        if scale is not None:
            tensor.quantization = _quantization(scale, zero_point, axis)
        if data is not None:
            array = np.ascontiguousarray(np.asarray(data, dtype))
            assert array.size == np.prod(shape, dtype=np.int64), f"{name}: {array.shape} for {shape}"
            buffer = schema.BufferT()
            buffer.data = np.frombuffer(array.tobytes(), np.uint8)
            self._model.buffers.append(buffer)
            tensor.buffer = len(self._model.buffers) - 1
        self._graph.tensors.append(tensor)
        return len(self._graph.tensors) - 1

    def constant(self, name: str, data: ArrayLike, dtype: str = "int32") -> int:
        """Add an unquantized constant, such as a shape, axes or paddings; its index."""
        array = np.asarray(data, dtype)
        return self.tensor(name, array.shape, dtype, data=array)

    def op(self, code: str, inputs: Sequence[int], outputs: Sequence[int], *, version: int = 1, **options: Any) -> None:
        """Add a builtin operator; keywords are the schema's option names (strideH, fusedActivationFunction ...)."""
        operator = schema.OperatorT()
        operator.opcodeIndex = self._opcode(getattr(schema.BuiltinOperator, code), version)
        operator.inputs = np.asarray(inputs, np.int32)
        operator.outputs = np.asarray(outputs, np.int32)
        if code in _OPTIONS:
            operator.builtinOptionsType = getattr(schema.BuiltinOptions, _OPTIONS[code])
            operator.builtinOptions = _fill(getattr(schema, _OPTIONS[code] + "T")(), options)
        else:
            assert not options, f"{code} has no options"
        self._graph.operators.append(operator)

    def custom_op(self, name: str, inputs: Sequence[int], outputs: Sequence[int]) -> None:
        """Add a custom operator, which no reader knows."""
        operator = schema.OperatorT()
        operator.opcodeIndex = self._opcode(schema.BuiltinOperator.CUSTOM, 1, custom=name)
        operator.inputs = np.asarray(inputs, np.int32)
        operator.outputs = np.asarray(outputs, np.int32)
        self._graph.operators.append(operator)

    @property
    def model(self) -> Any:
        """The schema's ModelT, for tests that damage it on purpose."""
        return self._model

    def stored_tensor(self, index: int) -> Any:
        """The schema's TensorT, for the same purpose."""
        return self._graph.tensors[index]

    def operator(self, index: int) -> Any:
        """The schema's OperatorT, for the same purpose."""
        return self._graph.operators[index]

    def build(self, inputs: Iterable[int], outputs: Iterable[int]) -> bytes:
        """Return the .tflite file's bytes."""
        self._graph.inputs = np.asarray(list(inputs), np.int32)
        self._graph.outputs = np.asarray(list(outputs), np.int32)
        self._model.subgraphs = self._model.subgraphs or [self._graph]
        builder = flatbuffers.Builder(1 << 16)
        builder.Finish(self._model.Pack(builder), file_identifier=b"TFL3")
        return bytes(builder.Output())

    def _opcode(self, builtin: int, version: int, custom: str | None = None) -> int:
        for index, known in enumerate(self._model.operatorCodes):
            if (known.builtinCode, known.version, known.customCode) == (builtin, version, custom):
                return index
        code = schema.OperatorCodeT()
        code.builtinCode = builtin
        code.deprecatedBuiltinCode = min(builtin, 127)
        code.version = version
        code.customCode = custom
        self._model.operatorCodes.append(code)
        return len(self._model.operatorCodes) - 1


def _quantization(scale: ArrayLike, zero_point: ArrayLike, axis: int) -> Any:
    scales = np.atleast_1d(np.asarray(scale, np.float32))
    parameters = schema.QuantizationParametersT()
    parameters.scale = scales
    parameters.zeroPoint = np.broadcast_to(np.asarray(zero_point, np.int64), scales.shape).copy()
    parameters.quantizedDimension = axis
    return parameters


def _fill(target: Any, options: Mapping[str, Any]) -> Any:
    for key, value in options.items():
        assert hasattr(target, key), f"{type(target).__name__} has no {key}; it has {sorted(vars(target))}"
        setattr(target, key, value)
    return target


def run_reference(model: bytes, inputs: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
    """Run on BUILTIN_REF, the only resolver that is an oracle; every tensor by name, constants too."""
    interpreter = reference_interpreter(model)
    details = {entry["name"]: entry["index"] for entry in interpreter.get_input_details()}
    assert set(details) == set(inputs), f"inputs are {sorted(details)}, given {sorted(inputs)}"
    for name, value in inputs.items():
        interpreter.set_tensor(details[name], value)
    interpreter.invoke()
    return reference_tensors(interpreter)


def reference_tensors(interpreter: Interpreter) -> dict[str, NDArray[Any]]:
    """Every tensor of an invoked interpreter by name; those without a buffer are left out."""
    tensors: dict[str, NDArray[Any]] = {}
    for entry in interpreter.get_tensor_details():
        try:
            tensors[entry["name"]] = interpreter.get_tensor(entry["index"])
        except ValueError:
            continue
    return tensors
