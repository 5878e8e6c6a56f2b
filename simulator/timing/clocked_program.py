"""A matrix product as a program of the system in rtl/system_top.sv: its words in memory, and its tile operations."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from simulator.errors import SpecError
from simulator.kernels.clocked_system import TILE_OP
from simulator.numerics.modes import Dataflow
from simulator.timing.clocked_array import ClockedArray, Gemm, Int64, check_gemm, pad
from simulator.timing.clocked_dma import Bytes, ClockedDma, Descriptor

_BIAS_BITS, _MULTIPLIER_BITS, _SHIFT_BITS = 32, 32, 7
MOST_OPS = 63
"""Tile operations of a program."""
_Span = tuple[int, int]
"""Begin and end."""


@dataclass(frozen=True)
class ClockedSystem:
    """An array with its DMA, as built: the parameters of rtl/system_top.sv."""

    array: ClockedArray
    dma: ClockedDma
    """Engine and memory."""
    address_bits: int = 10
    """Of every scratchpad: 2^address_bits words in two halves."""


@dataclass(frozen=True)
class Tiling:
    """How a product is cut into tile operations, and what stays in its scratchpad from one to the next."""

    pixels: int
    """Output stationary: a multiple of the array's rows, or all."""
    n_folds: int
    """Folds of output channels."""
    k_folds: int
    """Folds of the reduction, as long as the array has rows; output stationary, its products. Where one tile operation
    does not hold all of them, nothing stays."""
    inputs_stay: bool = False
    """Activations are loaded once for all channels, instead of weights once for all pixels."""


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


