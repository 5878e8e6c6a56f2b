"""The fixed rule by which a command-driven device cuts a convolution into loops, and the order of the loops.

It is that of tiled_conv_auto and tiled_conv in Gemmini's software library (gemmini-rocc-tests, include/gemmini.h): a
loop has half of the scratchpad and half of accumulator memory.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property, lru_cache
from itertools import product
from typing import NamedTuple

from simulator.mapping.command_lists import KEPT_TRIPS


@dataclass(frozen=True)
class Pool:
    """A max pool that the store does on its way, square."""

    size: int = 1
    stride: int = 1
    padding: int = 0


@dataclass(frozen=True)
class Convolution:
    """A convolution as the device sees it: square filter, one stride and one dilation; images in DRAM as NHWC."""

    batch: int
    in_height: int
    in_width: int
    channels: int
    out_height: int
    out_width: int
    filters: int
    kernel: int
    stride: int = 1
    dilation: int = 1
    pad_top: int = 0
    pad_left: int = 0
    bias: bool = False
    """A bias for each output channel. Without one the device writes zeros."""
    pool: Pool | None = None

    @cached_property
    def window(self) -> Pool:
        """The pool, or one that does nothing."""
        return self.pool or Pool()

    @cached_property
    def pooled_height(self) -> int:
        """Rows stored."""
        return (self.out_height + 2 * self.window.padding - self.window.size) // self.window.stride + 1

    @cached_property
    def pooled_width(self) -> int:
        """Columns stored."""
        return (self.out_width + 2 * self.window.padding - self.window.size) // self.window.stride + 1

    @cached_property
    def halves_input(self) -> bool:
        """Whether a 1x1 filter of stride 2 loads every other pixel only (`downsample`)."""
        plain = self.kernel == 1 and self.stride == 2 and self.pool is None and self.pad_top == self.pad_left == 0
        return plain and self.in_height % 2 == 0 and self.in_width % 2 == 0

    def pixels_per_row(self, channels: int, kernel_cols: int, dim: int) -> int:
        """Pixels side by side in a row of the scratchpad, so that taps of few channels are summed at once."""
        if self.halves_input or self.dilation > 1 or channels > dim:
            return 1
        return min(dim // channels, kernel_cols)


class ConvolutionTile(NamedTuple):
    """Size of a loop: images, pooled rows and columns, output channels, filter rows and columns, input channels."""

    batches: int
    rows: int
    cols: int
    filters: int
    kernel_rows: int
    kernel_cols: int
    channels: int


class ConvolutionLoop(NamedTuple):
    """One loop: where it begins, its size, and what follows from both."""

    first: ConvolutionTile
    size: ConvolutionTile
    out_row: int
    """First row of outputs, before pooling; out_col likewise."""
    out_rows: int
    out_col: int
    out_cols: int
    in_row: int
    """First row of inputs that is no padding; in_col likewise."""
    in_col: int
    pad: tuple[int, int, int, int]
    """Padding above, below, left, right."""
    image: tuple[int, int]
    """Rows and columns in the scratchpad, padding included, nothing skipped."""
    begins: bool
    """First over the reduction: it loads biases."""
    ends: bool
    """Last over the reduction: it stores."""


def whole(conv: Convolution) -> ConvolutionTile:
    """Return the whole convolution as one tile."""
    return ConvolutionTile(
        conv.batch, conv.pooled_height, conv.pooled_width, conv.filters, conv.kernel, conv.kernel, conv.channels
    )


def rows_used(conv: Convolution, tile: ConvolutionTile, dim: int) -> tuple[int, int]:
    """Rows of the scratchpad and of accumulator memory that a tile takes."""
    pool, skip = conv.window, int(conv.halves_input)
    out_rows = tile.rows * pool.stride + pool.size - 1
    out_cols = tile.cols * pool.stride + pool.size - 1
    in_rows = out_rows * conv.stride + conv.dilation * (tile.kernel_rows - 1)
    in_cols = out_cols * conv.stride + conv.dilation * (tile.kernel_cols - 1)
    in_blocks, out_blocks = -(-tile.channels // dim), -(-tile.filters // dim)
    inputs = in_blocks * tile.batches * (in_rows >> skip) * (in_cols >> skip)
    weights = out_blocks * tile.kernel_rows * tile.kernel_cols * tile.channels
    return inputs + weights, out_blocks * tile.batches * out_rows * out_cols


def convolution_tile(
    conv: Convolution, scratchpad_rows: int, accumulator_rows: int, dim: int
) -> ConvolutionTile | None:
    """Size of a loop, or None where not even the least fits.

    Start with everything; while it does not fit, shorten what is longest (channels by a block, columns not below a
    block while rows are left). Then lengthen columns by one while it fits, then everything in turn.

    Parameters
    ----------
    scratchpad_rows, accumulator_rows
        Rows of `dim` elements in the whole memories.

    """
    limit = list(whole(conv))
    sizes = list(limit)

    def fits(sizes: list[int]) -> bool:
        scratchpad, accumulators = rows_used(conv, ConvolutionTile(*sizes), dim)
        return scratchpad <= scratchpad_rows // 2 and accumulators <= accumulator_rows // 2

    rows, cols, blocks = 1, 2, (3, 6)
    while not fits(sizes):
        free = [i for i in range(7) if not (i == cols and sizes[cols] <= dim and sizes[rows] > 1)]
        longest = max(free, key=lambda i: sizes[i])
        if sizes[longest] == 1:
            return None
        if longest in blocks:
            sizes[longest] = max(1, (sizes[longest] - 1) // dim * dim)
        else:
            sizes[longest] -= 1

    def grow(index: int) -> bool:
        longer = [*sizes[:index], sizes[index] + 1, *sizes[index + 1 :]]
        if longer[index] > limit[index] or not fits(longer):
            return False
        sizes[index] += 1
        return True

    while grow(cols):
        pass
    while any([grow(index) for index in range(7)]):
        pass
    return ConvolutionTile(*sizes)


def trips(conv: Convolution, tile: ConvolutionTile) -> ConvolutionTile:
    """Loops along each dimension."""
    return ConvolutionTile(*(-(-n // size) for n, size in zip(whole(conv), tile, strict=True)))


def keeps(conv: Convolution, tile: ConvolutionTile) -> tuple[bool, bool]:
    """Whether activations, and weights, of the whole layer stay in the scratchpad: at most two loops' worth."""
    t = trips(conv, tile)
    depth = t.kernel_rows * t.kernel_cols * t.channels
    return depth * t.batches * t.rows * t.cols <= KEPT_TRIPS, depth * t.filters <= KEPT_TRIPS


