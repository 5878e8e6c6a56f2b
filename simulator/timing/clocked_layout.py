"""Where a product or a convolution lies in memory for the system in rtl/system_top.sv: blocks of words."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from simulator.numerics.modes import Dataflow
from simulator.timing.clocked_array import ClockedArray, Gemm, Int64, pad
from simulator.timing.clocked_convolution import Convolution
from simulator.timing.clocked_dma import Bytes, Descriptor

_BIAS_BITS, _MULTIPLIER_BITS, _SHIFT_BITS = 32, 32, 7

Span = tuple[int, int]
"""Begin and end."""


@dataclass(frozen=True)
class Tile:
    """What a tile operation computes."""

    pixels: Span
    n_folds: Span
    k_folds: Span
    input_folds: Span
    """Of K, those whose activations are loaded with it: its own, or all where they stay for the ones behind it."""

    @property
    def inputs(self) -> tuple[Span, Span]:
        """What decides the activations that it loads."""
        return self.pixels, self.input_folds

    @property
    def weights(self) -> tuple[Span, Span]:
        """What decides the weights that it loads."""
        return self.n_folds, self.k_folds


class Words:
    """Numbers of several widths side by side in a word of memory: whole beats of the bus, lowest bits first."""

    def __init__(self, bits: tuple[int, ...], bus_bytes: int) -> None:
        self._bits = bits
        beats = -(-sum(bits) // (8 * bus_bytes))
        self.bytes = beats * bus_bytes

    def pack(self, values: Int64) -> Bytes:
        """Return uint8 [n, bytes] of int64 [n, lanes]."""
        columns = [values[:, lane, None] >> np.arange(bits) & 1 for lane, bits in enumerate(self._bits)]
        columns.append(np.zeros((len(values), 8 * self.bytes - sum(self._bits)), np.int64))
        return np.packbits(np.concatenate(columns, 1).astype(np.uint8), axis=1, bitorder="little")

    def unpack(self, words: Bytes) -> Int64:
        """Return int64 [n, lanes] of uint8 [n, bytes], signed."""
        flags = np.unpackbits(words, axis=1, bitorder="little").astype(np.int64)
        values = np.zeros((len(words), len(self._bits)), np.int64)
        ends = np.cumsum(self._bits)
        for lane, (bits, end) in enumerate(zip(self._bits, ends.tolist(), strict=True)):
            taken = flags[:, end - bits : end]
            values[:, lane] = (taken << np.arange(bits)).sum(1) - (taken[:, -1] << bits)
        return values


BAND = (
    *("origin_y", "height", "out_height", "tap_channel", "tap_column", "tap_row", "tap_y", "tap_x"),
    *("pool_first_row", "pool_last_row", "pool_rows_to_go", "pool_below", "pool_line"),
)
"""Fields of a tile operation that only a convolution has: band_t and pool_rows_t of rtl/fields.sv."""


class Activations(Protocol):
    """Activations in memory, from its begin on."""

    @property
    def word(self) -> Words:
        """Words of the input scratchpad."""
        ...

    @property
    def unit(self) -> int:
        """A tile begins at a multiple of so many pixels."""
        ...

    def image(self) -> Int64:
        """Words in memory, [words, lanes]."""
        ...

    def tile(self, tile: Tile, before: Tile | None) -> Descriptor:
        """Where those lie that a tile loads after the one `before`, if there was one that may leave some."""
        ...

    def kept_words(self, tile: Tile, before: Tile | None) -> int:
        """Words that the tile before has left, which are the first ones of this."""
        ...

    def stored(self, pixels: Span) -> Span:
        """Pixels that are stored of those that are made up to the begin and the end of a tile."""
        ...

    def fields(self, tile: Tile) -> dict[str, int]:
        """Fields of a tile operation that only a convolution has."""
        ...


class _Products:
    """What activations of a matrix product have in common."""

    def __init__(self, array: ClockedArray, gemm: Gemm, bus_bytes: int) -> None:
        self.array, self.gemm = array, gemm
        self.word = Words((array.activation_bits,) * array.rows, bus_bytes)

    def kept_words(self, tile: Tile, before: Tile | None) -> int:
        """None: tiles share nothing."""
        return 0

    def stored(self, pixels: Span) -> Span:
        """All."""
        return pixels

    def fields(self, tile: Tile) -> dict[str, int]:
        """No convolution."""
        return dict.fromkeys(BAND, 0)


class _Folds(_Products):
    """Words [k fold, pixel] of R products, weight stationary."""

    unit = 1

    def image(self) -> Int64:
        rows, pixels = self.array.rows, len(self.gemm.a)
        a = pad(self.gemm.a, 1, rows, self.gemm.activation_zero_point).reshape(pixels, -1, rows)
        return a.transpose(1, 0, 2).reshape(-1, rows)

    def tile(self, tile: Tile, before: Tile | None) -> Descriptor:
        return block(self.word.bytes, 0, tile.input_folds, len(self.gemm.a), tile.pixels)


class _Blocks(_Products):
    """Words [block of R pixels, k] of R pixels, output stationary."""

    @property
    def unit(self) -> int:
        return self.array.rows

    def image(self) -> Int64:
        rows = self.array.rows
        a = pad(self.gemm.a, rows, 1, self.gemm.activation_zero_point).reshape(-1, rows, self.gemm.a.shape[1])
        return a.transpose(0, 2, 1).reshape(-1, rows)

    def tile(self, tile: Tile, before: Tile | None) -> Descriptor:
        rows, (begin, end) = self.array.rows, tile.pixels
        return block(self.word.bytes, 0, (begin // rows, -(-end // rows)), self.gemm.a.shape[1], tile.input_folds)


@dataclass(frozen=True)
class FeatureMap:
    """A feature map, a word as much as one of each bank; its rows are filled up to whole words."""

    array: ClockedArray
    convolution: Convolution
    values: Int64
    """[height, width, channels]"""
    lanes: int
    """Elements of a word."""
    word: Words

    @property
    def unit(self) -> int:
        """Whole rows."""
        return self.convolution.out_size[1]

    @property
    def pitch(self) -> int:
        """Elements from one row to the next."""
        elements = self.convolution.size[1] * self.convolution.channels
        return elements + -elements % self.lanes

    def image(self) -> Int64:
        """Words in memory, [words, banks]."""
        rows = self.values.reshape(len(self.values), -1)
        return np.pad(rows, ((0, 0), (0, self.pitch - rows.shape[1]))).reshape(-1, self.lanes)

    def _rows(self, tile: Tile) -> Span:
        """From the first row of the map that a tile reads to the last; where it reads none, one."""
        conv, length = self.convolution, self.array.rows
        first = np.arange(tile.pixels[0] // self.unit, tile.pixels[1] // self.unit) * conv.stride[0] - conv.padding[0]
        row_k, (begin, end) = conv.kernel[1] * conv.channels, tile.input_folds
        taps = np.arange(begin * length // row_k, (min(end * length, conv.k) - 1) // row_k + 1)
        places = np.add.outer(first, taps * conv.dilation[0])
        rows, phases = np.divmod(places, conv.insertion[0])
        read = rows[(phases == 0) & (rows >= 0) & (rows < conv.size[0])]
        return (int(read.min()), int(read.max()) + 1) if read.size else (0, 1)

    def _kept_rows(self, tile: Tile, before: Tile | None) -> int:
        """First rows of a tile that the one before has left; none where it would then load nothing."""
        if before is None:
            return 0
        (first, last), (begin, end) = self._rows(before), self._rows(tile)
        return last - begin if first <= begin < last < end else 0

    def kept_words(self, tile: Tile, before: Tile | None) -> int:
        """Those of the rows that two bands share."""
        return self._kept_rows(tile, before) * (self.pitch // self.lanes)

    def tile(self, tile: Tile, before: Tile | None) -> Descriptor:
        """One stretch."""
        row_bytes = self.pitch // self.lanes * self.word.bytes
        begin, end = self._rows(tile)
        begin += self._kept_rows(tile, before)
        return Descriptor(begin * row_bytes, 1, (end - begin) * row_bytes, (end - begin) * row_bytes)

    def stored(self, pixels: Span) -> Span:
        """Pixels, or windows of the pool that end there."""
        conv = self.convolution
        if conv.pool is None:
            return pixels
        width = conv.pool.out_size(conv.out_size)[1]
        begin, end = (conv.pool.windows_within(pixel // self.unit, conv.out_size[0]) * width for pixel in pixels)
        return begin, end

    def fields(self, tile: Tile) -> dict[str, int]:
        """Rows that are read and made, place of the first pixel's tap 0, and the first tap of the tile's part of K."""
        begin, end = self._rows(tile)
        conv, first = self.convolution, tile.pixels[0] // self.unit
        place = first * conv.stride[0] - conv.padding[0] - begin * conv.insertion[0]
        tap, channel = divmod(tile.k_folds[0] * self.array.rows, conv.channels)
        tap_row, tap_column = divmod(tap, conv.kernel[1])
        tap_y, tap_x = tap_row * conv.dilation[0], tap_column * conv.dilation[1]
        return dict(
            origin_y=_index_and_phase(place, conv.insertion[0]),
            height=end - begin,
            out_height=tile.pixels[1] // self.unit - first,
            tap_channel=channel,
            tap_column=tap_column,
            tap_row=tap_row,
            tap_y=_index_and_phase(tap_y, conv.insertion[0]),
            tap_x=_index_and_phase(tap_x, conv.insertion[1]),
            **self._pool_rows(tile),
        )

    def _pool_rows(self, tile: Tile) -> dict[str, int]:
        """Rows of the map that is pooled, of a tile."""
        pool, (height, width) = self.convolution.pool, self.convolution.out_size
        first, end = (pixel // self.unit for pixel in tile.pixels)
        rows = {"pool_first_row": first, "pool_last_row": end - 1, "pool_line": tile.n_folds[0] * width}
        if pool is None:
            return rows | {"pool_rows_to_go": 0, "pool_below": 0}
        to_first_end = pool.size - 1 - pool.padding[0] - first
        to_go = to_first_end if to_first_end >= 0 else to_first_end % pool.stride
        return rows | {"pool_rows_to_go": to_go, "pool_below": pool.end_padding[0] if end == height else 0}


def _index_and_phase(place: int, insertion: int) -> int:
    """Return a place as rtl/im2col_walker.sv has it."""
    index, phase = divmod(place, insertion)
    return index * 256 + phase


def activations_of(array: ClockedArray, gemm: Gemm, bus_bytes: int) -> Activations:
    """Lay out the activations of a matrix product."""
    kind = _Folds if array.dataflow is Dataflow.WEIGHT_STATIONARY else _Blocks
    return kind(array, gemm, bus_bytes)


@dataclass(frozen=True)
class Layout:
    """Where a product lies in memory: blocks of words, each in the order in which a scratchpad holds it.

    Activations; weights [n fold, k] of C; constants [n fold]: C biases, then C of shift and multiplier; outputs
    [n fold, pixel] of C, as the activations of a next product where a weight-stationary array has C = R.
    """

    array: ClockedArray
    activations: Activations
    weight: Words
    constant: Words
    output: Words
    weight_address: int
    constant_address: int
    output_address: int
    end: int
    pixels: int
    stored_pixels: int
    k_folds: int
    n_folds: int

    @classmethod
    def of(cls, array: ClockedArray, gemm: Gemm, activations: Activations, bus_bytes: int) -> Layout:
        """Lay out a product."""
        (m, k), n = gemm.a.shape, gemm.w.shape[1]
        k_folds, n_folds = -(-k // array.fold_length), -(-n // array.cols)
        weight, output = (Words((bits,) * array.cols, bus_bytes) for bits in (array.weight_bits, array.output_bits))
        scale_bits = _MULTIPLIER_BITS + _SHIFT_BITS
        constant = Words((_BIAS_BITS,) * array.cols + (scale_bits,) * array.cols, bus_bytes)
        weights = len(activations.image()) * activations.word.bytes
        constants = weights + n_folds * k_folds * array.fold_length * weight.bytes
        outputs = constants + n_folds * constant.bytes
        stored = activations.stored((0, m))[1]
        end, sizes = outputs + n_folds * stored * output.bytes, (m, stored, k_folds, n_folds)
        return cls(array, activations, weight, constant, output, weights, constants, outputs, end, *sizes)

    def image(self, gemm: Gemm) -> Bytes:
        """Memory before the program runs, uint8 [end]; outputs are 0."""
        cols = self.array.cols
        w = pad(gemm.w, self.array.fold_length, cols, gemm.weight_zero_point)
        w = w.reshape(-1, self.n_folds, cols).transpose(1, 0, 2)
        scales = gemm.shift << _MULTIPLIER_BITS | gemm.multiplier
        constants = [pad(part[None], 1, cols, 0).reshape(-1, cols) for part in (gemm.bias, scales)]
        blocks = [
            self.activations.word.pack(self.activations.image()),
            self.weight.pack(w.reshape(-1, cols)),
            self.constant.pack(np.concatenate(constants, 1)),
            np.zeros(self.end - self.output_address, np.uint8),
        ]
        return np.concatenate([block.ravel() for block in blocks])

    def tile(self, tile: Tile, before: Tile | None = None) -> dict[str, Descriptor]:
        """Where what a tile operation loads and stores lies, by the names of the fields; `before` as in Activations."""
        length = self.array.fold_length
        words = tile.k_folds[0] * length, tile.k_folds[1] * length
        return {
            "activation": self.activations.tile(tile, before),
            "weight": block(self.weight.bytes, self.weight_address, tile.n_folds, self.k_folds * length, words),
            "constant": block(self.constant.bytes, self.constant_address, (0, 1), self.n_folds, tile.n_folds),
            "store": block(
                self.output.bytes,
                self.output_address,
                tile.n_folds,
                self.stored_pixels,
                self.activations.stored(tile.pixels),
            ),
        }

    def word(self, name: str) -> Words:
        """Words of a descriptor that `tile` returns."""
        return {
            "activation": self.activations.word,
            "weight": self.weight,
            "constant": self.constant,
            "store": self.output,
        }[name]

    def constants(self, words: Bytes) -> tuple[Int64, Int64]:
        """Biases [n, C] and scales [n, 2, C], multiplier and shift, of words of constants."""
        values, cols = self.constant.unpack(words), self.array.cols
        scales = values[:, cols:]
        mask = (1 << _MULTIPLIER_BITS) - 1
        # The shift is signed, and so is the word, whose highest bits it has.
        return values[:, :cols].copy(), np.stack([scales & mask, scales >> _MULTIPLIER_BITS], 1)

    def outputs(self, memory: Bytes, columns: int) -> NDArray[np.int64]:
        """Return [stored pixels, N] of a memory after the program, `columns` = N."""
        words = memory[self.output_address : self.end].reshape(-1, self.output.bytes)
        blocks = self.output.unpack(words).reshape(self.n_folds, self.stored_pixels, -1)
        return blocks.transpose(1, 0, 2).reshape(self.stored_pixels, -1)[:, :columns]


def block(word_bytes: int, address: int, planes: Span, plane_words: int, words: Span) -> Descriptor:
    """Words of some planes, a stretch from each."""
    stride = plane_words * word_bytes
    first = address + planes[0] * stride + words[0] * word_bytes
    return Descriptor(first, planes[1] - planes[0], (words[1] - words[0]) * word_bytes, stride)
