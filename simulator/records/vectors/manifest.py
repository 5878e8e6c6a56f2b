"""manifest.json of a folder of vectors: every tensor with its shape, dtype, layout and file."""

from __future__ import annotations

from pathlib import Path, PurePosixPath
from typing import Annotated, Any, Literal, Self

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from simulator.errors import InputError
from simulator.records.vectors.words import WIDEST_WORD_BITS, ByteOrder, WordLayout

MANIFEST = "manifest.json"
Kind = Literal["npz", "raw", "memh"]
Role = Literal["stimulus", "constant", "expected"]
Dtype = Literal["bool", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64", "float32"]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)


class TensorFile(_Part):
    """One tensor and the file it lies in."""

    name: str
    """The network's own name of the tensor."""
    role: Role
    """stimulus: goes in; constant: weights, biases, scales of a layer; expected: must come out."""
    shape: tuple[Annotated[int, Field(ge=0)], ...]
    """Elements along each axis, the last fastest."""
    dtype: Dtype
    """NumPy's name."""
    bits: int = Field(default=0, ge=0, le=64)
    """Width of a value; 0 = that of dtype."""
    format: Kind
    """Of the file."""
    file: str
    """Its name, beside the manifest."""
    byte_order: ByteOrder = "little"
    """raw: of an element's bytes. memh: little = a word's first element in its least significant bits."""
    lanes: int = Field(default=1, ge=1)
    """memh: elements of a word."""
    word_bits: int = Field(default=0, ge=0, le=WIDEST_WORD_BITS)
    """memh: width of a word; 0 = lanes * bits."""
    scale: float | None = None
    """real = scale * (value - zero_point); None where that is not one number."""
    zero_point: int | None = None
    """See scale."""

    @model_validator(mode="after")
    def _can_be_read(self) -> Self:
        path = PurePosixPath(self.file)
        if path.is_absolute() or ".." in path.parts or "\\" in self.file or not self.file:
            raise ValueError(f"file {self.file!r} must lie in the manifest's own folder")
        if self.bits > np.dtype(self.dtype).itemsize * 8:
            raise ValueError(f"{self.bits} bits do not fit {self.dtype}")
        if self.format != "memh" and (self.lanes != 1 or self.word_bits):
            raise ValueError(f"lanes and word_bits belong to memh, not to {self.format}")
        if self.format == "memh":
            try:
                self.layout()
            except InputError as error:
                raise ValueError(str(error)) from None
        return self

    def layout(self) -> WordLayout:
        """Return how the elements lie in the words of a memh file."""
        bits = self.bits or np.dtype(self.dtype).itemsize * 8
        return WordLayout(bits, self.lanes, self.word_bits, self.byte_order)


class Manifest(_Part):
    """What a folder of vectors holds."""

    schema_version: Literal[1] = 1
    """Of the manifest."""
    tool_version: str = ""
    """Version of bittrue that computed the values."""
    network: str = ""
    """Its name."""
    network_hash: str = ""
    """SHA-256, as run.json has it."""
    accelerator: str = ""
    """Its name."""
    spec_hash: str = ""
    """SHA-256, as run.json has it."""
    layer: str | None = None
    """Name of the layer; None for the whole network."""
    layer_constants: dict[str, Any] = Field(default_factory=dict)
    """Geometry, zero points, requantizer, registers of the layer, as single numbers and words."""
    tensors: tuple[TensorFile, ...] = Field(min_length=1)
    """What the folder holds, a group each."""


def read_manifest(path: Path) -> Manifest:
    """Read a manifest; InputError where it is missing, damaged, or says what cannot be."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"manifest {path}: cannot be read ({getattr(error, 'strerror', None) or error})") from None
    try:
        return Manifest.model_validate_json(text)
    except ValidationError as error:
        lines = [f"{'.'.join(map(str, detail['loc']))}: {detail['msg']}".lstrip(": ") for detail in error.errors()]
        raise InputError("\n".join(f"manifest {path}: {line}" for line in lines)) from None
