"""The compiled command machine against its slow twin, to the cycle; what it counts; what it refuses."""

from __future__ import annotations

import numpy as np
import pytest

import bittrue
from simulator.errors import DoesNotFit, SpecError
from simulator.mapping.command_schedule import command_device, command_schedule
from simulator.mapping.command_tiles import Extent, loop_tile
from simulator.mapping.commands import Product
from simulator.timing.commands import run_command_layer
from tests.support.command_twin import CommandTwin

GEMMINI = bittrue.load_accelerator("gemmini_16x16")


def layer_time(product, accelerator):
    schedule = command_schedule("layer", product, accelerator)
    return run_command_layer(schedule.commands, accelerator, 100)[0]


def _twin(product, accelerator):
    device = command_device(accelerator)
    extent = Extent.of(product.m, product.n, product.k, device.dim)
    tile = loop_tile(extent, device.scratchpad_rows, device.accumulator_rows, device.dim)
    return CommandTwin(product, tile, accelerator)


def drawn_device(rng, dims=(4, 8, 16)):
    """Draw a small device with small memories (many loops), and its latencies."""
    pick = lambda *options: options[rng.integers(len(options))]  # noqa: E731
    dim = int(pick(*dims))
    block = dim * dim
    size = int(pick(2, 4, 8, 16)) * 4 * block
    changes = {
        "array.rows": dim,
        "array.cols": dim,
        "memories.input_scratchpad": {"size": size, "banks": int(pick(1, 2))},
        "memories.weight_scratchpad": {"size": size, "banks": int(pick(1, 2))},
        "memories.accumulator": {"size": int(pick(2, 4, 10)) * 4 * block},
        "dma.burst_bytes": int(pick(16, 32, 64)),
        "dma.max_outstanding": int(pick(1, 3, 16)),
        "dram.latency_cycles": int(pick(0, 1, 20, 77)),
        "dram.bytes_per_cycle": float(pick(3, 8, 16, 64)),
    }
    names = {
        "load_entries": (2, 8), "execute_entries": (4, 16), "store_entries": (1, 4), "load_commands_in_flight": (1, 2),
        "store_commands_in_flight": (1, 2), "start_cycles": (0, 14), "configure_cycles": (1, 7, 30),
        "issue_cycles": (1, 2), "read_cycles": (1, 6), "load_done_cycles": (0, 4), "load_free_cycles": (0, 5),
        "result_cycles": (1, 20), "minimum_rows": (1, 4), "read_results_in_flight": (1, 5),
        "read_result_cycles": (1, 8), "write_cycles": (0, 2), "store_done_cycles": (0, 32), "end_cycles": (0, 4),
        "unroll_cycles": (0, 2), "zero_cycles": (0, 3), "passes_in_flight": (1, 5), "pass_cycles": (0, 9, 34),
        "flush_cycles": (0, 6), "host_cycles": (1, 1, 3),
    }  # fmt: skip
    changes |= {f"controller.{name}": int(pick(*options)) for name, options in names.items()}
    # Not drawn, so that the cases stay what they are: `test_the_cases_drawn_meet_every_feature`.
    changes["controller.store_complete_cycles"] = changes["controller.end_cycles"] * 4
    return GEMMINI.evolve(changes)


def _drawn(rng):
    """Draw a device and a product."""
    accelerator = drawn_device(rng)
    m, n, k = (int(rng.integers(1, 5 * accelerator.array.rows)) for _ in range(3))
    bias = ("none", "vector", "matrix")[rng.integers(3)]
    return Product(m, n, k, int(rng.choice([1, 4])), bias), accelerator


@pytest.mark.parametrize("seed", range(10))
def test_machine_equals_its_twin(seed):
    rng = np.random.default_rng(seed)
    loops = 0
    for _ in range(25):
        product, accelerator = _drawn(rng)
        twin = _twin(product, accelerator)
        loops += len(twin.loops)
        assert layer_time(product, accelerator).end_cycle == twin.cycles(), (product, accelerator)
    assert loops > 100  # most products are cut, so halves, reuse and the wait for a free loop are met


def test_one_block_by_hand():
    """16 x 16 x 16 with every latency at its least, cycle by cycle.

    The loop is configured in cycle 0 and the sequencers start in 1; loads are issued in 2 and 3. Reads of the
    activations go out in 3..18, of the weights in 19..34 (a row each), and a beat comes a cycle later and is a row of
    the scratchpad the cycle after. The last row is written in 36, the load complete in 38, the preload takes 38..53,
    the block 54..69; its last row is in accumulator memory in 70, so the store may start in 71: rows go in 71..86.
    The last write is acknowledged in 88, and complete in that cycle.
    """
    least = {
        name: 1 for name in ("configure_cycles", "issue_cycles", "read_cycles", "result_cycles", "read_result_cycles")
    }
    none = ("start_cycles", "load_done_cycles", "write_cycles", "store_done_cycles", "end_cycles")
    changes = {f"controller.{name}": value for name, value in (least | dict.fromkeys(none, 0)).items()}
    accelerator = GEMMINI.evolve({**changes, "dram.latency_cycles": 0})
    time = layer_time(Product(16, 16, 16, 1), accelerator)
    assert time.end_cycle == 89
    assert (time.compute_cycles, time.load_stall_cycles, time.store_stall_cycles) == (32, 38, 19)


