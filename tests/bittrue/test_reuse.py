"""What a timing-only run leaves to the next must change nothing but the time it takes."""

from __future__ import annotations

from dataclasses import replace

import bittrue
from simulator import reuse
from simulator.records.serialize import record_to_json

NETWORK = bittrue.networks.gemm(300, 200, 100)
CHANGES = (
    {"vector_unit.lanes": 3},
    {"clock_mhz": 321.0},
    {"dram.latency_cycles": 7},
    {"array.rows": 16},
    {"memories.input_scratchpad.size": 4096},
    {"arithmetic.accumulator": {"bits": 20, "overflow": "saturate"}},
)


def test_a_record_is_the_same_whatever_ran_before():
    accelerator = bittrue.load_accelerator("edge_32x32")
    points = [accelerator, *(accelerator.evolve(change) for change in CHANGES)]
    kept = [record_to_json(bittrue.simulate(NETWORK, point, timing_only=True).record) for point in points * 2]
    assert kept[: len(points)] == kept[len(points) :]
    for point, text in zip(points, kept, strict=False):
        fresh = replace(NETWORK, graph=replace(NETWORK.graph))
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
