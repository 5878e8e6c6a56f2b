"""Layers of odd shapes on the command machine: they end, move the same bytes at any memory, and no bus is beaten."""

from __future__ import annotations

import numpy as np
import pytest

import bittrue
from bittrue import networks

GEMMINI = bittrue.load_accelerator("gemmini_16x16")
OUTPUT_STATIONARY = GEMMINI.evolve({"array.dataflow": "output_stationary"})
SIDES = (1, 2, 3, 15, 16, 17, 31, 48, 65, 100)
BUS_BYTES = GEMMINI.controller.bus_bytes


def _product(rng):
    m, k, n = (int(side) for side in rng.choice(SIDES, 3))
    network = networks.gemm(m, k, n, bias=bool(rng.integers(2)))
    return network, (GEMMINI, OUTPUT_STATIONARY)[rng.integers(2)], m * k + k * n, m * n


def _convolution(rng):
    height, width = (int(side) for side in rng.integers(9, 24, 2))
    channels, filters = (int(count) for count in rng.choice((1, 3, 4, 16, 17), 2))
    kernel, stride, dilation = (int(one) for one in rng.integers(1, (5, 4, 3)))
    network = networks.conv2d(height, width, channels, filters, kernel, stride=stride, dilation=dilation)
    side = [(length - dilation * (kernel - 1) - 1) // stride + 1 for length in (height, width)]
    return network, GEMMINI, kernel**2 * channels * filters, side[0] * side[1] * filters


@pytest.mark.parametrize("draw", [_product, _convolution])
@pytest.mark.parametrize("seed", range(6))
def test_any_memory_moves_the_same_bytes_and_none_is_beaten(draw, seed):
    rng = np.random.default_rng(seed)
    for _ in range(4):
        network, accelerator, least_read, least_written = draw(rng)
        moved = set()
        for latency, bandwidth in ((1, 16), (20, 64), (400, 16), (20, 3), (7, 1)):
            memory = {"dram.latency_cycles": latency, "dram.bytes_per_cycle": bandwidth}
            record = bittrue.simulate(network, accelerator.evolve(memory), timing_only=True).layers[0]
            moved.add((record.dram_read_bytes, record.dram_write_bytes))
            assert record.dram_read_bytes >= least_read
            assert record.dram_write_bytes >= least_written
            most = max(record.dram_read_bytes, record.dram_write_bytes)
            assert record.total_cycles >= most / min(bandwidth, BUS_BYTES)
            assert record.total_cycles > record.compute_cycles
            assert record.total_cycles > 2 * latency  # operands come in, then results are acknowledged
        assert len(moved) == 1
