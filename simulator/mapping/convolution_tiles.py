"""The fixed rule by which a command-driven device cuts a convolution into loops, and the order of the loops.

It is that of tiled_conv_auto and tiled_conv in Gemmini's software library (gemmini-rocc-tests, include/gemmini.h): a
loop has half of the scratchpad and half of accumulator memory.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import astuple, dataclass, replace
from itertools import product

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

    @property
    def window(self) -> Pool:
        """The pool, or one that does nothing."""
        return self.pool or Pool()

    @property
    def pooled_height(self) -> int:
        """Rows stored."""
        return (self.out_height + 2 * self.window.padding - self.window.size) // self.window.stride + 1

    @property
    def pooled_width(self) -> int:
        """Columns stored."""
        return (self.out_width + 2 * self.window.padding - self.window.size) // self.window.stride + 1

    @property
    def halves_input(self) -> bool:
        """Whether a 1x1 filter of stride 2 loads every other pixel only (`downsample`)."""
        plain = self.kernel == 1 and self.stride == 2 and self.pool is None and self.pad_top == self.pad_left == 0
        return plain and self.in_height % 2 == 0 and self.in_width % 2 == 0

    def pixels_per_row(self, channels: int, kernel_cols: int, dim: int) -> int:
        """Pixels side by side in a row of the scratchpad, so that taps of few channels are summed at once."""
        if self.halves_input or self.dilation > 1 or channels > dim:
            return 1
        return min(dim // channels, kernel_cols)


@dataclass(frozen=True)
class ConvolutionTile:
    """Size of a loop: images, pooled rows and columns, output channels, filter rows and columns, input channels."""

    batches: int
    rows: int
    cols: int
    filters: int
    kernel_rows: int
    kernel_cols: int
    channels: int


@dataclass(frozen=True)
class ConvolutionLoop:
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
    limit = list(astuple(whole(conv)))
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
    return ConvolutionTile(*(-(-n // size) for n, size in zip(astuple(whole(conv)), astuple(tile), strict=True)))


def keeps(conv: Convolution, tile: ConvolutionTile) -> tuple[bool, bool]:
    """Whether activations, and weights, of the whole layer stay in the scratchpad: at most two loops' worth."""
    t = trips(conv, tile)
    depth = t.kernel_rows * t.kernel_cols * t.channels
    return depth * t.batches * t.rows * t.cols <= KEPT_TRIPS, depth * t.filters <= KEPT_TRIPS


def convolution_loops(conv: Convolution, tile: ConvolutionTile) -> Iterator[ConvolutionLoop]:
    """Loops in their order: images, rows, columns, output channels, and inside the reduction."""
    steps = astuple(tile)
    total = astuple(whole(conv))
    for corner in product(*(range(0, n, step) for n, step in zip(total, steps, strict=True))):
        size = (min(step, n - at) for at, n, step in zip(corner, total, steps, strict=True))
        yield _loop(conv, tile, ConvolutionTile(*corner), ConvolutionTile(*size))


def _span(first: int, count: int, pool: Pool, out: int) -> tuple[int, int]:
    """First output and number of outputs of `count` pooled ones, those beyond the border left out."""
    begin = first * pool.stride - pool.padding
    length = count * pool.stride + pool.size - 1
    before, after = max(0, -begin), max(0, begin + length - out)
    return max(0, begin), length - before - after


def _padding(first: int, count: int, size: int) -> tuple[int, int]:
    """Rows (or columns) before and beyond an image of `size`, of `count` from `first`."""
    before = min(max(0, -first), count)
    return before, min(max(0, first + count - size), count - before)


def _loop(conv: Convolution, tile: ConvolutionTile, first: ConvolutionTile, size: ConvolutionTile) -> ConvolutionLoop:
    out_row, out_rows = _span(first.rows, size.rows, conv.window, conv.out_height)
    out_col, out_cols = _span(first.cols, size.cols, conv.window, conv.out_width)
    in_row = out_row * conv.stride + first.kernel_rows * conv.dilation - conv.pad_top
    in_col = out_col * conv.stride + first.kernel_cols * conv.dilation - conv.pad_left
    height = out_rows * conv.stride + conv.dilation * (size.kernel_rows - 1)
    width = out_cols * conv.stride + conv.dilation * (size.kernel_cols - 1)
    above, below = _padding(in_row, height, conv.in_height)
    left, right = _padding(in_col, width, conv.in_width)
    reduction = ("kernel_rows", "kernel_cols", "channels")
    totals = whole(conv)
    return ConvolutionLoop(
        first,
        size,
        out_row,
        out_rows,
        out_col,
        out_cols,
        in_row + above,
        in_col + left,
        (above, below, left, right),
        (height, width),
        begins=all(getattr(first, name) == 0 for name in reduction),
        ends=all(getattr(first, name) + getattr(tile, name) >= getattr(totals, name) for name in reduction),
    )


def shape_of(loop: ConvolutionLoop) -> ConvolutionLoop:
    """Return what two loops that unroll alike have in common: all but where they lie."""
    nowhere = ConvolutionTile(0, 0, 0, 0, 0, 0, 0)
    return replace(loop, first=nowhere, out_row=0, out_col=0, in_row=0, in_col=0)
