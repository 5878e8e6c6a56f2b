"""TFLite's own metadata of a model's image input, as a FlatBuffer.

Source: metadata_schema.fbs of tflite-support: ModelMetadata.subgraph_metadata[0].input_tensor_metadata[0], whose
content is ImageProperties and whose process_units hold NormalizationOptions: real input = (pixel - mean) / std.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

METADATA_NAME = "TFLITE_METADATA"
_IDENTIFIER = b"M001"
_PARSER_VERSION = "1.0.0"
"""Least version of the schema's parser that knows these fields."""
_NAME, _SUBGRAPHS, _PARSER = 0, 3, 7
"""Field numbers in ModelMetadata."""
_INPUTS = 2
"""In SubGraphMetadata."""
_CONTENT, _PROCESS_UNITS = 3, 4
"""In TensorMetadata."""
_KIND, _VALUE = 0, 1
"""In Content and ProcessUnit: the union's tag and the table."""
_MEAN, _STD = 0, 1
"""In NormalizationOptions."""
_IMAGE_PROPERTIES, _NORMALIZATION = 2, 1
"""Tags in the unions ContentProperties and ProcessUnitOptions."""
_COLOR_SPACES: Mapping[int, int] = {3: 1, 1: 2}
"""Channels -> ColorSpaceType RGB or GRAYSCALE."""


def normalization_bytes(name: str, mean: Sequence[float], std: Sequence[float], channels: int) -> bytes:
    """Return the metadata of a model with one image input, (pixel - mean) / std, of all channels or of each."""
    import flatbuffers

    made = _Tables(flatbuffers.Builder(512))
    properties = made.table({0: ("int8", _COLOR_SPACES.get(channels, 0))})
    content = made.table({_KIND: ("uint8", _IMAGE_PROPERTIES), _VALUE: ("offset", properties)})
    normalization = made.table({_MEAN: ("offset", made.floats(mean)), _STD: ("offset", made.floats(std))})
    unit = made.table({_KIND: ("uint8", _NORMALIZATION), _VALUE: ("offset", normalization)})
    tensor = made.table({_CONTENT: ("offset", content), _PROCESS_UNITS: ("offset", made.vector(unit))})
    subgraph = made.table({_INPUTS: ("offset", made.vector(tensor))})
    texts = {field: made.builder.CreateString(text) for field, text in ((_NAME, name), (_PARSER, _PARSER_VERSION))}
    fields = {field: ("offset", offset) for field, offset in texts.items()}
    root = made.table({**fields, _SUBGRAPHS: ("offset", made.vector(subgraph))})
    made.builder.Finish(root, file_identifier=_IDENTIFIER)
    return bytes(made.builder.Output())


class _Tables:
    """Tables by field number: the schema has no Python package of its own."""

    def __init__(self, builder: Any) -> None:
        self.builder = builder

    def table(self, fields: Mapping[int, tuple[str, int]]) -> int:
        adders = {
            "offset": self.builder.PrependUOffsetTRelativeSlot,
            "int8": self.builder.PrependInt8Slot,
            "uint8": self.builder.PrependUint8Slot,
        }
        self.builder.StartObject(max(fields) + 1)
        for field, (kind, value) in fields.items():
            adders[kind](field, value, 0)
        end: int = self.builder.EndObject()
        return end

    def vector(self, table: int) -> int:
        """Vector of one table."""
        self.builder.StartVector(4, 1, 4)
        self.builder.PrependUOffsetTRelative(table)
        end: int = self.builder.EndVector()
        return end

    def floats(self, values: Sequence[float]) -> int:
        made: int = self.builder.CreateNumpyVector(np.asarray(values, np.float32))
        return made
