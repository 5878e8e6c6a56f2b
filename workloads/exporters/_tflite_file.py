"""Write a .tflite FlatBuffer: tensors and operators collected, then packed with the package `tflite`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from simulator.errors import NetworkError
from simulator.graph.graph import Tensor

FILE_IDENTIFIER = b"TFL3"
SCHEMA_VERSION = 3
_DATA_ALIGNMENT_BYTES = 16
"""`force_align` of Buffer.data in TFLite's schema.fbs."""
_TYPES = {
    "int8": "INT8",
    "uint8": "UINT8",
    "int16": "INT16",
    "int32": "INT32",
    "int64": "INT64",
    "float32": "FLOAT32",
    "bool": "BOOL",
}


def tensor_type(format: object) -> str | None:
    """Name of a format among TFLite's tensor types; None where it has none."""
    return _TYPES.get(str(format))


@dataclass(frozen=True)
class FileOp:
    """One operator of the file."""

    code: str
    """Of BuiltinOperator."""
    inputs: tuple[int, ...]
    """Indices of tensors; -1 where an optional one is left out."""
    outputs: tuple[int, ...]
    options: str | None
    """Name of the options table, such as Conv2DOptions."""
    fields: dict[str, int | float]
    """Fields of it by name, such as StrideH."""


@dataclass
class FileWriter:
    """Collects the tensors and operators of one network; `packed` gives the file's bytes."""

    tensors: list[Tensor] = field(default_factory=list)
    ops: list[FileOp] = field(default_factory=list)
    _index: dict[str, int] = field(default_factory=dict)

    def tensor(self, tensor: Tensor) -> int:
        """Index of a tensor, entered on its first use; one rearranged for another operator gets a name of its own."""
        while tensor.name in self._index and not _same(tensor, self.tensors[self._index[tensor.name]]):
            tensor = replace(tensor, name=f"{tensor.name}/again")
        if tensor.name not in self._index:
            self._index[tensor.name] = len(self.tensors)
            self.tensors.append(tensor)
        return self._index[tensor.name]

    def packed(
        self, name: str, inputs: Sequence[int], outputs: Sequence[int], metadata: Mapping[str, bytes] | None = None
    ) -> bytes:
        """Return the bytes of the file, `metadata` as buffers of their own by name.

        Raises
        ------
        NetworkError
            They would exceed a FlatBuffer's 2 GiB.

        """
        import flatbuffers

        builder = flatbuffers.Builder(1 << 16)
        try:
            model = _Packer(builder, self).model(name, inputs, outputs, metadata or {})
            builder.Finish(model, file_identifier=FILE_IDENTIFIER)
        except flatbuffers.builder.BuilderSizeError:
            raise NetworkError(f"{name}: a .tflite file holds at most 2 GiB") from None
        return bytes(builder.Output())


def schema() -> ModuleType:
    """Return the package `tflite`; NetworkError with what to install where it is missing."""
    try:
        import flatbuffers  # noqa: F401
        import tflite
    except ImportError as error:
        raise NetworkError(f"writing .tflite needs the extra: pip install 'bittrue[tflite]' ({error})") from None
    module: ModuleType = tflite
    return module


def _same(a: Tensor, b: Tensor) -> bool:
    if (a.shape, a.format, a.quant) != (b.shape, b.format, b.quant):
        return False
    return a.data is b.data or (a.data is not None and b.data is not None and np.array_equal(a.data, b.data))


