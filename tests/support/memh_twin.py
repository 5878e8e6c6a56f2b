"""Words of a memory, element by element in Python integers: what simulator/records/vectors/words.py must write."""

from __future__ import annotations

import struct


def word_lines(values, bits: int, lanes: int, word_bits: int, byte_order: str) -> list[str]:
    """Return the hexadecimal words of flat values; a float stands for its IEEE 754 single."""
    patterns = [_pattern(value, bits) for value in values]
    patterns += [0] * (-len(patterns) % lanes)
    lines = []
    for start in range(0, len(patterns), lanes):
        word = 0
        for lane, pattern in enumerate(patterns[start : start + lanes]):
            place = lane if byte_order == "little" else lanes - 1 - lane
            word |= pattern << (place * bits)
        lines.append(f"{word:0{-(-word_bits // 4)}x}")
    return lines


def _pattern(value, bits: int) -> int:
    if isinstance(value, float):
        return struct.unpack("<I", struct.pack("<f", value))[0]
    return int(value) % (1 << bits)
