"""Run a transposed convolution on register tiles, all phases at once, its raw sums written where they belong."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import product

import numpy as np
from numpy.typing import NDArray

from simulator.execution.aligned import aligned_zeros
from simulator.execution.array_image import filled_image
from simulator.execution.array_operands import Operands
from simulator.execution.array_tiles import (
    WEIGHT_DTYPES,
    Tiles,
    by_panel,
    chunk_pieces,
    cut_run,
    tile_plan,
)
from simulator.execution.layer_constants import low_words
from simulator.graph.ops import Padding
from simulator.kernels import convolve as plan_of
from simulator.kernels import convolve_phases as phase_of
from simulator.kernels.dot_tile import GROUP_BYTES, dot_tile_at
from simulator.kernels.threads import threads_now
from simulator.kernels.workers import run_on_threads
from simulator.lowering.layer import ConvGeometry

_Step = tuple[int, int]
"""A tap, and the input row, column or number that it reads for the first output of its phase."""


@dataclass(frozen=True, eq=False)
class _Plan:
    """What a run depends on beside the numbers."""

    image: ConvGeometry
    """A convolution whose filled-in image all phases read."""
    taps: tuple[tuple[int, ...], ...]
    """Of each phase, flat."""
    source: NDArray[np.int64]
    """[positions of the packed K]: see `kernels.packing`."""
    pieces: NDArray[np.int64]
    phases: NDArray[np.int64]
    plans: NDArray[np.int64]
    tasks: int


def takes_phases(operands: Operands, tiles: Tiles) -> bool:
    """Whether a transposed convolution can be run so: on tiles that take weights of any size, without groups."""
    return not tiles.pair_limit and operands.geometry.groups == 1


def run_phase_tiles(operands: Operands, tiles: Tiles) -> NDArray[np.int32]:
    """Return the sums [pixels, filters], which fit int32.

    Parameters
    ----------
    operands
        The layer's.
    tiles
        From `choose_tiles`, taken by `takes_phases`.

    """
    geometry, weights = operands.geometry, operands.weights
    plan = _plan(geometry, tiles, threads_now())
    filled = filled_image(replace(operands, geometry=plan.image), tiles.operands)
    image, border = filled.numbers, filled.filling.border
    panels = -(-geometry.filters // tiles.isa.channels)
    key = ("phase tiles", tiles, geometry)
    if key not in weights.kept:
        shape = (panels, plan.source.size // tiles.taken, tiles.isa.channels, tiles.taken)
        packed = aligned_zeros(shape, WEIGHT_DTYPES[tiles.operands])
        weights.pack(1, plan.source, panels, packed)
        weights.kept[key] = packed
    start = np.stack([by_panel(low_words(row), geometry, panels, tiles) for row in _starts(operands, plan, border)])
    out = np.empty((geometry.m, geometry.filters), np.int32)
    counter = np.zeros(1, np.int64)
    tables = plan.pieces, plan.phases, plan.plans, plan.tasks
    image, packed = image.reshape(-1).view(np.uint8), weights.kept[key].view(np.uint8)
    arguments = (image, packed, *tables, start, out.reshape(-1), counter)
    run_on_threads(lambda _: phase_of.convolve_phases(*arguments) or 0)
    return out


def _starts(operands: Operands, plan: _Plan, border: int) -> Iterator[NDArray[np.int64]]:
    """Yield the start values of each phase less what the border's number adds: the kernel sums (q - least) * w."""
    start = operands.start[0].astype(np.int64)
    if not border:
        yield from [start] * len(plan.taps)
        return
    positive, negative = operands.weights.fold_sums(operands.geometry.channels)
    of_taps = positive + negative
    for taps in plan.taps:
        yield start - border * of_taps[:, list(taps)].sum(axis=1)


@lru_cache(maxsize=256)
def _plan(geometry: ConvGeometry, tiles: Tiles, threads: int) -> _Plan:
    """Return the plan of a geometry; tasks depend on the number of threads."""
    rows, columns = _axis(geometry, 0), _axis(geometry, 1)
    top, height = _extent(rows, geometry.out_height, geometry.insertion[0])
    left, width = _extent(columns, geometry.out_width, geometry.insertion[1])
    image = replace(
        geometry,
        out_height=height,
        out_width=width,
        kernel=(1, 1),
        dilation=(1, 1),
        padding=Padding(top=-top, left=-left),
        insertion=(1, 1),
        transposed=False,
    )
    taps: list[tuple[int, ...]] = []
    pieces: list[tuple[int, int]] = []
    phases: list[tuple[int, ...]] = []
    plans: list[NDArray[np.int64]] = []
    tasks = 0
    for (row, high), (column, wide) in product(enumerate(rows), enumerate(columns)):
        reads = [
            (i * geometry.kernel[1] + j, ((y - top) * width + x - left) * geometry.channels)
            for (i, y), (j, x) in product(high, wide)
        ]
        own = list(_pieces(reads, geometry, tiles))
        plans.append(_phase_plan(row, column, geometry, image, tiles))
        phases.append((tasks, len(pieces), len(own), *_places(row, column, geometry)))
        taps.append(tuple(tap for tap, _ in reads))
        pieces += own
        tasks += _tasks(plans[-1])
    table = np.array(pieces, np.int64).reshape(-1, 2)
    return _Plan(image, tuple(taps), _source(geometry, tiles), table, np.array(phases), np.stack(plans), tasks)


