"""Saved networks; and, known by their arrays, those of MAX78000 and checkpoints of training."""

from __future__ import annotations

import json
import types
import zipfile
from dataclasses import MISSING, fields
from enum import Enum
from math import prod
from pathlib import Path
from typing import Any, Union, get_args, get_origin, get_type_hints

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from simulator.errors import BittrueError, NetworkError
from simulator.graph import ops, training_ops
from simulator.graph.graph import Graph, Node, Tensor
from simulator.graph.ops import Op
from simulator.graph.shapes import infer_shapes
from simulator.numerics.formats import IntFormat, parse_format
from simulator.numerics.quant import QuantParams
from simulator.records.run import Segmentation
from workloads.exporters.npz import FORMAT, HEADER, VERSION
from workloads.importers import max78000
from workloads.network import ImageInput, Network
from workloads.training.checkpoint import is_checkpoint
from workloads.training.trained import trained_network

_OPS: dict[str, type[Op]] = {
    name: kind
    for name, kind in (*vars(ops).items(), *vars(training_ops).items())
    if isinstance(kind, type) and issubclass(kind, Op) and kind not in (Op, training_ops.TrainingOp)
}
_LONGEST_HEADER_BYTES = 64 << 20
_LARGEST_TENSORS_BYTES = 8 << 20
"""Of a MAX78000 network, whose weights fit 432 KiB."""


class NpzImporter:
    """Reads a saved .npz network."""

    suffixes: tuple[str, ...] = (".npz",)

    def load(self, path: Path) -> Network:
        """Read the network in `path`.

        Raises
        ------
        NetworkError
            Not such a file, another version, damaged, or inconsistent.

        """
        if is_checkpoint(path):
            return trained_network(path)
        try:
            with zipfile.ZipFile(path) as archive:
                if max78000.recognises(name.removesuffix(".npy") for name in archive.namelist()):
                    return Network(max78000.build_unet(path.stem, _plain_arrays(archive)))
                header = _header(archive)
                return _network(archive, header)
        except BittrueError as error:
            raise NetworkError(f"{path}: {error}") from None
        except OSError as error:
            raise NetworkError(f"{path}: cannot be read ({error})") from None
        except (zipfile.BadZipFile, NotImplementedError, EOFError, RecursionError) as error:
            raise NetworkError(f"{path}: not a saved network, or damaged ({error})") from None
        except (KeyError, TypeError, ValueError, IndexError, AttributeError, OverflowError) as error:
            raise NetworkError(f"{path}: the saved network is damaged ({type(error).__name__}: {error})") from None


def _plain_arrays(archive: zipfile.ZipFile) -> dict[str, NDArray[Any]]:
    """Read every array of a file that is not ours, compressed or not, within a bound on its size."""
    size = sum(member.file_size for member in archive.infolist())
    if size > _LARGEST_TENSORS_BYTES:
        raise NetworkError(f"{size} bytes of arrays where {_LARGEST_TENSORS_BYTES} are the most such a network has")
    arrays = {}
    for member in archive.infolist():
        with archive.open(member) as file:
            arrays[member.filename.removesuffix(".npy")] = npy.read_array(file, allow_pickle=False)
    return arrays


def _header(archive: zipfile.ZipFile) -> dict[str, Any]:
    if f"{HEADER}.npy" not in archive.namelist():
        raise NetworkError("no saved network (it has no header); arrays go in as inputs, not as a network")
    text = _array(archive, HEADER, None, np.dtype(np.uint8))
    header = json.loads(text.tobytes())
    if header["format"] != FORMAT or header["version"] != VERSION:
        raise NetworkError(
            f"{header['format']!r} version {header['version']!r}; this reads {FORMAT!r} version {VERSION}"
        )
    return dict(header)


def _array(archive: zipfile.ZipFile, name: str, shape: tuple[int, ...] | None, dtype: np.dtype[Any]) -> NDArray[Any]:
    """Read one member, allocating no more than the file itself holds."""
    member = archive.getinfo(f"{name}.npy")
    if member.compress_type != zipfile.ZIP_STORED:
        raise NetworkError(f"array {name} is compressed; saved networks are not")
    with archive.open(member) as file:
        version = npy.read_magic(file)
        read = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
        stored_shape, fortran, stored_dtype = read(file)
        if stored_dtype != dtype or fortran or (shape is not None and stored_shape != shape):
            raise NetworkError(f"array {name} is {stored_dtype} {stored_shape}, the header says {dtype} {shape}")
        wanted = prod(stored_shape) * dtype.itemsize
        longest = _LONGEST_HEADER_BYTES if shape is None else member.file_size
        if wanted > min(longest, member.file_size):
            raise NetworkError(f"array {name} is cut short: {member.file_size} bytes hold no {stored_shape}")
        data = file.read(wanted)
    if len(data) != wanted:
        raise NetworkError(f"array {name} is cut short: {len(data)} of {wanted} bytes")
    return np.frombuffer(data, dtype).reshape(stored_shape).copy()


