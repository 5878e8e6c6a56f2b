"""Read a .tflite file into plain records, trusting nothing: every count, offset and index is checked first.

The file is a FlatBuffer whose schema is TFLite's `schema.fbs`; the PyPI package `tflite` holds the accessors. They
check bounds one read at a time, so what is left to check here is what would make a reader loop, recurse or allocate.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from math import prod
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from simulator.errors import NetworkError
from simulator.numerics.quant import QuantParams

FILE_IDENTIFIER = b"TFL3"
MAX_ELEMENTS = 1 << 31
MAX_RANK = 8
_MAX_NAME_BYTES = 4096
_MAX_COPIES = 4
"""Times the file's size that may be copied out of it."""
_DAMAGE = (struct.error, LookupError, ValueError, TypeError, AttributeError, ArithmeticError, AssertionError)


@dataclass(frozen=True)
class RawQuantization:
    """Quantization as stored; vectors may be empty."""

    scale: NDArray[np.float32]
    zero_point: NDArray[np.int64]
    axis: int
    is_custom: bool


@dataclass(frozen=True)
class RawTensor:
    """A tensor as stored."""

    index: int
    name: str
    shape: tuple[int, ...]
    type_name: str
    quantization: RawQuantization
    buffer: int
    is_variable: bool
    is_sparse: bool

    @property
    def elements(self) -> int:
        """Number of values."""
        return prod(self.shape)


@dataclass(frozen=True)
class RawNode:
    """An operator as stored; `table` is the accessor of its options."""

    index: int
    code: str
    """Builtin operator name, or CUSTOM:name."""
    inputs: tuple[int, ...]
    """Tensor indices; -1 = absent."""
    outputs: tuple[int, ...]
    table: Any


@dataclass(frozen=True)
class RawModel:
    """A whole file with one subgraph."""

    tensors: tuple[RawTensor, ...]
    nodes: tuple[RawNode, ...]
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    buffers: Any
    """Maps a buffer index to its bytes."""
    subgraphs: int
    file_bytes: int


def schema() -> ModuleType:
    """Return the `tflite` package; NetworkError naming the extra where it is not installed."""
    try:
        import tflite
    except ImportError as error:
        raise NetworkError("reading .tflite files needs the package tflite: pip install 'bittrue[tflite]'") from error
    module: ModuleType = tflite
    return module


@contextmanager
def guarded(path: Path) -> Iterator[None]:
    """Turn what a damaged file makes the accessors raise into a NetworkError naming the file."""
    try:
        yield
    except _DAMAGE as error:
        raise NetworkError(f"{path}: the file is damaged or not a TFLite model ({error})") from error
    except RecursionError as error:
        raise NetworkError(f"{path}: the file is damaged: its tables nest without end") from error


def read_model(path: Path) -> RawModel:
    """Read and check a file.

    Raises
    ------
    NetworkError
        A file that cannot be read, is no TFLite model, or whose counts, offsets or indices are out of range.

    """
    tflite = schema()
    try:
        content = path.read_bytes()
    except OSError as error:
        raise NetworkError(f"{path}: cannot be read ({error.strerror})") from error
    if len(content) < 16 or content[4:8] != FILE_IDENTIFIER:
        raise NetworkError(f"{path}: not a TFLite model (bytes 4 to 8 are {content[4:8]!r}, not {FILE_IDENTIFIER!r})")
    with guarded(path):
        return _Reader(tflite, content, path).model()