def _source(geometry: ConvGeometry, tiles: Tiles) -> NDArray[np.int64]:
    """Return the k at each position of the packed K: taps by themselves, each filled up to whole pieces."""
    cuts, piece = cut_run(geometry.channels, tiles)
    taps = geometry.kernel[0] * geometry.kernel[1]
    source = np.full((taps, cuts * piece), -1, np.int64)
    source[:, : geometry.channels] = np.arange(geometry.k).reshape(taps, -1)
    return source.reshape(-1)


def _pieces(reads: list[_Step], geometry: ConvGeometry, tiles: Tiles) -> Iterator[tuple[int, int]]:
    """Yield the offsets of the pieces of some taps, in bytes: into the image, and into a panel of packed weights."""
    cuts, piece = cut_run(geometry.channels, tiles)
    panel_bytes = piece // tiles.taken * GROUP_BYTES * tiles.isa.channels
    for (tap, place), cut in product(reads, range(cuts)):
        yield (place + cut * piece) * _itemsize(tiles), (tap * cuts + cut) * panel_bytes


def _phase_plan(row: int, column: int, geometry: ConvGeometry, image: ConvGeometry, tiles: Tiles) -> NDArray[np.int64]:
    """Return the plan of the outputs of a phase, as of a convolution by itself."""
    down, across = geometry.insertion
    high, wide = -(-(geometry.out_height - row) // down), -(-(geometry.out_width - column) // across)
    # Only its strides are looked at.
    layout = np.empty((geometry.batch, image.out_height, image.out_width, geometry.channels), f"u{_itemsize(tiles)}")
    plan = tile_plan(replace(image, out_height=high, out_width=wide), layout, tiles)
    _, piece = cut_run(geometry.channels, tiles)
    plan[plan_of.PIECE_GROUPS] = piece // tiles.taken
    plan[plan_of.CHUNK_PIECES] = chunk_pieces(piece, tiles)
    plan[plan_of.DOT_TILE] = dot_tile_at(tiles.isa, tiles.operands)
    return plan


def _places(row: int, column: int, geometry: ConvGeometry) -> tuple[int, int, int, int]:
    """Return where the first output of a phase lies in the result, and how far the next image, row and column are."""
    down, across = geometry.insertion
    line = geometry.out_width * geometry.filters
    first = row * line + column * geometry.filters
    return first, geometry.out_height * line, down * line, across * geometry.filters


def _tasks(plan: NDArray[np.int64]) -> int:
    pixels, panels = int(plan[plan_of.PIXEL_COUNT]), int(plan[plan_of.PANELS])
    return -(-pixels // int(plan[plan_of.TASK_PIXELS])) * -(-panels // int(plan[plan_of.TASK_PANELS]))


def _itemsize(tiles: Tiles) -> int:
    return np.dtype(WEIGHT_DTYPES[tiles.operands]).itemsize


def _axis(geometry: ConvGeometry, axis: int) -> list[list[_Step]]:
    """Return the taps of each phase of rows (axis 0) or columns (1) that meet no woven zero."""
    outputs = (geometry.out_height, geometry.out_width)[axis]
    padding = (geometry.padding.top, geometry.padding.left)[axis]
    stride, dilation = geometry.insertion[axis], geometry.dilation[axis]
    reads = [
        [(tap, phase + tap * dilation - padding) for tap in range(geometry.kernel[axis])]
        for phase in range(min(stride, outputs))
    ]
    return [[(tap, at // stride) for tap, at in phase if at % stride == 0] for phase in reads]


def _extent(phases: list[list[_Step]], outputs: int, stride: int) -> tuple[int, int]:
    """Return the first input row that any phase reads, and how many there are to the last."""
    first = min((at for taps in phases for _, at in taps), default=0)
    counts = [-(-(outputs - phase) // stride) for phase in range(len(phases))]
    last = max((at + counts[i] for i, taps in enumerate(phases) for _, at in taps), default=first + 1)
    return first, last - first