def _network(archive: zipfile.ZipFile, header: dict[str, Any]) -> Network:
    tensors = [_tensor(archive, entry) for entry in header["tensors"]]
    nodes = tuple(_node(entry) for entry in header["nodes"])
    by_name = {tensor.name: tensor for tensor in tensors}
    outputs, notes = _texts(header["outputs"]), _texts(header["notes"])
    state = tuple((_text(source), _text(target)) for source, target in header.get("state", ()))
    graph = Graph(_text(header["name"]), by_name, nodes, _texts(header["inputs"]), outputs, notes, state)
    for node in nodes:
        _check_shapes(graph, node)
    extra = header["network"]
    counts = extra["counts"]
    return Network(
        graph,
        image=None if extra["image"] is None else ImageInput(**{k: _floats(v) for k, v in extra["image"].items()}),
        segmentation=None if extra["segmentation"] is None else _segmentation(graph, extra["segmentation"]),
        notes=_texts(extra["notes"]),
        seeded=bool(extra["seeded"]),
        images=int(extra.get("images", 1)),
        counts=None if counts is None else (int(counts[0]), int(counts[1])),
    )


def _tensor(archive: zipfile.ZipFile, entry: dict[str, Any]) -> Tensor:
    name = _text(entry["name"])
    shape = _decode(tuple[int, ...], entry["shape"], name)
    if any(size < 1 for size in shape):
        raise NetworkError(f"tensor {name}: sizes are at least 1, not {shape}")
    format = parse_format(_text(entry["format"]))
    quant = entry["quant"]
    params = None
    if quant is not None:
        axis = None if quant["axis"] is None else int(quant["axis"])
        scales = tuple(float(scale) for scale in quant["scale"])
        params = QuantParams(scales, _decode(tuple[int, ...], quant["zero_point"], name), axis)
        if axis is not None and not (0 <= axis < len(shape) and len(scales) == shape[axis]):
            raise NetworkError(f"tensor {name}: {len(scales)} scales on axis {axis} of {shape}")
    data = None if entry["array"] is None else _array(archive, _text(entry["array"]), shape, np.dtype(format.dtype))
    if data is not None and isinstance(format, IntFormat) and not _fits(data, format):
        raise NetworkError(f"tensor {name}: values do not fit {format}")
    return Tensor(name, shape, format, params, data, placeholder=bool(entry["placeholder"]))


def _fits(data: NDArray[Any], format: IntFormat) -> bool:
    return bool(data.min() >= format.min and data.max() <= format.max)


def _node(entry: dict[str, Any]) -> Node:
    name = _text(entry["name"])
    kind = _OPS.get(_text(entry["op"]))
    if kind is None:
        raise NetworkError(f"node {name}: unknown operator {entry['op']!r}")
    hints = get_type_hints(kind)
    known = {field.name: field for field in fields(kind)}
    given = entry["attributes"]
    unknown = sorted(set(given) - set(known))
    missing = [n for n, f in known.items() if n not in given and f.default is MISSING]
    if unknown or missing:
        raise NetworkError(f"node {name} ({kind.__name__}): unknown attributes {unknown}, missing {missing}")
    attributes = {key: _decode(hints[key], value, f"node {name}: {key}") for key, value in given.items()}
    return Node(name, kind(**attributes), _texts(entry["inputs"]), _texts(entry["outputs"]))


def _decode(hint: Any, value: Any, place: str) -> Any:
    """Turn a JSON value into what a type annotation of `graph.ops` asks for."""
    origin, arguments = get_origin(hint), get_args(hint)
    if origin in (Union, types.UnionType):
        if value is None and type(None) in arguments:
            return None
        return _decode(next(a for a in arguments if a is not type(None)), value, place)
    if origin is tuple and isinstance(value, list):
        if len(arguments) == 2 and arguments[1] is Ellipsis:
            return tuple(_decode(arguments[0], item, place) for item in value)
        if len(arguments) == len(value):
            return tuple(_decode(kind, item, place) for kind, item in zip(arguments, value, strict=True))
    elif hint is ops.Padding and isinstance(value, dict):
        return ops.Padding(**{key: _decode(int, item, place) for key, item in value.items()})
    elif isinstance(hint, type) and issubclass(hint, Enum):
        return hint(value)
    elif hint is float and type(value) in (int, float):
        return float(value)
    elif isinstance(hint, type) and type(value) is hint:
        return value
    raise NetworkError(f"{place}: {value!r} is not of type {hint}")


def _check_shapes(graph: Graph, node: Node) -> None:
    shapes = [None if tensor is None else tensor.shape for tensor in graph.tensors_of(node.inputs)]
    declared = tuple(graph.tensors[name].shape for name in node.outputs)
    inferred = infer_shapes(node.op, shapes)
    if inferred != declared:
        raise NetworkError(f"node {node.name} ({node.op.kind}) gives {inferred}, the file declares {declared}")


def _segmentation(graph: Graph, entry: dict[str, Any]) -> Segmentation:
    output = _text(entry["output"])
    if output not in graph.outputs:
        raise NetworkError(f"segmentation output {output!r} is no output of the network")
    palette = _decode(tuple[tuple[int, int, int], ...], entry["palette"], "palette")
    return Segmentation(output, _texts(entry["class_names"]), palette)


def _floats(values: Any) -> tuple[float, ...] | None:
    return None if values is None else tuple(float(value) for value in values)


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise NetworkError(f"{value!r} should be a text")
    return value


def _texts(values: Any) -> tuple[str, ...]:
    return tuple(_text(value) for value in values)