class _Packer:
    def __init__(self, builder: Any, writer: FileWriter) -> None:
        self.schema = schema()
        self.builder = builder
        self.writer = writer

    def model(self, name: str, inputs: Sequence[int], outputs: Sequence[int], metadata: Mapping[str, bytes]) -> int:
        # A FlatBuffer is written from the leaves up: what a table refers to stands before it.
        constants = [tensor for tensor in self.writer.tensors if tensor.data is not None]
        numbers = {tensor.name: position + 1 for position, tensor in enumerate(constants)}
        buffers = [self.table("Buffer"), *(self.buffer(tensor.data) for tensor in constants if tensor.data is not None)]
        first = len(buffers)
        buffers += [self.buffer(np.frombuffer(content, np.uint8)) for content in metadata.values()]
        entries = [
            self.table("Metadata", Name=self.builder.CreateString(key), Buffer=first + index)
            for index, key in enumerate(metadata)
        ]
        tensors = [self.tensor(tensor, numbers.get(tensor.name, 0)) for tensor in self.writer.tensors]
        codes = list(dict.fromkeys(op.code for op in self.writer.ops))
        subgraph = self.table(
            "SubGraph",
            Tensors=self.offsets(tensors),
            Inputs=self.vector(inputs, np.int32),
            Outputs=self.vector(outputs, np.int32),
            Operators=self.offsets([self.operator(op, codes.index(op.code)) for op in self.writer.ops]),
            Name=self.builder.CreateString(name),
        )
        return self.table(
            "Model",
            Version=SCHEMA_VERSION,
            OperatorCodes=self.offsets([self.opcode(code) for code in codes]),
            Subgraphs=self.offsets([subgraph]),
            Description=self.builder.CreateString("written by bittrue"),
            Buffers=self.offsets(buffers),
            Metadata=self.offsets(entries),
        )

    def table(self, kind: str, /, **fields: int | float) -> int:
        getattr(self.schema, f"{kind}Start")(self.builder)
        for key, value in fields.items():
            add: Callable[[Any, int | float], None] = getattr(self.schema, f"{kind}Add{key}")
            add(self.builder, value)
        end: int = getattr(self.schema, f"{kind}End")(self.builder)
        return end

    def vector(self, values: Any, dtype: Any) -> int:
        made: int = self.builder.CreateNumpyVector(np.asarray(values, dtype))
        return made

    def offsets(self, offsets: Sequence[int]) -> int:
        self.builder.StartVector(4, len(offsets), 4)
        for offset in reversed(offsets):
            self.builder.PrependUOffsetTRelative(offset)
        end: int = self.builder.EndVector()
        return end

    def buffer(self, data: NDArray[Any]) -> int:
        content = np.ascontiguousarray(data).tobytes()
        self.builder.StartVector(1, len(content), _DATA_ALIGNMENT_BYTES)
        self.builder.head -= len(content)
        self.builder.Bytes[self.builder.head : self.builder.head + len(content)] = content
        return self.table("Buffer", Data=self.builder.EndVector())

    def tensor(self, tensor: Tensor, buffer: int) -> int:
        fields = {
            "Shape": self.vector(tensor.shape, np.int32),
            "Type": getattr(self.schema.TensorType, tensor_type(tensor.format) or ""),
            "Buffer": buffer,
            "Name": self.builder.CreateString(tensor.name),
        }
        if tensor.quant is not None:
            scale, zero = self.vector(tensor.quant.scale, np.float32), self.vector(tensor.quant.zero_point, np.int64)
            axis = tensor.quant.axis or 0
            fields["Quantization"] = self.table(
                "QuantizationParameters", Scale=scale, ZeroPoint=zero, QuantizedDimension=axis
            )
        return self.table("Tensor", **fields)

    def opcode(self, code: str) -> int:
        number = getattr(self.schema.BuiltinOperator, code)
        # Readers of before 2021 know the old field only, an int8.
        return self.table("OperatorCode", DeprecatedBuiltinCode=min(number, 127), Version=1, BuiltinCode=number)

    def operator(self, op: FileOp, code: int) -> int:
        fields = {
            "OpcodeIndex": code,
            "Inputs": self.vector(op.inputs, np.int32),
            "Outputs": self.vector(op.outputs, np.int32),
        }
        if op.options is not None:
            fields["BuiltinOptionsType"] = getattr(self.schema.BuiltinOptions, op.options)
            fields["BuiltinOptions"] = self.table(op.options, **op.fields)
        return self.table("Operator", **fields)
