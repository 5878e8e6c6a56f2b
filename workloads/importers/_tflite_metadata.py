"""How a pixel becomes a float input, as far as a .tflite file's own metadata tell.

Source: metadata_schema.fbs of tflite-support, ModelMetadata.subgraph_metadata[0].input_tensor_metadata[0].
process_units, of which NormalizationOptions hold mean and std; real input = (pixel - mean) / std.
"""

from __future__ import annotations

import math
import struct
from pathlib import Path
from typing import Any

from simulator.graph.graph import Graph
from workloads import description
from workloads.importers._tflite_reader import schema
from workloads.network import ImageInput

_NAME, _IDENTIFIER = b"TFLITE_METADATA", b"M001"
_SUBGRAPHS, _INPUTS, _PROCESS_UNITS, _OPTIONS_TYPE, _OPTIONS, _MEAN, _STD = 3, 2, 4, 0, 1, 0, 1
"""Field numbers of the schema's tables."""
_NORMALIZATION = 1
"""Of the union ProcessUnitOptions."""


def stated_normalization(path: Path, channels: int) -> ImageInput | None:
    """Return what the file's metadata say of the only input; None where they say nothing that can be used."""
    try:
        content = _metadata(path.read_bytes(), _NAME)
        if content is not None and content[4:8] != _IDENTIFIER:
            return None
        return None if content is None else _normalization(content, channels)
    except (struct.error, LookupError, ValueError, TypeError, AttributeError, OverflowError):
        return None  # damaged metadata: the network itself is whole, and an image is refused as it is without them


def own_entry(path: Path, graph: Graph) -> description.Description | None:
    """Return what a file written by this tool says of image and classes; None in another file."""
    try:
        content = _metadata(path.read_bytes(), description.KEY.encode())
        text = None if content is None else content.decode()
    except (struct.error, LookupError, ValueError, TypeError, AttributeError, OverflowError):
        return None  # as above
    return None if text is None else description.read(text, graph)


def _metadata(file: bytes, name: bytes) -> bytes | None:
    model = schema().Model.GetRootAs(file, 0)
    for index in range(min(model.MetadataLength(), 64)):
        entry = model.Metadata(index)
        if entry.Name() == name:
            return bytes(model.Buffers(entry.Buffer()).DataAsNumpy().tobytes())
    return None


def _normalization(content: bytes, channels: int) -> ImageInput | None:
    from flatbuffers.table import Table

    root = Table(content, struct.unpack_from("<I", content)[0])
    units = _tables(_tables(_tables(root, _SUBGRAPHS)[0], _INPUTS)[0], _PROCESS_UNITS)
    for unit in units:
        kind = unit.Offset(4 + 2 * _OPTIONS_TYPE)
        options = unit.Offset(4 + 2 * _OPTIONS)
        if kind and options and content[unit.Pos + kind] == _NORMALIZATION:
            table = Table(content, unit.Indirect(unit.Pos + options))
            mean, std = _floats(table, _MEAN, channels), _floats(table, _STD, channels)
            return ImageInput(mean, std) if mean and std and all(value > 0 for value in std) else None
    return None


def _tables(table: Any, field: int) -> list[Any]:
    """Return the tables of a vector field; none where it is absent."""
    from flatbuffers.table import Table

    offset = table.Offset(4 + 2 * field)
    if not offset:
        return []
    start, length = table.Vector(offset), min(table.VectorLen(offset), 64)
    return [Table(table.Bytes, table.Indirect(start + 4 * index)) for index in range(length)]


def _floats(table: Any, field: int, channels: int) -> tuple[float, ...] | None:
    """Return one value per channel, of as many or of one; None where there are others."""
    offset = table.Offset(4 + 2 * field)
    if not offset or table.VectorLen(offset) not in (1, channels):
        return None
    values = struct.unpack_from(f"<{table.VectorLen(offset)}f", table.Bytes, table.Vector(offset))
    if not all(math.isfinite(value) for value in values):
        return None
    return tuple(values) * (channels // len(values))
