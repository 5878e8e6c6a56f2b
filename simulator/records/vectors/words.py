"""Elements of a tensor packed into words of a memory, as Verilog's $readmemh and $writememh spell them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal, NoReturn

import numpy as np
from numpy.typing import NDArray

from simulator.errors import InputError
from simulator.numerics.formats import IntFormat

ByteOrder = Literal["little", "big"]
WIDEST_WORD_BITS = 65536
_CHUNK_ELEMENTS = 1 << 16
"""Elements that are spread into single bits at a time: 64 bytes each."""
_TOKENS = re.compile(r"//[^\n]*|/\*.*?\*/|(?P<token>[^\s/]+|/)", re.DOTALL)


@dataclass(frozen=True)
class WordLayout:
    """How elements lie in a word. The tensor is flat, its last axis fastest; the last word is filled up with zeros."""

    bits: int
    """Of an element, 1 to 64, two's complement where it is signed."""
    lanes: int = 1
    """Elements of a word."""
    word_bits: int = 0
    """Width of a word, at least lanes * bits; 0 = just that. Bits above the lanes are 0."""
    byte_order: ByteOrder = "little"
    """little: a word's first element in its least significant bits; big: in the most significant of its lanes."""

    def __post_init__(self) -> None:
        if not self.word_bits:
            object.__setattr__(self, "word_bits", self.lanes * self.bits)
        if not 1 <= self.bits <= 64 or self.lanes < 1:
            raise InputError(f"{self.lanes} lanes of {self.bits} bits: give at least 1 lane, of 1 to 64 bits")
        if not self.lanes * self.bits <= self.word_bits <= WIDEST_WORD_BITS:
            raise InputError(
                f"{self.lanes} lanes of {self.bits} bits take {self.lanes * self.bits} bits, but the word has "
                f"{self.word_bits}; a word has at most {WIDEST_WORD_BITS} bits"
            )

    @property
    def digits(self) -> int:
        """Hexadecimal digits of a word."""
        return -(-self.word_bits // 4)

    def words(self, elements: int) -> int:
        """Words that `elements` take."""
        return -(-elements // self.lanes)


def encode_words(values: NDArray[Any], layout: WordLayout, name: str) -> Iterator[str]:
    """Yield the words of a tensor as hexadecimal digits.

    Parameters
    ----------
    values
        Integers, truth values or float32 (as their IEEE 754 bits), any shape.
    layout
        How they lie in a word.
    name
        Of the tensor, for messages.

    Raises
    ------
    InputError
        A value that does not fit `layout.bits`.

    """
    raw = _pattern(values, layout.bits, name)
    raw = np.pad(raw, (0, -len(raw) % layout.lanes))
    step = max(1, _CHUNK_ELEMENTS // layout.lanes)
    width = -(-layout.word_bits // 8) * 8
    for start in range(0, len(raw), step * layout.lanes):
        chunk = raw[start : start + step * layout.lanes]
        bits = np.unpackbits(chunk.astype(">u8").view(np.uint8).reshape(-1, 8), axis=1)[:, 64 - layout.bits :]
        lanes = bits.reshape(-1, layout.lanes, layout.bits)
        lanes = lanes[:, ::-1] if layout.byte_order == "little" else lanes
        packed = np.zeros((len(lanes), width), np.uint8)
        packed[:, width - layout.lanes * layout.bits :] = lanes.reshape(len(lanes), -1)
        for word in np.packbits(packed, axis=1):
            yield word.tobytes().hex()[-layout.digits :]


def _pattern(values: NDArray[Any], bits: int, name: str) -> NDArray[np.uint64]:
    """Return the flat elements' bits, in two's complement of 64 bits."""
    flat = np.ascontiguousarray(values).reshape(-1)
    if flat.dtype == np.float32:
        if bits != 32:
            raise InputError(f"{name}: float32 takes 32 bits, not {bits}")
        return flat.view(np.uint32).astype(np.uint64)
    if flat.dtype.kind not in "iub":
        raise InputError(f"{name}: {flat.dtype} has no words; integers, truth values and float32 have")
    allowed = IntFormat(bits, signed=flat.dtype.kind == "i")
    if flat.size and not allowed.min <= int(flat.min()) <= int(flat.max()) <= allowed.max:
        place = next(i for i, value in enumerate(flat.tolist()) if not allowed.min <= value <= allowed.max)
        index = ", ".join(str(i) for i in np.unravel_index(place, values.shape))
        raise InputError(f"{name}[{index}] = {flat[place]} does not fit {allowed}")
    return flat.astype(np.int64).view(np.uint64) if flat.dtype.kind == "i" else flat.astype(np.uint64)


def decode_words(text: str, layout: WordLayout, dtype: np.dtype[Any], elements: int, file: str) -> NDArray[Any]:
    """Return the elements [elements] of a $readmemh text.

    Words are separated by white space; comments, `_` between digits, and addresses (`@1f`) that continue one another
    are understood. What lies in the last word behind the last element is not looked at.

    Raises
    ------
    InputError
        Too few or too many words, a word wider than `layout.word_bits` or with bits above the lanes, digits that are
        not hexadecimal (`x` and `z` among them), addresses that leave a gap.

    """
    words = _tokens(text, file)
    wanted = layout.words(elements)
    if len(words) != wanted:
        advice = (
            "the file is cut short" if len(words) < wanted else "dump just those: $writememh(file, memory, 0, last)"
        )
        raise InputError(
            f"{file}: {len(words)} words where {elements} elements in {layout.lanes} lanes take {wanted}: {advice}"
        )
    width = -(-layout.word_bits // 8) * 8
    used = layout.lanes * layout.bits
    found = np.empty(wanted * layout.lanes, dtype)
    step = max(1, _CHUNK_ELEMENTS // layout.lanes)
    for start in range(0, wanted, step):
        chunk = words[start : start + step]
        raw = np.frombuffer(_bytes(chunk, width // 4, start, text, file), np.uint8)
        bits = np.unpackbits(raw.reshape(len(chunk), width // 8), axis=1)
        wide = bits[:, : width - used].any(axis=1)
        if wide.any():
            _refuse_word(text, file, start + int(np.argmax(wide)), f"does not fit {layout.lanes} x {layout.bits} bits")
        lanes = bits[:, width - used :].reshape(-1, layout.lanes, layout.bits)
        lanes = lanes[:, ::-1] if layout.byte_order == "little" else lanes
        found[start * layout.lanes : (start + len(chunk)) * layout.lanes] = _elements(lanes, dtype)
    return found[:elements]


def _elements(lanes: NDArray[np.uint8], dtype: np.dtype[Any]) -> NDArray[Any]:
    """Return the values of bits [..., bits]."""
    bits = lanes.reshape(-1, lanes.shape[-1])
    whole = np.zeros((len(bits), 64), np.uint8)
    if dtype.kind == "i":
        whole[:] = bits[:, :1]
    whole[:, 64 - bits.shape[1] :] = bits
    raw = np.packbits(whole, axis=1).reshape(-1).view(">u8").astype(np.uint64)
    if dtype.kind == "f":
        return raw.astype(np.uint32).view(np.float32)
    return raw.view(np.int64).astype(dtype) if dtype.kind == "i" else raw.astype(dtype)


def _bytes(words: list[str], digits: int, start: int, text: str, file: str) -> bytes:
    """Return the words as bytes, `digits` hexadecimal digits each."""
    padded = [word.zfill(digits) for word in words]
    try:
        found = bytes.fromhex("".join(padded))
    except ValueError:
        found = b""
    if len(found) * 2 == digits * len(words) and max(map(len, padded)) == digits:
        return found
    for index, word in enumerate(padded):
        if not re.fullmatch(r"[0-9a-fA-F]+", word):
            unknown = re.fullmatch(r"[0-9a-fA-FxXzZ]+", word)
            _refuse_word(text, file, start + index, "is unknown: nothing drove it" if unknown else "is not hexadecimal")
        if len(word.lstrip("0")) > digits:
            _refuse_word(text, file, start + index, f"has more than {digits * 4} bits")
    return bytes.fromhex("".join(word.lstrip("0").zfill(digits) for word in padded))


def _tokens(text: str, file: str) -> list[str]:
    """Return the words in order, without comments and addresses."""
    if not any(mark in text for mark in "/@_"):
        return text.split()
    words: list[str] = []
    first: int | None = None
    for _, token in _located(text):
        if not token.startswith("@"):
            words.append(token.replace("_", ""))
            continue
        if not re.fullmatch(r"@[0-9a-fA-F_]+", token):
            raise InputError(f"{file}: {token} is no hexadecimal address")
        address = int(token[1:].replace("_", ""), 16)
        first = address if first is None and not words else first
        if address != (first or 0) + len(words):
            raise InputError(
                f"{file}: {token} follows word {(first or 0) + len(words):#x}; words are read without gaps"
            )
    return words


def _located(text: str) -> Iterator[tuple[int, str]]:
    """Yield (position, token) of words and addresses."""
    for match in _TOKENS.finditer(text):
        if match["token"]:
            yield match.start(), match["token"]


def _refuse_word(text: str, file: str, index: int, why: str) -> NoReturn:
    words = (found for found in _located(text) if not found[1].startswith("@"))
    position, word = next(found for number, found in enumerate(words) if number == index)
    raise InputError(f"{file}:{text.count(chr(10), 0, position) + 1}: word {index} ({word}) {why}")