def test_each_latency_matters():
    """A constant that the machine did not read would leave the cycles as they are."""
    product = Product(16, 16, 16, 1)
    before = layer_time(product, GEMMINI).end_cycle
    names = ("start", "issue", "read", "load_done", "result", "read_result", "write", "store_done", "end")
    for name in names:
        key = f"{name}_cycles"
        slower = GEMMINI.evolve({f"controller.{key}": getattr(GEMMINI.controller, key) + 9})
        assert layer_time(product, slower).end_cycle > before, name


def test_latency_and_bandwidth_are_free():
    cycles = [
        layer_time(Product(64, 64, 64, 1), GEMMINI.evolve({"dram.latency_cycles": latency})).end_cycle
        for latency in (1, 20, 200)
    ]
    assert cycles == sorted(set(cycles))
    narrow = GEMMINI.evolve({"dram.bandwidth": "4 GB/s"})
    assert layer_time(Product(64, 64, 64, 1), narrow).end_cycle > 8192 / 4  # 64 x 64 int8, in twice, out never less


def test_layer_records_count_what_the_bus_carries():
    record = bittrue.simulate(bittrue.networks.gemm(40, 30, 20), GEMMINI).layers[0]
    # Rows of 30 bytes, most over two aligned requests; weights: 32 rows of 20 bytes, two of them beyond K.
    assert record.dram_read_bytes > 40 * 30 + 30 * 20
    assert record.dram_read_bytes % 16 == 0
    assert record.dram_write_bytes >= 40 * 20
    assert record.total_cycles == record.compute_cycles + record.stall_cycles
    assert record.stall_cycles == record.load_stall_cycles + record.store_stall_cycles
    assert record.macs == 40 * 30 * 20
    assert 0 < record.utilization < record.mapping_utilization <= 1


def test_a_pointwise_convolution_is_a_product_and_groups_run_on_the_generic_machine():
    product = bittrue.simulate(bittrue.networks.gemm(64, 32, 48, bias=True), GEMMINI).layers[0]
    pointwise = bittrue.networks.conv2d(8, 8, 32, 48, 1)
    assert bittrue.simulate(pointwise, GEMMINI).layers[0].total_cycles == product.total_cycles
    generic = GEMMINI.evolve({"controller": None})
    assert bittrue.simulate(pointwise, generic).layers[0].total_cycles != product.total_cycles
    grouped = bittrue.networks.conv2d(8, 8, 32, 48, 1, groups=4)
    ours, theirs = (bittrue.simulate(grouped, device).layers[0].total_cycles for device in (GEMMINI, generic))
    assert ours == theirs


def test_values_do_not_depend_on_the_controller():
    rng = np.random.default_rng(3)
    net = bittrue.networks.gemm(33, 70, 20, out="int32").with_weights(rng.integers(-128, 128, (70, 20)))
    x = rng.integers(-128, 128, (33, 70)).astype(np.int8)
    with_loops = bittrue.simulate(net, GEMMINI, [x])
    without = bittrue.simulate(net, GEMMINI.evolve({"controller": None}), [x])
    assert np.array_equal(with_loops.outputs["output"], without.outputs["output"])
    assert with_loops.layers[0].overflow == without.layers[0].overflow


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"array.rows": 8}, r"square array; make array.rows \(8\) and array.cols \(16\) equal"),
        ({"array.weight_double_buffer": False}, "weight_double_buffer: true"),
        ({"arithmetic.weight": "int16"}, "make arithmetic.weight int8"),
        ({"arithmetic.accumulator.bits": 48}, "at most 32 bits, not 48"),
        ({"dma.burst_bytes": 48}, "1, 2, 4 ... beats of 16 bytes; make dma.burst_bytes one, not 48"),
    ],
)
def test_what_command_loops_cannot_drive_is_refused(changes, message):
    with pytest.raises(SpecError, match=message):
        GEMMINI.evolve(changes)


def test_memories_smaller_than_a_block_are_refused_with_levers():
    net = bittrue.networks.gemm(16, 16, 16)
    with pytest.raises(DoesNotFit, match=r"memories.accumulator.size >= 2048"):
        bittrue.simulate(net, GEMMINI.evolve({"memories.accumulator": {"size": 1024}}))
    small = {"memories.input_scratchpad": {"size": 1024}, "memories.weight_scratchpad": {"size": 1024}}
    with pytest.raises(DoesNotFit, match=r"input_scratchpad.size \+ memories.weight_scratchpad.size >= 5120"):
        bittrue.simulate(net, GEMMINI.evolve(small))