class _Reader:
    def __init__(self, tflite: ModuleType, content: bytes, path: Path) -> None:
        self.tflite = tflite
        self.content = content
        self.path = path
        self.root = tflite.Model.GetRootAs(content, 0)
        self.spent = 0
        self.type_names = _names(tflite.TensorType)
        self.operator_names = _names(tflite.BuiltinOperator)

    def model(self) -> RawModel:
        if self.root.Version() != 3:
            raise NetworkError(f"{self.path}: schema version {self.root.Version()}; version 3 is read")
        subgraphs = self.count(self.root.SubgraphsLength(), "subgraphs")
        if subgraphs == 0:
            raise NetworkError(f"{self.path}: the model has no subgraph")
        graph = self.root.Subgraphs(0)
        tensors = self.tensors(graph)
        return RawModel(
            tensors,
            self.nodes(graph, len(tensors)),
            self.indices(graph.InputsAsNumpy(), len(tensors), "a graph input"),
            self.indices(graph.OutputsAsNumpy(), len(tensors), "a graph output"),
            self.buffer_bytes,
            subgraphs,
            len(self.content),
        )

    def spend(self, size: int) -> None:
        """Count bytes copied out of the file: tables that share one long vector would multiply it without end."""
        self.spent += size
        if self.spent > _MAX_COPIES * len(self.content):
            raise NetworkError(
                f"{self.path}: the file is damaged: its tables hold more than its {len(self.content)} bytes"
            )

    def count(self, length: int, what: str) -> int:
        """Every element of a vector of tables takes at least 4 bytes, so a longer vector cannot be real."""
        if length * 4 > len(self.content):
            raise NetworkError(f"{self.path}: {length} {what} do not fit into {len(self.content)} bytes")
        return length

    def indices(self, vector: Any, limit: int, what: str, *, optional: bool = False) -> tuple[int, ...]:
        if not isinstance(vector, np.ndarray):
            return ()
        self.spend(vector.nbytes)
        values = tuple(int(i) for i in vector)
        low = -1 if optional else 0
        bad = [i for i in values if not low <= i < limit]
        if bad:
            raise NetworkError(f"{self.path}: {what} is tensor {bad[0]}, but there are {limit} tensors")
        return values

    def tensors(self, graph: Any) -> tuple[RawTensor, ...]:
        names: set[str] = set()
        result = []
        for index in range(self.count(graph.TensorsLength(), "tensors")):
            raw = graph.Tensors(index)
            name = self.unique_name(raw, index, names)
            shape = self.shape(raw, name)
            result.append(
                RawTensor(
                    index=index,
                    name=name,
                    shape=shape,
                    type_name=self.type_names.get(raw.Type(), f"type {raw.Type()}"),
                    quantization=self.quantization(raw.Quantization()),
                    buffer=self.buffer_index(raw.Buffer(), name),
                    is_variable=raw.IsVariable(),
                    is_sparse=raw.Sparsity() is not None,
                )
            )
        return tuple(result)

    def unique_name(self, raw: Any, index: int, taken: set[str]) -> str:
        stored = raw.Name() or b""
        if len(stored) > _MAX_NAME_BYTES:
            raise NetworkError(
                f"{self.path}: the name of tensor {index} has {len(stored)} bytes; at most {_MAX_NAME_BYTES} are read"
            )
        self.spend(len(stored))
        base = stored.decode("utf-8", "replace") or f"tensor_{index}"
        name = base
        if name in taken:
            name = f"{base}_{index}"
        while name in taken:
            name += "_"
        taken.add(name)
        return name

    def shape(self, raw: Any, name: str) -> tuple[int, ...]:
        rank = raw.ShapeLength()
        if rank > MAX_RANK:
            raise NetworkError(f"{self.path}: tensor {name} has {rank} dimensions; at most {MAX_RANK} are read")
        shape = tuple(int(n) for n in raw.ShapeAsNumpy()) if rank else ()
        if any(n < 0 for n in shape) or prod(shape) >= MAX_ELEMENTS:
            raise NetworkError(f"{self.path}: tensor {name} has the impossible shape {list(shape)}")
        return shape

    def quantization(self, raw: Any) -> RawQuantization:
        if raw is None:
            return RawQuantization(np.empty(0, np.float32), np.empty(0, np.int64), 0, is_custom=False)
        self.spend(4 * raw.ScaleLength() + 8 * raw.ZeroPointLength())
        scale = raw.ScaleAsNumpy() if raw.ScaleLength() else np.empty(0, np.float32)
        zero_point = raw.ZeroPointAsNumpy() if raw.ZeroPointLength() else np.empty(0, np.int64)
        return RawQuantization(
            np.asarray(scale, np.float32),
            np.asarray(zero_point, np.int64),
            raw.QuantizedDimension(),
            is_custom=raw.DetailsType() != 0,
        )

    def buffer_index(self, index: int, name: str) -> int:
        if index >= self.root.BuffersLength():
            raise NetworkError(f"{self.path}: tensor {name} is stored in buffer {index}, which does not exist")
        return index

    def buffer_bytes(self, index: int) -> memoryview:
        """Bytes of a buffer; files over 2 GB keep them after the FlatBuffer, at an absolute offset."""
        buffer = self.root.Buffers(index)
        if buffer.DataLength():
            return memoryview(buffer.DataAsNumpy())
        offset, size = buffer.Offset(), buffer.Size()
        if offset <= 1:
            return memoryview(b"")
        if offset + size > len(self.content):
            raise NetworkError(f"{self.path}: buffer {index} lies outside the file")
        return memoryview(self.content)[offset : offset + size]

    def nodes(self, graph: Any, tensors: int) -> tuple[RawNode, ...]:
        result = []
        written: set[int] = set()
        for index in range(self.count(graph.OperatorsLength(), "operators")):
            raw = graph.Operators(index)
            what = f"a tensor of operator {index}"
            inputs = self.indices(raw.InputsAsNumpy(), tensors, what, optional=True)
            outputs = self.indices(raw.OutputsAsNumpy(), tensors, what)
            if not outputs or written.intersection(outputs):
                reason = "writes a tensor that another one writes too" if outputs else "has no output"
                raise NetworkError(f"{self.path}: operator {index} {reason}")
            written.update(outputs)
            result.append(RawNode(index, self.operator_code(raw.OpcodeIndex()), inputs, outputs, raw))
        return tuple(result)

    def operator_code(self, index: int) -> str:
        if index >= self.root.OperatorCodesLength():
            raise NetworkError(f"{self.path}: operator code {index} does not exist")
        raw = self.root.OperatorCodes(index)
        # Codes up to 126 stand in the old one-byte field, later ones in the new field; the other one is smaller.
        code = max(raw.BuiltinCode(), raw.DeprecatedBuiltinCode())
        name = self.operator_names.get(code, f"operator code {code}")
        if name != "CUSTOM":
            return name
        return f"CUSTOM:{(raw.CustomCode() or b'')[:80].decode('utf-8', 'replace')}"