@dataclass(frozen=True)
class Layout:
    """Where a product lies in memory: blocks of words, each in the order in which a scratchpad holds it.

    Activations [k fold, pixel] of R products, or, output stationary, [block of R pixels, k] of R pixels; weights
    [n fold, k] of C; constants [n fold]: C biases, then C of shift and multiplier; outputs [n fold, pixel] of C, as the
    activations of a next layer where a weight-stationary array has C = R.
    """

    array: ClockedArray

    activation: Words
    weight: Words
    constant: Words
    output: Words
    weight_address: int
    constant_address: int
    output_address: int
    end: int
    pixels: int
    k_folds: int
    n_folds: int

    @classmethod
    def of(cls, array: ClockedArray, gemm: Gemm, bus_bytes: int) -> Layout:
        """Lay out a product."""
        (m, k), n = gemm.a.shape, gemm.w.shape[1]
        k_folds, n_folds = -(-k // array.fold_length), -(-n // array.cols)
        words = k_folds * m if _weight_stationary(array) else -(-m // array.rows) * k
        scale_bits = _MULTIPLIER_BITS + _SHIFT_BITS
        activation = Words((array.activation_bits,) * array.rows, bus_bytes)
        weight, output = (Words((bits,) * array.cols, bus_bytes) for bits in (array.weight_bits, array.output_bits))
        constant = Words((_BIAS_BITS,) * array.cols + (scale_bits,) * array.cols, bus_bytes)
        weights = words * activation.bytes
        constants = weights + n_folds * k_folds * array.fold_length * weight.bytes
        outputs = constants + n_folds * constant.bytes
        end = outputs + n_folds * m * output.bytes
        return cls(array, activation, weight, constant, output, weights, constants, outputs, end, m, k_folds, n_folds)

    def image(self, gemm: Gemm) -> Bytes:
        """Memory before the program runs, uint8 [end]; outputs are 0."""
        rows, cols = self.array.rows, self.array.cols
        # Lanes of a word are last: products of a pixel, or pixels of a product.
        if _weight_stationary(self.array):
            a = pad(gemm.a, 1, rows, gemm.activation_zero_point).reshape(self.pixels, -1, rows).transpose(1, 0, 2)
        else:
            a = pad(gemm.a, rows, 1, gemm.activation_zero_point).reshape(-1, rows, self.k_folds).transpose(0, 2, 1)
        w = pad(gemm.w, self.array.fold_length, cols, gemm.weight_zero_point)
        w = w.reshape(-1, self.n_folds, cols).transpose(1, 0, 2)
        scales = gemm.shift << _MULTIPLIER_BITS | gemm.multiplier
        constants = [pad(part[None], 1, cols, 0).reshape(-1, cols) for part in (gemm.bias, scales)]
        blocks = [
            self.activation.pack(a.reshape(-1, rows)),
            self.weight.pack(w.reshape(-1, cols)),
            self.constant.pack(np.concatenate(constants, 1)),
            np.zeros(self.end - self.output_address, np.uint8),
        ]
        return np.concatenate([block.ravel() for block in blocks])

    def activations(self, pixels: _Span, k_folds: _Span) -> Descriptor:
        """Where those of a tile lie; output stationary, `pixels` begin with a block."""
        if _weight_stationary(self.array):
            return _block(self.activation.bytes, 0, k_folds, self.pixels, pixels)
        blocks = pixels[0] // self.array.rows, -(-pixels[1] // self.array.rows)
        return _block(self.activation.bytes, 0, blocks, self.k_folds, k_folds)

    def weights(self, n_folds: _Span, k_folds: _Span) -> Descriptor:
        """Where those of a tile lie."""
        length = self.array.fold_length
        words = k_folds[0] * length, k_folds[1] * length
        return _block(self.weight.bytes, self.weight_address, n_folds, self.k_folds * length, words)

    def constants(self, words: Bytes) -> tuple[Int64, Int64]:
        """Biases [n, C] and scales [n, 2, C], multiplier and shift, of words of constants."""
        values, cols = self.constant.unpack(words), self.array.cols
        scales = values[:, cols:]
        mask = (1 << _MULTIPLIER_BITS) - 1
        # The shift is signed, and so is the word, whose highest bits it has.
        return values[:, :cols].copy(), np.stack([scales & mask, scales >> _MULTIPLIER_BITS], 1)

    def outputs(self, memory: Bytes, columns: int) -> Int64:
        """[M, N] of a memory after the program, `columns` = N."""
        words = memory[self.output_address : self.end].reshape(-1, self.output.bytes)
        blocks = self.output.unpack(words).reshape(self.n_folds, self.pixels, -1)
        return blocks.transpose(1, 0, 2).reshape(self.pixels, -1)[:, :columns]


def _weight_stationary(array: ClockedArray) -> bool:
    return array.dataflow is Dataflow.WEIGHT_STATIONARY


@dataclass(frozen=True)
class Program:
    """A product as the system runs it."""

    layout: Layout
    rows: NDArray[np.int64]
    """[ops, len(TILE_OP)]"""


def plan(system: ClockedSystem, gemm: Gemm, tiling: Tiling) -> Program:
    """Return the program of a product.

    Raises
    ------
    InputError, SpecError
        What the array does not take; tiles that do not fit into half a scratchpad; too many tile operations; bursts
        that are no whole number of beats; cuts of K, which the tiling decides.

    """
    check_gemm(system.array, gemm)
    system.dma.check()
    if gemm.k_cuts:
        raise SpecError(f"k_cuts {gemm.k_cuts}: the tiling cuts K, give none")
    if gemm.bias.ndim != 1:
        raise SpecError(f"bias has shape {gemm.bias.shape}: the system loads one for each column, ({gemm.w.shape[1]},)")
    if system.dma.burst_bytes % system.dma.bus_bytes:
        raise SpecError(f"burst_bytes: {system.dma.burst_bytes}, no multiple of bus_bytes, {system.dma.bus_bytes}")
    layout = Layout.of(system.array, gemm, system.dma.bus_bytes)
    _check_room(system, layout, tiling)
    tiles = list(_tiles(layout, tiling))
    if len(tiles) > MOST_OPS:
        raise SpecError(f"{len(tiles)} tile operations, but a program has {MOST_OPS} at most; give larger tiles")
    rows = [
        _row(system.array, gemm, layout, tile, *neighbours)
        for tile, *neighbours in zip(tiles, [None, *tiles], [*tiles[1:], None], strict=False)
    ]
    return Program(layout, np.array([[row[name] for name in TILE_OP] for row in rows], np.int64))


def _check_room(system: ClockedSystem, layout: Layout, tiling: Tiling) -> None:
    half = 1 << (system.address_bits - 1)
    pixels, n_folds = min(tiling.pixels, layout.pixels), min(tiling.n_folds, layout.n_folds)
    k_folds = min(tiling.k_folds, layout.k_folds)
    if min(pixels, n_folds, k_folds) < 1:
        raise SpecError(f"{tiling}: no size can be below 1")
    rows, weight_stationary = system.array.rows, _weight_stationary(system.array)
    if not weight_stationary and pixels < layout.pixels and pixels % rows:
        raise SpecError(f"{tiling}: pixels must be a multiple of the array's {rows} rows, or all of them")
    for name, words in (
        ("activations", k_folds * (pixels if weight_stationary else -(-pixels // rows))),
        ("weights", n_folds * k_folds * system.array.fold_length),
        ("outputs", n_folds * pixels),
    ):
        if words > half:
            raise SpecError(f"{words} words of {name} in a tile, but half a scratchpad has {half}; give smaller tiles")


_Tile = tuple[_Span, _Span, _Span]
"""Pixels, n folds, k folds."""


def _tiles(layout: Layout, tiling: Tiling) -> Iterator[_Tile]:
    """In order: what stays is outermost, K innermost."""

    def spans(size: int, step: int) -> list[_Span]:
        return [(begin, min(begin + step, size)) for begin in range(0, size, step)]

    pixels, n_folds = spans(layout.pixels, tiling.pixels), spans(layout.n_folds, tiling.n_folds)
    pairs = (
        [(m, n) for m in pixels for n in n_folds] if tiling.inputs_stay else [(m, n) for n in n_folds for m in pixels]
    )
    for m, n in pairs:
        for k in spans(layout.k_folds, tiling.k_folds):
            yield m, n, k


def _row(
    array: ClockedArray, gemm: Gemm, layout: Layout, tile: _Tile, before: _Tile | None, after: _Tile | None
) -> dict[str, int]:
    """Fields of a tile operation between its neighbours."""
    (m, m_end), (n, n_end), (k, k_end) = tile

    def inputs_change(one: _Tile | None, other: _Tile | None) -> bool:
        return one is None or other is None or (one[0], one[2]) != (other[0], other[2])

    def weights_change(one: _Tile | None, other: _Tile | None) -> bool:
        return one is None or other is None or one[1:] != other[1:]

    takes_input, takes_weight = inputs_change(before, tile), weights_change(before, tile)
    finishes = k_end == layout.k_folds
    descriptors = {
        "activation": layout.activations((m, m_end), (k, k_end)),
        "weight": layout.weights((n, n_end), (k, k_end)),
        "constant": _block(layout.constant.bytes, layout.constant_address, (0, 1), layout.n_folds, (n, n_end)),
        "store": _block(layout.output.bytes, layout.output_address, (n, n_end), layout.pixels, (m, m_end)),
    }
    columns = (gemm.w.shape[1] - 1) % array.cols + 1 if n_end == layout.n_folds else array.cols
    row = {
        **{"load_first": 0 if takes_input else 1, "load_last": 2 if takes_weight else 0},
        **{"load_takes_input": takes_input, "load_takes_weight": takes_weight},
        **{"takes_input": takes_input, "takes_weight": takes_weight, "takes_result": k == 0},
        **{"gives_input": inputs_change(tile, after), "gives_weight": weights_change(tile, after)},
        **{"finishes": finishes, "continues": k > 0, "stores": finishes},
        **{"pixels": m_end - m, "k_folds": k_end - k, "n_folds": n_end - n, "last_columns": (1 << columns) - 1},
    }
    for name, descriptor in descriptors.items():
        row |= {f"{name}_{field}": value for field, value in vars(descriptor).items()}
    return row


def _block(word_bytes: int, address: int, planes: _Span, plane_words: int, words: _Span) -> Descriptor:
    """Words of some planes, a stretch from each."""
    stride = plane_words * word_bytes
    first = address + planes[0] * stride + words[0] * word_bytes
    return Descriptor(first, planes[1] - planes[0], (words[1] - words[0]) * word_bytes, stride)
