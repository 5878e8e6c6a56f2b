"""The choice of a mapping: best of all candidates, and never worse for more memory."""

from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from simulator.errors import DoesNotFit
from simulator.mapping.array_cycles import tile_op_cycles
from simulator.mapping.candidates import candidates
from simulator.mapping.mapper import map_layers
from simulator.mapping.schedule import LayerMapping, LayerSchedule, LoopOrder, Residency
from simulator.mapping.search import plans, search
from simulator.mapping.tiles import array_schedule
from simulator.mapping.traffic import compute_cycles, pixel_table
from simulator.mapping.work import ArrayWork, Device
from support.devices import machine
from support.layers import array_layer, conv, deeplabv3_resnet50, gemm
from support.strategies import Case, cases


def read_bytes(layer: LayerSchedule) -> int:
    return int(sum(layer.ops[f"{kind}_bytes"].sum() for kind in ("input", "weight", "bias")))


def held_bytes(layer: LayerSchedule, kind: str) -> int:
    """Most bytes that one half of a scratchpad is given, from the loads of the tile ops themselves."""
    takes = layer.ops["hold"] & {"input": 1, "weight": 2}[kind] != 0
    return int(np.bincount(np.cumsum(takes), layer.ops[f"{kind}_bytes"]).max())


@settings(max_examples=25, deadline=None)
@given(cases(), st.sampled_from(list(plans())), st.randoms(use_true_random=False))
def test_no_candidate_that_fits_moves_fewer_bytes(case: Case, plan, random):
    work, device = ArrayWork.of(case.layer), Device.of(case.accelerator)
    best = search(work, device)
    assume(best is not None)
    least = read_bytes(array_schedule(work, best, device))
    cand = candidates(work.geometry, device.rows, device.cols)
    for _ in range(40):
        block = random.randrange(len(cand.groups))
        other = replace(
            best,
            rows=random.choice(cand.tile_rows),
            cols=random.choice(cand.tile_cols),
            channels=int(cand.channels[block]),
            groups=int(cand.groups[block]),
            k=cand.k_sizes[cand.k_index[block]],
            order=plan.order,
            input_residency=plan.inputs,
            weight_residency=plan.weights,
        )
        layer = array_schedule(work, other, device)
        ops = layer.ops
        accumulators = ops["rows"].astype(int) * ops["cols"] * ops["channels"] * ops["groups"]
        if (
            held_bytes(layer, "input") <= device.input_half_bytes
            and held_bytes(layer, "weight") <= device.weight_half_bytes
            and accumulators.max() * device.accumulator_element_bytes <= device.accumulator_half_bytes
        ):
            assert least <= read_bytes(layer)


@settings(max_examples=60, deadline=None)
@given(cases(), st.sampled_from(["input_scratchpad", "weight_scratchpad", "accumulator"]), st.integers(1, 3000))
def test_traffic_never_grows_with_a_memory(case: Case, memory: str, more: int):
    size = getattr(case.accelerator.memories, memory).size
    bigger = case.accelerator.evolve({f"memories.{memory}.size": size + more})
    try:
        before = read_bytes(map_layers([case.layer], case.accelerator).layers[0])
    except DoesNotFit:
        assume(False)
    assert read_bytes(map_layers([case.layer], bigger).layers[0]) <= before


@pytest.mark.parametrize("memory", ["input_scratchpad", "weight_scratchpad", "accumulator"])
def test_traffic_of_a_real_network_never_grows_with_a_memory(memory: str):
    layers = [layer for layer in deeplabv3_resnet50(129) if layer.geometry is not None][:12]
    traffic = []
    for size in (8, 12, 16, 31, 32, 64, 100, 128, 512):
        schedule = map_layers(layers, machine(16, 16).evolve({f"memories.{memory}.size": size * 1024}))
        traffic.append([read_bytes(layer) for layer in schedule.layers])
    for less, more in itertools.pairwise(traffic):
        assert all(b <= a for a, b in zip(less, more, strict=True))
    assert sum(traffic[-1]) < sum(traffic[0])


@settings(max_examples=40, deadline=None)
@given(cases(), st.randoms(use_true_random=False))
def test_cycles_of_the_search_are_those_of_the_tile_ops(case: Case, random):
    work, device = ArrayWork.of(case.layer), Device.of(case.accelerator)
    g = work.geometry
    cand = candidates(g, device.rows, device.cols)
    table = compute_cycles(work, cand, pixel_table(work, cand, device), device)
    row, col = random.randrange(len(cand.tile_rows)), random.randrange(len(cand.tile_cols))
    block = random.randrange(len(cand.groups))
    mapping = LayerMapping(
        rows=cand.tile_rows[row],
        cols=cand.tile_cols[col],
        channels=int(cand.channels[block]),
        k=cand.k_sizes[cand.k_index[block]],
        groups=int(cand.groups[block]),
        order=LoopOrder.INPUTS_RESIDENT,
        input_residency=Residency.TILE,
        weight_residency=Residency.LAYER,
        extent=(g.groups, g.batch, g.out_height, g.out_width, g.filters, g.k),
    )
    expected = tile_op_cycles(array_schedule(work, mapping, device).ops, device).sum()
    assert table[row * len(cand.tile_cols) + col, block] == expected


@pytest.mark.parametrize("size", [(720, 1280), (1024, 2048)])
@pytest.mark.parametrize("dataflow", ["weight_stationary", "output_stationary"])
def test_large_images_are_split_until_they_fit(size: tuple[int, int], dataflow: str):
    height, width = size
    accelerator = machine(16, 16, dataflow=dataflow, inputs=32 * 1024, weights=16 * 1024, accumulators=16 * 1024)
    layers = [
        array_layer(conv(height, width, 3, 64, 7, 2, padding=3), "stem"),
        array_layer(conv(height // 8, width // 8, 2048, 256, 3, dilation=36, padding=36), "aspp"),
        array_layer(conv(height // 4, width // 4, 64, 64, 3, padding=1, groups=64), "depthwise"),
        array_layer(gemm(1, 25088, 1000), "fc"),
    ]
    schedule = map_layers(layers, accelerator)
    assert [int(layer.ops["store_bytes"].sum()) for layer in schedule.layers] == [
        layer.outputs[0].bytes for layer in layers
    ]


def test_loop_nest_names_every_loop():
    layer = map_layers([array_layer(conv(40, 40, 32, 32, 3, padding=1))], machine(inputs=8192)).layers[0]
    assert layer.mapping is not None
    text = layer.mapping.loop_nest()
    names = [line.split()[1] for line in text.splitlines()[:-1]]
    assert sorted(names) == ["channels", "cols", "groups", "image", "k", "rows"]
    assert (names[0], names[-1]) == ("groups", "k")
    assert np.prod(layer.mapping.trips) == len(layer.ops)
