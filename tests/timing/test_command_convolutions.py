"""Convolutions on the compiled command machine against a slow twin, to the cycle and the beat; their tiles."""

from __future__ import annotations

import numpy as np
import pytest

import bittrue
from simulator.errors import DoesNotFit
from simulator.kernels import command_layout as at
from simulator.mapping.command_schedule import command_device, convolution_schedule
from simulator.mapping.convolution_tiles import Convolution, Pool, convolution_tile
from simulator.timing.commands import run_command_layer
from tests.support.convolution_twin import ConvolutionTwin
from tests.timing.test_command_machine import GEMMINI, drawn_device


def _twin(conv, accelerator):
    device = command_device(accelerator)
    tile = convolution_tile(conv, device.scratchpad_rows, device.accumulator_rows, device.dim)
    return None if tile is None else ConvolutionTwin(conv, tile, accelerator)


def _drawn(rng, dim):
    kernel, stride = int(rng.choice([1, 2, 3, 3, 5])), int(rng.choice([1, 1, 2, 3]))
    if kernel == 1:
        stride = int(rng.choice([2, 2, 3]))
    dilation = int(rng.choice([1, 1, 2])) if kernel > 1 else 1
    reach = (kernel - 1) * dilation + 1
    pad = int(rng.integers(0, reach)) if rng.integers(2) else 0
    height, width = (int(rng.integers(max(1, reach - 2 * pad), reach + 6)) for _ in range(2))
    out = [(n + 2 * pad - reach) // stride + 1 for n in (height, width)]
    pool = None
    if rng.integers(3) == 0 and min(out) >= 3:
        size = int(rng.integers(2, 4))
        pool = Pool(size, int(rng.integers(1, 3)), int(rng.integers(0, 2)) if size == 3 else 0)
    channels, filters = (int(rng.choice([1, 3, dim, int(rng.integers(1, 3 * dim))])) for _ in range(2))
    batch, bias = int(rng.choice([1, 1, 2])), bool(rng.integers(2))
    return Convolution(batch, height, width, channels, *out, filters, kernel, stride, dilation, pad, pad, bias, pool)


def _case(rng):
    """Draw a device with small memories and a convolution that fits it, small enough for the twin."""
    while True:
        accelerator = drawn_device(rng, dims=(4,))
        conv = _drawn(rng, accelerator.array.rows)
        twin = _twin(conv, accelerator)
        if twin is not None and 0 < sum(len(loop.pairs) for loop in twin.loops) < 600:
            return conv, accelerator, twin


SEEDS = (0, 1, 2, 3, 5, 6, 7, 16)


@pytest.mark.parametrize("seed", SEEDS)
def test_machine_equals_its_twin(seed):
    rng = np.random.default_rng(seed)
    for _ in range(5):
        conv, accelerator, twin = _case(rng)
        schedule = convolution_schedule("layer", conv, accelerator)
        time = run_command_layer(schedule.commands, accelerator, 100)[0]
        assert time.end_cycle == twin.cycles(), (conv, accelerator)
        for sequencer, name in ((at.ACTIVATIONS, "x"), (at.WEIGHTS, "w"), (at.BIASES, "bias"), (at.STORES, "y")):
            theirs = [
                sum(request.beats for move in loop.streams[name] for row in move.rows for request in row)
                for loop in twin.loops
            ]
            assert schedule.commands.beats[:, sequencer].tolist() == theirs, name


def test_every_other_pixel_is_loaded_for_a_pointwise_filter_of_stride_2():
    conv = Convolution(1, 36, 34, 40, 18, 17, 7, 1, 2)
    schedule = convolution_schedule("layer", conv, GEMMINI)
    assert run_command_layer(schedule.commands, GEMMINI, 10)[0].end_cycle == _twin(conv, GEMMINI).cycles()
    moved = schedule.commands.commands[: schedule.commands.loops[-1, at.FIRST_COMMAND]]
    assert moved[:, at.ROWS].sum() == 18 * 17
    odd = Convolution(1, 36, 33, 40, 18, 17, 7, 1, 2)
    schedule = convolution_schedule("layer", odd, GEMMINI)
    moved = schedule.commands.commands[: schedule.commands.loops[-1, at.FIRST_COMMAND]]
    # An image with an odd side is loaded whole, with a column of zeros: a stride covers a column beyond the last tap.
    assert moved[:, at.ROWS].sum() == 36 * 34


def test_the_cases_drawn_meet_every_feature():
    met = set()
    for seed in SEEDS:
        rng = np.random.default_rng(seed)
        for _ in range(5):
            conv, accelerator, twin = _case(rng)
            size = twin.tile
            met |= {("loops", len(twin.loops) > 1), ("pool", conv.pool is not None), ("bias", conv.bias)}
            met |= {("dilated", conv.dilation > 1), ("strided", conv.stride > 1), ("batch", conv.batch > 1)}
            met |= {("padded", conv.pad_top > 0)}
            met |= {("packed", conv.pixels_per_row(size.channels, size.kernel_cols, accelerator.array.rows) > 1)}
            met |= {("kept", any(not loop.streams["x"] or not loop.streams["w"] for loop in twin.loops))}
            met |= {("split reduction", size.channels < conv.channels or size.kernel_rows < conv.kernel)}
    assert {name for name, holds in met if holds} == {name for name, _ in met}


def test_one_output_by_hand():
    """A 3 x 3 filter on a 3 x 3 image: one output of one channel, every latency at its least.

    Biases set a register and write a row of zeros; weights set one and load 9 taps; activations set one and load 3 rows
    of 3 pixels. A pixel, a weight and the output take a beat each.
    """
    conv = Convolution(1, 3, 3, 1, 1, 1, 1, 3)
    schedule = convolution_schedule("layer", conv, GEMMINI)
    assert schedule.commands.beats.tolist() == [[9, 9, 0, 0, 1]]
    # Three pixels side by side in a row of the scratchpad: one execute a filter row, each with new weights.
    assert schedule.commands.executes[:, at.EXECUTE_ROWS].tolist() == [1, 1, 1]
    assert schedule.commands.executes[:, at.NEW_WEIGHTS].tolist() == [1, 1, 1]
    kinds = schedule.commands.commands[:, at.KIND].tolist()
    assert kinds.count(at.SETUP) == 3
    assert kinds.count(at.ZEROS) == 1
    # 16 rows of weights alone, twice 16 beside a block, and the last block's 4 at least, once all loads are through.
    patient = GEMMINI.evolve({"controller.load_done_cycles": 90, "controller.load_commands_in_flight": 16})
    time = run_command_layer(schedule.commands, patient, 10)[0]
    assert time.compute_cycles == 16 + 16 + 16 + 4


def test_beats_of_a_whole_layer_by_definition():
    """Rows of 64 channels are one request of 4 beats, so beats are bytes / 16: the image once a loop over channels."""
    conv = Convolution(1, 14, 14, 64, 14, 14, 64, 3, 1, 1, 1, 1)
    schedule = convolution_schedule("layer", conv, GEMMINI)
    tile = schedule.mapping
    assert (tile.rows, tile.cols, tile.channels, tile.k) == (14, 14, 32, 576)  # 14 x 14 x 2 blocks of 512 accumulators
    beats = schedule.commands.beats.sum(axis=0)
    assert beats[at.ACTIVATIONS] == 14 * 14 * 64 // 16  # kept in the scratchpad for the second loop
    assert beats[at.WEIGHTS] == 9 * 64 * 64 // 16
    assert beats[at.STORES] == 14 * 14 * 64 // 16


@pytest.mark.parametrize("seed", range(40))
def test_tiles_fit_and_cannot_grow(seed):
    """What the rule promises, counted apart: half of both memories hold a tile, and no side can be one longer."""
    rng = np.random.default_rng(seed)
    conv = _drawn(rng, 16)
    tile = convolution_tile(conv, 16384, 1024, 16)
    whole = (conv.batch, conv.pooled_height, conv.pooled_width, conv.filters, conv.kernel, conv.kernel, conv.channels)

    def fits(batches, rows, cols, filters, kernel_rows, kernel_cols, channels):
        pool = conv.pool or Pool()
        height, width = ((n - 1) * pool.stride + pool.stride + pool.size - 1 for n in (rows, cols))
        image = (height * conv.stride + (kernel_rows - 1) * conv.dilation) * (
            width * conv.stride + (kernel_cols - 1) * conv.dilation
        )
        if conv.halves_input:
            image = height * width
        blocks = -(-filters // 16)
        inputs = batches * image * -(-channels // 16)
        return (
            inputs + blocks * kernel_rows * kernel_cols * channels <= 8192 and batches * height * width * blocks <= 512
        )

    sides = list(tile)
    assert fits(*sides)
    for index, limit in enumerate(whole):
        longer = [*sides[:index], sides[index] + 1, *sides[index + 1 :]]
        assert sides[index] == limit or not fits(*longer)


def test_networks_run_their_convolutions_as_commands():
    generic = GEMMINI.evolve({"controller": None})
    for net in (
        bittrue.networks.conv2d(8, 8, 32, 48, 3, padding=1),
        bittrue.networks.conv2d(8, 8, 32, 48, 1, stride=2),
        bittrue.networks.conv2d(9, 9, 3, 48, 3, stride=2),
    ):
        ours, theirs = (bittrue.simulate(net, device).layers[0] for device in (GEMMINI, generic))
        assert ours.total_cycles != theirs.total_cycles
        assert ours.total_cycles == ours.compute_cycles + ours.stall_cycles
        assert ours.macs == theirs.macs
        assert 0 < ours.utilization < ours.mapping_utilization <= 1


def test_a_max_pool_that_alone_reads_a_convolution_is_done_by_its_stores():
    layers = bittrue.simulate(bittrue.networks.conv2d(20, 20, 8, 24, 3, padding=1, pool=(3, 2, 1)), GEMMINI).layers
    conv = Convolution(1, 20, 20, 8, 20, 20, 24, 3, 1, 1, 1, 1, True, Pool(3, 2, 1))
    schedule = convolution_schedule("layer", conv, GEMMINI)
    assert layers[0].total_cycles == run_command_layer(schedule.commands, GEMMINI, 10)[0].end_cycle
    assert layers[0].dram_write_bytes == layers[1].macs + 16 * schedule.commands.beats[:, at.STORES].sum()
    assert (layers[1].total_cycles, layers[1].dram_read_bytes, layers[1].dram_write_bytes) == (0, 0, 0)
    pointwise = bittrue.networks.conv2d(20, 20, 8, 24, 1, pool=(2, 2, 0))
    assert bittrue.simulate(pointwise, GEMMINI).layers[1].total_cycles == 0


@pytest.mark.parametrize("pool", [((3, 2), 2, 0), (2, (1, 2), 0), (5, 2, 2), (2, 4, 0), (3, 2, (1, 0))])
def test_other_pools_are_layers_of_their_own(pool):
    net = bittrue.networks.conv2d(20, 20, 8, 24, 3, padding=1, pool=pool)
    assert bittrue.simulate(net, GEMMINI).layers[1].total_cycles > 0
    assert bittrue.simulate(net, GEMMINI).layers[1].dram_write_bytes > 0


def test_a_convolution_that_cannot_fit_is_refused_with_levers():
    tiny = GEMMINI.evolve({"memories.accumulator": {"size": 64}})
    with pytest.raises(DoesNotFit, match=r"memories.accumulator.size >= 128"):
        bittrue.simulate(bittrue.networks.conv2d(8, 8, 3, 4, 3), tiny)
