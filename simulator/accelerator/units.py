"""Quantities with units as people write them: 256 KiB, 12.8 GB/s."""

from __future__ import annotations

import re
from fractions import Fraction

_BYTE_UNITS = {"B": 1, "KB": 10**3, "MB": 10**6, "GB": 10**9, "KIB": 2**10, "MIB": 2**20, "GIB": 2**30}


def _split(text: str) -> tuple[Fraction, str]:
    match = re.fullmatch(r"\s*([0-9]+(?:\.[0-9]+)?)\s*([A-Za-z/]*)\s*", text)
    if not match:
        raise ValueError(f"{text!r} is not a quantity; write a number and a unit, e.g. 256 KiB or 12.8 GB/s")
    if match[2].rpartition("/")[0].endswith("b") or match[2].endswith("b"):
        raise ValueError(f"{text!r}: b means bits; write B for bytes")
    return Fraction(match[1]), match[2].upper()


def parse_bytes(value: int | str) -> int:
    """Bytes of ``256 KiB``, ``1.5 MB``, ``4096 B`` or a plain integer; ValueError on anything else."""
    if isinstance(value, int):
        return value
    number, unit = _split(str(value))
    if unit and unit not in _BYTE_UNITS:
        raise ValueError(
            f"{value!r}: unknown unit; use B, KiB, MiB, GiB (powers of 1024) or kB, MB, GB (powers of 1000)"
        )
    size = number * _BYTE_UNITS.get(unit, 1)
    if size.denominator != 1:
        raise ValueError(f"{value!r} is not a whole number of bytes")
    return int(size)


def parse_bytes_per_second(value: float | str) -> float:
    """Bytes per second of ``12.8 GB/s``, ``800 MB/s`` or a plain number; ValueError on anything else."""
    if isinstance(value, (int, float)):
        return float(value)
    number, unit = _split(str(value))
    if unit and (not unit.endswith("/S") or unit[:-2] not in _BYTE_UNITS):
        raise ValueError(f"{value!r}: unknown unit; use GB/s, MB/s, GiB/s, MiB/s ...")
    return float(number * _BYTE_UNITS.get(unit[:-2], 1))