def _names(enum: type) -> dict[int, str]:
    return {value: name for name, value in vars(enum).items() if isinstance(value, int) and not name.startswith("_")}


def quant_params(raw: RawTensor, low: int, high: int) -> QuantParams | None:
    """Quantization of an integer tensor whose values lie in [low, high]; ValueError naming the tensor on nonsense."""
    scale, zero_point = raw.quantization.scale, raw.quantization.zero_point
    if scale.size == 0 or (scale.size == 1 and scale[0] == 0 and raw.type_name in ("INT32", "INT64")):
        return None
    if zero_point.size == 0:
        zero_point = np.zeros(1, np.int64)
    if zero_point.size not in (1, scale.size):
        raise ValueError(f"tensor {raw.name} has {scale.size} scales but {zero_point.size} zero points")
    if ((zero_point < low) | (zero_point > high)).any():
        raise ValueError(f"tensor {raw.name} ({raw.type_name}) has a zero point outside [{low}, {high}]")
    if not (np.isfinite(scale) & (scale > 0)).all():
        raise ValueError(f"tensor {raw.name} has a scale that is not positive and finite")
    if scale.size == 1:
        return QuantParams.per_tensor(float(scale[0]), int(zero_point[0]))
    axis = raw.quantization.axis
    if not 0 <= axis < len(raw.shape) or raw.shape[axis] != scale.size:
        raise ValueError(f"tensor {raw.name} of shape {list(raw.shape)} has {scale.size} scales along axis {axis}")
    points = np.broadcast_to(zero_point, scale.shape)
    return QuantParams(tuple(map(float, scale)), tuple(map(int, points)), axis)
