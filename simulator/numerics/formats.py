"""Number formats of tensors and registers."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache

import numpy as np


@cache
def _container(bits: int, signed: bool) -> np.dtype[np.signedinteger | np.unsignedinteger]:
    width = next(width for width in (8, 16, 32, 64) if bits <= width)
    return np.dtype(f"{'i' if signed else 'u'}{width // 8}")


@dataclass(frozen=True, slots=True)
class IntFormat:
    """Two's complement (signed) or plain binary (unsigned) integer of `bits` bits, 1 to 64."""

    bits: int
    signed: bool = True

    def __post_init__(self) -> None:
        if not 1 <= self.bits <= 64:
            raise ValueError(f"an integer format has 1 to 64 bits, not {self.bits}")

    @property
    def min(self) -> int:
        """Least representable value."""
        return -(1 << (self.bits - 1)) if self.signed else 0

    @property
    def max(self) -> int:
        """Greatest representable value."""
        return (1 << (self.bits - 1)) - 1 if self.signed else (1 << self.bits) - 1

    @property
    def dtype(self) -> np.dtype[np.signedinteger | np.unsignedinteger]:
        """Smallest NumPy integer dtype that holds every value."""
        return _container(self.bits, self.signed)

    @classmethod
    def parse(cls, text: str) -> IntFormat:
        """Read a name such as ``int8`` or ``uint4``; ValueError on anything else."""
        match = re.fullmatch(r"(u?)int([1-9][0-9]?)", text.strip())
        if not match:
            raise ValueError(f"{text!r} is not an integer format; write int8, uint8, int16, int4 ...")
        return cls(int(match[2]), signed=not match[1])

    def __str__(self) -> str:
        return f"{'' if self.signed else 'u'}int{self.bits}"


@dataclass(frozen=True, slots=True)
class Float32:
    """IEEE 754 binary32: float networks before quantization, and a file's own host post-processing."""

    bits: int = 32

    @property
    def dtype(self) -> np.dtype[np.float32]:
        """NumPy dtype of the values."""
        return np.dtype(np.float32)

    def __str__(self) -> str:
        return "float32"


@dataclass(frozen=True, slots=True)
class Bool:
    """Truth values, one byte each: comparisons in a file's host post-processing."""

    bits: int = 8

    @property
    def dtype(self) -> np.dtype[np.bool_]:
        """NumPy dtype of the values."""
        return np.dtype(np.bool_)

    def __str__(self) -> str:
        return "bool"


Format = IntFormat | Float32 | Bool

INT8 = IntFormat(8)
UINT8 = IntFormat(8, signed=False)
INT16 = IntFormat(16)
INT32 = IntFormat(32)
INT64 = IntFormat(64)
FLOAT32 = Float32()
BOOL = Bool()


def parse_format(text: str) -> Format:
    """Read ``int8``, ``uint8``, ``float32`` or ``bool``; ValueError on anything else."""
    if text in ("float32", "bool"):
        return FLOAT32 if text == "float32" else BOOL
    return IntFormat.parse(text)


def storage_bytes(format: Format, elements: int) -> int:
    """Bytes that `elements` values take in memory, packed to whole bytes at the end of the tensor."""
    return -(-format.bits * elements // 8)
