"""The fixed rule of command loops, and the memory requests of their rows."""

from __future__ import annotations

import numpy as np
import pytest

from simulator.kernels import command_layout as at
from simulator.mapping.command_lists import CommandDevice
from simulator.mapping.command_tiles import Extent, LoopTile, loop_blocks, loop_tile
from simulator.mapping.commands import Product, command_lists
from simulator.mapping.memory_requests import row_requests

GEMMINI = CommandDevice(dim=16, beat_bytes=16, burst_bytes=64, scratchpad_rows=16384, accumulator_rows=1024)


def _tile(m, n, k):
    return loop_tile(Extent.of(m, n, k, 16), 16384, 1024, 16)


def test_tiles_of_the_default_device():
    """By hand: 512 blocks of scratchpad, 32 of accumulators; from min(size, 5) and 51 on, J, I and K grow in turn."""
    assert _tile(64, 64, 64) == LoopTile(4, 4, 4)
    assert _tile(512, 512, 512) == LoopTile(5, 6, 32)
    assert _tile(1, 512, 512) == LoopTile(1, 15, 32)
    assert _tile(16, 16, 16384) == LoopTile(1, 1, 256)


@pytest.mark.parametrize("seed", range(3))
def test_tiles_fit_are_maximal_and_cover_everything_once(seed):
    rng = np.random.default_rng(seed)
    for _ in range(50):
        extent = Extent(*(int(size) for size in rng.integers(1, 40, 3)))
        rows = int(rng.integers(64, 4096)), int(rng.integers(32, 1024))
        tile = loop_tile(extent, *rows, 16)
        if tile is None:
            continue
        spad, accumulators = rows[0] // 32, rows[1] // 32
        fits = lambda i, j, k: (i + j) * k <= spad and i * j <= accumulators  # noqa: E731, B023
        assert fits(tile.i, tile.j, tile.k)
        for grown in ((1, 0, 0), (0, 1, 0), (0, 0, 1)):
            size = [a + b for a, b in zip((tile.i, tile.j, tile.k), grown, strict=True)]
            inside = size[0] <= extent.i and size[1] <= extent.j and size[2] <= extent.k
            assert not (inside and fits(*size))
        seen = np.zeros((extent.i, extent.j, extent.k), int)
        for b in loop_blocks(extent, tile):
            seen[b.i0 : b.i0 + b.i, b.j0 : b.j0 + b.j, b.k0 : b.k0 + b.k] += 1
        assert (seen == 1).all()


def test_a_device_without_room_has_no_tile():
    assert loop_tile(Extent(1, 1, 1), 16384, 31, 16) is None
    assert loop_tile(Extent(1, 1, 1), 63, 1024, 16) is None


@pytest.mark.parametrize(
    ("offset", "size", "beats"),
    [
        (0, 64, [4]),
        (0, 16, [1]),
        (0, 48, [4]),  # one request of 64 covers it
        (48, 64, [1, 4]),
        (4, 64, [4, 1]),
        (40, 16, [2]),  # 32 bytes from 32
        (60, 4, [1]),
    ],
)
def test_requests_are_the_smallest_that_cover_most(offset, size, beats):
    assert [request.beats for request in row_requests(offset, size, 16, 16, 64)] == beats


def test_beats_that_are_read_in_vain_cost_a_cycle_where_the_last_row_leaves_with_the_last_beat():
    (whole,) = row_requests(0, 64, 16, 16, 64)
    assert (whole.period, whole.first_write, whole.last_write) == (4, 1, 4)
    (three,) = row_requests(0, 48, 16, 16, 64)
    assert (three.period, three.first_write, three.last_write) == (5, 1, 3)
    (wide,) = row_requests(0, 64, 64, 16, 64)  # a row of accumulators
    assert (wide.period, wide.first_write, wide.last_write) == (4, 4, 4)
    (shifted,) = row_requests(8, 24, 16, 16, 64)  # 8 useful bytes of the first beat, then two rows to write
    assert (shifted.beats, shifted.period, shifted.first_write, shifted.last_write) == (2, 3, 2, 3)


def test_commands_of_a_small_product():
    lists = command_lists(Product(20, 70, 40, 1, "matrix"), _tile(20, 70, 40), GEMMINI)
    assert len(lists.loops) == 1 + 1
    begin = lists.loops[:, at.FIRST_COMMAND : at.SHAPE_COMMAND]
    # x: 2 x ceil(3/4); w: 3 x ceil(5/4); bias: 2 x 5; y: 2 x ceil(5/4)
    assert (begin[1] - begin[0]).tolist() == [2, 6, 10, 0, 4]
    rows = lists.commands[:, at.ROWS].tolist()
    assert rows[:2] == [16, 4]
    assert rows[2:8] == [16] * 6  # all rows of the last block of K, though K ends in it
    assert lists.executes[:, at.EXECUTE_ROWS].tolist() == [16, 4] * 15
    assert lists.loops[1, at.FIRST_BLOCK] == 2 * 5 * 3


def test_operands_that_are_still_there_are_not_loaded_again():
    product = Product(512, 512, 512, 1)
    lists = command_lists(product, _tile(512, 512, 512), GEMMINI)
    begin = lists.loops[:, at.FIRST_COMMAND : at.SHAPE_COMMAND]
    assert ((begin[1:] - begin[:-1])[:, [at.ACTIVATIONS, at.WEIGHTS]] > 0).all()  # 7 and 6 loops: nothing stays
    lists = command_lists(Product(64, 1000, 256, 1), _tile(64, 1000, 256), GEMMINI)
    counts = np.diff(lists.loops[:, at.FIRST_COMMAND + at.ACTIVATIONS])
    assert counts[0] > 0
    assert (counts[1:] == 0).all()
    assert (lists.loops[:-1, at.INPUT_ORIGIN] == 0).all()
