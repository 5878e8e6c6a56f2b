"""An .onnx file as plain data: nodes, constants, inputs and outputs. The package `onnx` is needed here only."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from simulator.errors import BittrueError, NetworkError
from simulator.numerics.formats import BOOL, FLOAT32, Format, IntFormat

OPSETS = range(7, 29)
"""Versions of ONNX's own operator set that are read."""

_FORMATS: dict[str, Format] = {
    "FLOAT": FLOAT32,
    "BOOL": BOOL,
    **{f"INT{bits}": IntFormat(bits) for bits in (4, 8, 16, 32, 64)},
    **{f"UINT{bits}": IntFormat(bits, signed=False) for bits in (4, 8, 16, 32)},
}


@dataclass(frozen=True)
class RawNode:
    """One operator of the file."""

    name: str
    """Its name, or that of its first output."""
    domain: str
    """'' for ONNX's own operators."""
    op: str
    inputs: tuple[str, ...]
    """'' where an optional input is left out."""
    outputs: tuple[str, ...]
    attributes: Mapping[str, Any] = field(default_factory=dict)
    """Numbers, texts, tuples of them, and arrays."""


@dataclass(frozen=True)
class RawValue:
    """An input or output of the network."""

    name: str
    type_name: str
    """Such as FLOAT."""
    shape: tuple[int | str, ...] | None
    """A text where the file leaves a size open; None where it does not even state the rank."""


@dataclass(frozen=True)
class RawModel:
    """What a file holds."""

    nodes: tuple[RawNode, ...]
    constants: dict[str, NDArray[Any]]
    inputs: tuple[RawValue, ...]
    outputs: tuple[RawValue, ...]
    opset: int
    formats: dict[str, Format] = field(default_factory=dict)
    """Of constants whose format is narrower than their dtype."""
    metadata: Mapping[str, str] = field(default_factory=dict)
    """Free texts of the file."""


def load_onnx() -> Any:
    """Import the package `onnx`; NetworkError naming the extra where it is absent."""
    try:
        import onnx
    except ImportError:
        raise NetworkError("reading .onnx files needs the package onnx: pip install 'bittrue[onnx]'") from None
    return onnx


@contextmanager
def guarded(path: Path) -> Iterator[None]:
    """Turn what a damaged file provokes into a NetworkError that names the file."""
    try:
        yield
    except BittrueError:
        raise
    except RecursionError:
        raise NetworkError(f"{path}: nested too deeply to be read") from None
    except (ValueError, KeyError, TypeError, IndexError, AttributeError, OverflowError) as error:
        raise NetworkError(f"{path}: damaged or contradicts itself ({type(error).__name__}: {error})") from error


def read_model(path: Path) -> RawModel:
    """Read a file.

    Raises
    ------
    NetworkError
        A file that cannot be read or is no ONNX model, an operator set that is not known, or no `onnx` package.

    """
    onnx = load_onnx()
    try:
        model = onnx.load(path)
    except OSError as error:
        raise NetworkError(f"{path}: cannot be read ({error})") from None
    except Exception as error:  # protobuf's and onnx's own, of no common base
        raise NetworkError(f"{path}: not an ONNX model, or damaged ({error})") from None
    with guarded(path):
        return raw_model(model, str(path))


def raw_model(model: Any, place: str) -> RawModel:
    """Turn a ModelProto into plain data; `place` names it in messages."""
    onnx = load_onnx()
    opset = next((entry.version for entry in model.opset_import if entry.domain in ("", "ai.onnx")), None)
    if opset is None and any(node.domain in ("", "ai.onnx") for node in model.graph.node):
        raise NetworkError(f"{place}: not an ONNX model: it names no operator set of ONNX")
    if opset is not None and opset not in OPSETS:
        raise NetworkError(
            f"{place}: operator set {opset} of ONNX; read are {OPSETS[0]} to {OPSETS[-1]} "
            f"(onnx.version_converter rewrites a model for another)"
        )
    if not model.graph.output:
        raise NetworkError(f"{place}: not an ONNX model, or damaged (no output)")
    if model.functions:
        from onnx.inliner import inline_local_functions

        model = inline_local_functions(model)
    graph = model.graph
    formats: dict[str, Format] = {}
    constants = {tensor.name: _array(tensor, formats) for tensor in graph.initializer}
    if graph.sparse_initializer:
        raise NetworkError(f"{place}: constant {graph.sparse_initializer[0].values.name} is stored sparse")
    inputs = tuple(_value(onnx, value) for value in graph.input if value.name not in constants)
    outputs = tuple(_value(onnx, value) for value in graph.output)
    nodes = tuple(_node(onnx, node) for node in graph.node)
    metadata = {entry.key: entry.value for entry in model.metadata_props}
    return RawModel(nodes, constants, inputs, outputs, opset or OPSETS[-1], formats, metadata)


def format_of(type_name: str) -> Format | None:
    """Return the format of an ONNX tensor type, or None where there is none such."""
    return _FORMATS.get(type_name)


def format_names() -> str:
    """Return the ONNX tensor types that are read."""
    return ", ".join(_FORMATS)


def _array(tensor: Any, formats: dict[str, Format]) -> NDArray[Any]:
    from onnx import TensorProto, numpy_helper

    values = np.asarray(numpy_helper.to_array(tensor))
    kind = TensorProto.DataType.Name(tensor.data_type)
    if kind in ("INT4", "UINT4"):
        formats[tensor.name] = _FORMATS[kind]
        return values.astype(np.int8 if kind == "INT4" else np.uint8)
    return values


def _value(onnx: Any, value: Any) -> RawValue:
    kind = value.type.tensor_type
    if not value.type.HasField("tensor_type"):
        return RawValue(value.name, value.type.WhichOneof("value") or "nothing", None)
    shape = None
    if kind.HasField("shape"):
        shape = tuple(int(d.dim_value) if d.HasField("dim_value") else d.dim_param or "?" for d in kind.shape.dim)
    return RawValue(value.name, onnx.TensorProto.DataType.Name(kind.elem_type), shape)


def _node(onnx: Any, node: Any) -> RawNode:
    outputs = tuple(node.output)
    domain = "" if node.domain == "ai.onnx" else node.domain
    attributes = {attribute.name: _attribute(onnx, attribute) for attribute in node.attribute}
    return RawNode(node.name or outputs[0], domain, node.op_type, tuple(node.input), outputs, attributes)


def _attribute(onnx: Any, attribute: Any) -> Any:
    value = onnx.helper.get_attribute_value(attribute)
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    if isinstance(value, onnx.TensorProto):
        return _array(value, {})
    if isinstance(value, onnx.GraphProto):
        return None
    if isinstance(value, list):
        return tuple(item.decode("utf-8", "replace") if isinstance(item, bytes) else item for item in value)
    return value
