"""What a timing-only run leaves to the next must change nothing but the time it takes."""

from __future__ import annotations

from dataclasses import replace

import pytest

import bittrue
from simulator import reuse
from simulator.records.serialize import record_to_json

NETWORK = bittrue.networks.gemm(300, 200, 100)
SMALL_UNET = bittrue.load_network("unet", size=32, width=0.125)
CHANGES = (
    {"vector_unit.lanes": 3},
    {"clock_mhz": 321.0},
    {"dram.latency_cycles": 7},
    {"array.rows": 16},
    {"memories.input_scratchpad.size": 4096},
    {"mapper": "fixed_rule", "memories.input_scratchpad.size": 4096},
    {"mapper": "fixed_rule", "memories.input_scratchpad.size": 4096, "dram.bytes_per_cycle": 3},
    {"mapper": "fixed_rule", "memories.weight_scratchpad.size": 4096, "dram.bytes_per_cycle": 3},
    {"mapper": "fixed_rule", "array.weight_double_buffer": False},
    {"mapper": "fixed_rule", "array.dataflow": "output_stationary"},
    {"mapper": "fixed_rule", "host.elements_per_cycle": 0.3},
    {"mapper": "least_cycles", "dma.setup_cycles": 99},
    {"cores": 3},
    {"cores": 3, "vector_unit.lanes": 3},
    {"cores": 3, "mapper": "fixed_rule", "host.elements_per_cycle": 0.3},
    {"cores": 3, "dram.model": "banked", "dram.device": "lpddr4x_3200"},
    {"arithmetic.accumulator": {"bits": 20, "overflow": "saturate"}},
)


@pytest.mark.parametrize("network", [NETWORK, SMALL_UNET], ids=["gemm", "unet"])
def test_a_record_is_the_same_whatever_ran_before(network):
    accelerator = bittrue.load_accelerator("edge_32x32")
    points = [accelerator, *(accelerator.evolve(change) for change in CHANGES)]
    kept = [record_to_json(bittrue.simulate(network, point, timing_only=True).record) for point in points * 2]
    assert kept[: len(points)] == kept[len(points) :]
    for point, text in zip(points, kept, strict=False):
        fresh = replace(network, graph=replace(network.graph))
        assert record_to_json(bittrue.simulate(fresh, point, timing_only=True).record) == text
    assert len(set(kept)) == len(points)


def test_schedules_are_found_again_and_few_are_kept(monkeypatch):
    accelerator = bittrue.load_accelerator("edge_32x32")
    network = replace(NETWORK, graph=replace(NETWORK.graph))
    engine = bittrue.prepare(network, accelerator, timing_only=True).engine
    first = reuse.mapped(engine.graph, engine.layers, accelerator)
    assert reuse.mapped(engine.graph, engine.layers, accelerator.evolve({"vector_unit.lanes": 3})) is first
    other = accelerator.evolve({"memories.input_scratchpad.size": 4096})
    monkeypatch.setattr(reuse, "MOST_TILE_OPS", 1)
    assert reuse.mapped(engine.graph, engine.layers, other) is not first
    assert reuse.mapped(engine.graph, engine.layers, accelerator) is not first
