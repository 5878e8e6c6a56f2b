"""Output stationary, where the host issues every command: the compiled machine against its slow twin, and by hand."""

from __future__ import annotations

import numpy as np
import pytest

import bittrue
from simulator.errors import DoesNotFit
from simulator.kernels import command_layout as at
from simulator.mapping.command_schedule import command_device, command_schedule
from simulator.mapping.command_tiles import Extent, loop_tile
from simulator.mapping.commands import Product
from tests.support.host_twin import HostTwin
from tests.timing.test_command_machine import drawn_device, layer_time

OUTPUT = {"array.dataflow": "output_stationary"}
GEMMINI = bittrue.load_accelerator("gemmini_16x16").evolve(OUTPUT)


def _twin(product, accelerator):
    device = command_device(accelerator)
    extent = Extent.of(product.m, product.n, product.k, device.dim)
    tile = loop_tile(extent, device.scratchpad_rows, device.accumulator_rows, device.dim, buffers=1)
    return HostTwin(product, tile, accelerator)


@pytest.mark.parametrize("seed", range(5))
def test_machine_equals_its_twin(seed):
    rng = np.random.default_rng(seed)
    loops = 0
    for _ in range(12):
        accelerator = drawn_device(rng, dims=(4, 8)).evolve(OUTPUT)
        m, n, k = (int(rng.integers(1, 6 * accelerator.array.rows)) for _ in range(3))
        product = Product(m, n, k, int(rng.choice([1, 4])), ("none", "vector", "matrix")[rng.integers(3)])
        twin = _twin(product, accelerator)
        loops += len(twin.loops)
        assert layer_time(product, accelerator).end_cycle == twin.cycles(), (product, accelerator)
    assert loops > 20  # most products are cut, so waiting for what a loop before it uses is met


def test_one_block_by_hand():
    """16 x 16 x 16 with every latency at its least, cycle by cycle.

    Commands go out from cycle 0: a stride, weights, a stride, activations, a preload, a compute, a store in 0..6. Each
    stride takes its controller a cycle, in 1 and, the weights sent in 2..17, in 18; activations are read in 19..34,
    the last row is on chip in 36 and the load complete in 38. Activations go in in 38..53, weights in 54..69; a
    flush in 70..85 brings the sums out, the last in accumulator memory in 86, so the store may start in 87: rows go
    in 87..102. The last write is acknowledged in 104, and complete in that cycle.
    """
    least = {
        name: 1 for name in ("configure_cycles", "issue_cycles", "read_cycles", "result_cycles", "read_result_cycles")
    }
    none = (
        "start_cycles", "load_done_cycles", "write_cycles", "store_done_cycles", "end_cycles", "pass_cycles",
        "flush_cycles", "setup_commands",
    )  # fmt: skip
    changes = {f"controller.{name}": value for name, value in (least | dict.fromkeys(none, 0)).items()}
    time = layer_time(Product(16, 16, 16, 1), GEMMINI.evolve({**changes, "dram.latency_cycles": 0}))
    assert time.end_cycle == 105
    assert time.compute_cycles == 32


def test_commands_are_counted_one_by_one():
    """Two strides, weights in groups of 4 blocks, activations likewise, two commands a block, a store an output."""
    lists = command_schedule("layer", Product(48, 96, 80, 1), GEMMINI).commands
    weights, activations, blocks, stores = 2 * 5, 3 * 2, 3 * 6 * 5, 3 * 6
    assert lists.host_commands(GEMMINI.controller) == 5 + 2 + weights + activations + 2 * blocks + stores
    biased = command_schedule("layer", Product(48, 96, 80, 1, "matrix"), GEMMINI).commands
    assert biased.host_commands(GEMMINI.controller) == lists.host_commands(GEMMINI.controller) + 1 + 3 * 6
    unrolled = command_schedule(
        "layer", Product(48, 96, 80, 1), GEMMINI.evolve({"array.dataflow": "weight_stationary"})
    )
    assert unrolled.commands.host_commands(GEMMINI.controller) == 11


def test_a_loop_has_both_memories_to_itself():
    """tiled_matmul_auto with one buffer: 8 x 8 blocks, 64 deep, grown while 1024 blocks of operands fit."""
    tile = loop_tile(Extent(100, 100, 100), 16384, 1024, 16, buffers=1)
    assert (tile.i, tile.j, tile.k) == (8, 8, 64)
    assert loop_tile(Extent(100, 4, 10), 16384, 1024, 16, buffers=1).i == 16


def test_traffic_and_waits_of_a_host():
    plain, vector, matrix = (
        bittrue.simulate(bittrue.networks.gemm(64, 64, 64, bias=bias), GEMMINI).layers[0]
        for bias in (False, True, "matrix")
    )
    assert plain.dram_read_bytes == 2 * 64 * 64
    assert vector.dram_read_bytes == plain.dram_read_bytes + 4 * 4 * 64  # read once for each row of blocks
    assert matrix.dram_read_bytes == plain.dram_read_bytes + 4 * 64 * 64
    assert plain.dram_write_bytes == vector.dram_write_bytes == matrix.dram_write_bytes == 64 * 64
    assert plain.total_cycles < vector.total_cycles < matrix.total_cycles
    slow_host = GEMMINI.evolve({"controller.host_cycles": 40})
    slow = bittrue.simulate(bittrue.networks.gemm(64, 64, 64), slow_host).layers[0]
    commands = command_schedule("layer", Product(64, 64, 64, 1), GEMMINI).commands.host_commands(GEMMINI.controller)
    assert slow.total_cycles > 40 * (commands - 1) > plain.total_cycles


def test_values_follow_the_array_and_not_the_controller():
    rng = np.random.default_rng(3)
    weights = rng.integers(-128, 128, (70, 20))
    net = bittrue.networks.gemm(33, 70, 20, out="int32").with_weights(weights)
    x = rng.integers(-128, 128, (33, 70)).astype(np.int8)
    ours = bittrue.simulate(net, GEMMINI, [x])
    assert np.array_equal(ours.outputs["output"], x.astype(np.int64) @ weights)
    assert (
        ours.layers[0].overflow == bittrue.simulate(net, GEMMINI.evolve({"controller": None}), [x]).layers[0].overflow
    )


def test_convolutions_run_on_the_generic_machine_and_keep_their_pool():
    net = bittrue.networks.conv2d(8, 8, 32, 48, 3, padding=1, pool=(2, 2, 0))
    generic = GEMMINI.evolve({"controller": None})
    ours, theirs = (bittrue.simulate(net, device).record for device in (GEMMINI, generic))
    assert [layer.total_cycles for layer in ours.layers] == [layer.total_cycles for layer in theirs.layers]


def test_memories_smaller_than_a_block_are_refused_with_levers():
    with pytest.raises(DoesNotFit, match=r"memories.accumulator.size >= 1024"):
        bittrue.simulate(bittrue.networks.gemm(16, 16, 16), GEMMINI.evolve({"memories.accumulator": {"size": 512}}))


def test_sums_stay_in_the_array():
    executes = command_schedule("layer", Product(16, 16, 64, 1), GEMMINI).commands.executes
    assert executes[:, at.RESULT_PLACE].tolist() == [-1, -1, -1, 0]
