"""The array of a command-driven device alone: by hand, and what is refused."""

from __future__ import annotations

from itertools import pairwise

import pytest

import bittrue
from simulator.errors import InputError
from simulator.timing.execute_only import execute_only_cycles

GEMMINI = bittrue.load_accelerator("gemmini_16x16")
OUTPUT = GEMMINI.evolve({"array.dataflow": "output_stationary"})


def test_a_block_more_is_a_pass_more():
    """A preload, a pass a block, and what the pipeline takes; output stationary, a flush of the last block besides."""
    for accelerator, passes in ((GEMMINI, 1), (OUTPUT, 2)):
        cycles = [execute_only_cycles(accelerator, blocks, 16, True) for blocks in (1, 2, 9)]
        assert cycles == [46 + 16 * (blocks + passes) for blocks in (1, 2, 9)]


def test_blocks_of_few_rows_wait_for_a_place_in_the_array():
    """The sixth pass, that of the fifth block, waits for the first, the preload: `pass_cycles` from its last row."""
    least, most = GEMMINI.controller.minimum_rows, GEMMINI.controller.passes_in_flight
    cycles = [execute_only_cycles(GEMMINI, blocks, 1, False) for blocks in range(1, 8)]
    steps = [after - before for before, after in pairwise(cycles)]
    waits = GEMMINI.controller.pass_cycles - 1 - least * (most - 1)
    assert steps == [least] * (most - 2) + [least + waits] + [least, least]
    deep = GEMMINI.evolve({"controller.passes_in_flight": 100})
    assert execute_only_cycles(deep, 7, 1, False) == cycles[0] + 6 * least


def test_a_slow_host_is_waited_for():
    slow = GEMMINI.evolve({"controller.host_cycles": 50})
    assert execute_only_cycles(slow, 9, 16, True) - execute_only_cycles(slow, 8, 16, True) == 100


@pytest.mark.parametrize(("blocks", "rows"), [(0, 16), (1, 0), (1, 17)])
def test_numbers_out_of_range_are_refused(blocks, rows):
    with pytest.raises(InputError, match="give at least one block, of 1 to 16 rows"):
        execute_only_cycles(GEMMINI, blocks, rows, True)


def test_a_device_without_commands_is_refused():
    with pytest.raises(InputError, match="edge_32x32: has no controller"):
        execute_only_cycles(bittrue.load_accelerator("edge_32x32"), 1, 16, True)
