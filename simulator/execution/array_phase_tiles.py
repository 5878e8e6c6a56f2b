"""Run a transposed convolution on register tiles, all phases at once, its raw sums written where they belong."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import product

import numpy as np
from numpy.typing import NDArray

from simulator.execution.array_image import filled_image
from simulator.execution.array_operands import Operands
from simulator.execution.array_tiles import (
    Tiles,
    WEIGHT_DTYPES,
    aligned_zeros,
    by_panel,
    chunk_pieces,
    cut_run,
    tile_plan,
)
from simulator.execution.layer_constants import low_words
from simulator.graph.ops import Padding
from simulator.kernels import convolve as plan_of
from simulator.kernels import convolve_phases as phase_of
from simulator.kernels.dot_tile import GROUP_BYTES
from simulator.kernels.threads import threads_now
from simulator.kernels.workers import run_on_threads
from simulator.lowering.layer import ConvGeometry

_Step = tuple[int, int]
"""A tap, and the input row (or column) that it reads for the first output of its phase."""


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
    image, border = filled_image(replace(operands, geometry=plan.image), tiles.operands)
    panels = -(-geometry.filters // tiles.isa.channels)
    key = ("phase tiles", tiles, geometry)
    if key not in weights.kept:
        shape = (panels, plan.source.size // tiles.taken, tiles.isa.channels, tiles.taken)
        packed = aligned_zeros(shape, WEIGHT_DTYPES[tiles.operands])
        weights.pack(1, plan.source, panels, packed)
        weights.kept[key] = packed
    start = np.stack([by_panel(low_words(row), geometry, panels, tiles) for row in _starts(operands, plan, border)])
    out = np.empty((geometry.m, geometry.filters), np.int32)
    run, counter = phase_of.make_convolve_phases(tiles.isa.name, tiles.operands), np.zeros(1, np.int64)
    tables = plan.pieces, plan.phases, plan.plans, plan.tasks
    arguments = (image.reshape(-1), weights.kept[key], *tables, start, out.reshape(-1), counter)
    run_on_threads(lambda _: run(*arguments) or 0)
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
    rows = _axis(geometry, 0)
    columns = _axis(geometry, 1)
    top, height = _extent(rows, geometry.out_height, geometry.insertion[0])
    left, width = _extent(columns, geometry.out_width, geometry.insertion[1])
    whole = replace(
        geometry, kernel=(1, 1), dilation=(1, 1), stride=(1, 1), insertion=(1, 1), transposed=False, filters=1
    )
    image = replace(whole, out_height=height, out_width=width, padding=Padding(top=-top, left=-left))
    cuts, piece = cut_run(geometry.channels, tiles)
    size = geometry.kernel[0] * geometry.kernel[1]
    source = np.full((size, cuts * piece), -1, np.int64)
    source[:, : geometry.channels] = np.arange(geometry.k).reshape(size, -1)
    itemsize = np.dtype(WEIGHT_DTYPES[tiles.operands]).itemsize
    layout = np.empty((geometry.batch, height, width, geometry.channels), WEIGHT_DTYPES[tiles.operands])
    bytes_of_piece = piece // tiles.taken * GROUP_BYTES * tiles.isa.channels
    pieces, phases, plans, taps, tasks = [], [], [], [], 0
    for (row, high), (column, wide) in product(enumerate(rows), enumerate(columns)):
        down, across = geometry.insertion
        shape = replace(
            image,
            filters=geometry.filters,
            out_height=-(-(geometry.out_height - row) // down),
            out_width=-(-(geometry.out_width - column) // across),
        )
        plan = tile_plan(shape, layout, tiles)
        plan[plan_of.PIECE_GROUPS] = piece // tiles.taken
        plan[plan_of.CHUNK_PIECES] = chunk_pieces(piece, tiles)
        first = len(pieces)
        taps.append(tuple(i * geometry.kernel[1] + j for (i, _), (j, _) in product(high, wide)))
        for ((i, y), (j, x)), cut in product(product(high, wide), range(cuts)):
            place = ((y - top) * width + x - left) * geometry.channels + cut * piece
            number = (i * geometry.kernel[1] + j) * cuts + cut
            pieces.append((place * itemsize, number * bytes_of_piece))
        begin = (row * geometry.out_width + column) * geometry.filters
        line = geometry.out_width * geometry.filters
        steps = geometry.out_height * line, down * line, across * geometry.filters
        phases.append((tasks, first, len(pieces) - first, begin, *steps))
        plans.append(plan)
        blocks = -(-shape.m // int(plan[plan_of.TASK_PIXELS]))
        tasks += blocks * -(-int(plan[plan_of.PANELS]) // int(plan[plan_of.TASK_PANELS]))
    table = np.array(pieces, np.int64).reshape(-1, 2)
    return _Plan(image, tuple(taps), source.reshape(-1), table, np.array(phases), np.stack(plans), tasks)


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
