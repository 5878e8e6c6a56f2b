"""How layers are split over cores: the bounds that spare timing, and that more cores are never slower."""

from __future__ import annotations

from functools import cache

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

import bittrue
from simulator.errors import DoesNotFit
from simulator.lowering.layer import Engine
from simulator.mapping.mapper import map_layers
from simulator.mapping.split import core_counts, splits
from simulator.mapping.split_bounds import LeastCost
from simulator.mapping.work import ArrayWork, Device
from simulator.timing.fast import layer_cycles
from support.devices import machine
from support.layers import array_layer, conv, stream_layer
from support.strategies import Case, any_split, cases

MAPPERS = st.sampled_from(["least_traffic", "least_cycles", "fixed_rule"])


def cost(schedule, accelerator) -> tuple[int, int]:
    return layer_cycles(accelerator)(schedule), schedule.total("input_bytes") + schedule.total("weight_bytes")


@settings(max_examples=150, deadline=None)
@given(cases(cores=6))
def test_no_schedule_costs_less_than_its_bounds(case: Case):
    accelerator = case.accelerator
    try:
        (schedule,) = map_layers([case.layer], accelerator, any_split).layers
    except DoesNotFit:
        assume(False)
    assume(schedule.parts)
    bound = LeastCost(ArrayWork.of(case.layer), schedule.parts, Device.of(accelerator))
    found = cost(schedule, accelerator)
    assert all(least <= true for least, true in zip(bound.cost, bound.of(schedule.mapping), strict=True))
    assert all(least <= true for least, true in zip(bound.of(schedule.mapping), found, strict=True))


@settings(max_examples=60, deadline=None)
@given(cases(), st.integers(2, 6), MAPPERS)
def test_what_is_ruled_out_costs_no_less_than_what_is_chosen(case: Case, cores: int, mapper: str):
    accelerator = case.accelerator.evolve({"cores": cores, "mapper": mapper})
    cycles = layer_cycles(accelerator)
    try:
        chosen, exhaustive = (
            map_layers([case.layer], accelerator, cycles, bounded=bounded).layers[0] for bounded in (True, False)
        )
    except DoesNotFit:
        assume(False)
    assert cost(chosen, accelerator) == cost(exhaustive, accelerator)


def test_bounds_spare_most_of_the_timing():
    layer, accelerator = array_layer(conv(40, 40, 64, 64, 3, padding=1)), machine(cores=6, bytes_per_cycle=4)
    timed = {True: 0, False: 0}
    for bounded in timed:

        def cycles(schedule, bounded=bounded):
            timed[bounded] += 1
            return layer_cycles(accelerator)(schedule)

        map_layers([layer], accelerator, cycles, bounded=bounded)
    assert timed[True] < timed[False] / 3


def test_every_count_is_tried_and_parts_differ_by_a_step():
    work = ArrayWork.of(array_layer(conv(13, 5, 4, 40)))
    found = {}
    for parts in splits(work, Device.of(machine(4, 8)), 7):
        sizes = [(part.channels, part.rows) for part in parts]
        found.setdefault("rows" if sizes[0][1] < 13 else "channels", []).append(sizes)
    rows = [[rows for _, rows in sizes] for sizes in found["rows"]]
    assert rows == [
        [2, 2, 2, 2, 2, 2, 1],
        [3, 2, 2, 2, 2, 2],
        [3, 3, 3, 2, 2],
        [4, 3, 3, 3],
        [5, 4, 4],
        [7, 6],
    ]
    assert [[channels for channels, _ in sizes] for sizes in found["channels"]] == [
        [8] * 5,
        [16, 8, 8, 8],
        [16, 16, 8],
        [24, 16],
    ]


def test_counts_of_many_cores():
    assert core_counts(5) == [5, 4, 3, 2]
    assert core_counts(16) == list(range(16, 1, -1))
    assert core_counts(35)[:6] == [35, 32, 30, 28, 26, 24]
    assert 1024 in core_counts(1024)
    assert len(core_counts(1024)) < 70


@cache
def total(network: str, device: str, mapper: str, cores: int) -> int:
    accelerator = bittrue.load_accelerator(device).evolve({"cores": cores, "mapper": mapper})
    return bittrue.simulate(bittrue.load_network(network), accelerator).record.total_cycles


@pytest.mark.parametrize("cores", range(2, 8))
@pytest.mark.parametrize(
    ("network", "device"), [("deeplabv3_resnet50", "edge_32x32"), ("unet", "edge_16x16_os"), ("resnet50", "tpu_v1")]
)
def test_a_core_more_never_makes_a_built_in_network_slower(network, device, cores):
    assert total(network, device, "least_traffic", cores) <= total(network, device, "least_traffic", cores - 1)


def test_a_core_more_never_makes_a_stream_slower():
    layer = stream_layer(Engine.VECTOR, (5000,), (5000,), ops=50_000)
    times = []
    for cores in range(1, 9):
        accelerator = machine(cores=cores, inputs=2000, lanes=4)
        cycles = layer_cycles(accelerator)
        times.append(cycles(map_layers([layer], accelerator, cycles).layers[0]))
    assert times == sorted(times, reverse=True)
    assert times[-1] < times[0] / 3