def convolution_loops(conv: Convolution, tile: ConvolutionTile) -> Iterator[ConvolutionLoop]:
    """Loops in their order: images, rows, columns, output channels, and inside the reduction."""
    total = whole(conv)
    steps = ([(at, min(step, n - at)) for at in range(0, n, step)] for n, step in zip(total, tile, strict=True))
    for parts in product(*steps):
        corner, sizes = zip(*parts, strict=True)
        yield _loop(conv, total, ConvolutionTile(*corner), ConvolutionTile(*sizes))


class _Side(NamedTuple):
    """Rows (or columns) of a loop."""

    out: int
    outs: int
    first_in: int
    before: int
    beyond: int
    length: int


@lru_cache(maxsize=1 << 14)
def _side(pooled: tuple[int, int], kernel: tuple[int, int], conv: tuple[int, int, int, int, int], pool: Pool) -> _Side:
    """Follow (first, count) pooled rows and filter rows to the rows of outputs and inputs they need.

    conv: rows of outputs and of inputs, stride, dilation, padding above.
    """
    outs_in_all, ins_in_all, stride, dilation, padding = conv
    begin = pooled[0] * pool.stride - pool.padding
    count = pooled[1] * pool.stride + pool.size - 1
    outs = count - max(0, -begin) - max(0, begin + count - outs_in_all)
    out = max(0, begin)
    first = out * stride + kernel[0] * dilation - padding
    length = outs * stride + dilation * (kernel[1] - 1)
    before = min(max(0, -first), length)
    beyond = min(max(0, first + length - ins_in_all), length - before)
    return _Side(out, outs, first + before, before, beyond, length)


def _loop(conv: Convolution, total: ConvolutionTile, first: ConvolutionTile, size: ConvolutionTile) -> ConvolutionLoop:
    rule = conv.stride, conv.dilation
    rows = _side(
        (first.rows, size.rows),
        (first.kernel_rows, size.kernel_rows),
        (conv.out_height, conv.in_height, *rule, conv.pad_top),
        conv.window,
    )
    cols = _side(
        (first.cols, size.cols),
        (first.kernel_cols, size.kernel_cols),
        (conv.out_width, conv.in_width, *rule, conv.pad_left),
        conv.window,
    )
    return ConvolutionLoop(
        first,
        size,
        rows.out,
        rows.outs,
        cols.out,
        cols.outs,
        rows.first_in,
        cols.first_in,
        (rows.before, rows.beyond, cols.before, cols.beyond),
        (rows.length, cols.length),
        begins=first.kernel_rows == first.kernel_cols == first.channels == 0,
        ends=first.kernel_rows + size.kernel_rows == total.kernel_rows
        and first.kernel_cols + size.kernel_cols == total.kernel_cols
        and first.channels + size.channels == total.channels,
    )


def shape_of(loop: ConvolutionLoop) -> tuple[object, ...]:
    """Return what two loops that unroll alike have in common: all but where they lie."""
    return loop.size, loop.out_rows, loop.out_cols, loop.pad, loop.image, loop.begins, loop.ends
