"""Refusals: a device without room for one fold is told what would help, and that does help."""

from __future__ import annotations

import re

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from simulator.accelerator.spec import Accelerator
from simulator.errors import DoesNotFit
from simulator.lowering.layer import Engine
from simulator.mapping.mapper import map_layers
from support.devices import machine
from support.layers import array_layer, conv, stream_layer
from support.strategies import geometries


def pull(accelerator: Accelerator, lever: str) -> Accelerator:
    """Device after doing what a lever says."""
    changes = {}
    for part in lever.split(" and "):
        match = re.fullmatch(r"([a-z_.]+) (?:>=|<=|=) (\d+)", part)
        assert match, part
        changes[match[1]] = int(match[2])
    return accelerator.evolve(changes)


@settings(max_examples=80, deadline=None)
@given(geometries(), st.integers(1, 16), st.integers(1, 16), *[st.integers(1, 300)] * 3)
def test_every_lever_works(geometry, rows, cols, inputs, weights, accumulators):
    accelerator = machine(rows, cols, inputs=inputs, weights=weights, accumulators=accumulators)
    layer = array_layer(geometry, "tight")
    try:
        map_layers([layer], accelerator)
    except DoesNotFit as error:
        refusal = error
    else:
        assume(False)
    assert refusal.layer == "tight"
    assert refusal.needed_bytes > refusal.available_bytes
    assert refusal.levers
    for lever in refusal.levers:
        map_layers([layer], pull(accelerator, lever))


def test_the_size_asked_for_is_the_least_that_works():
    layer = array_layer(conv(4, 4, 64, 64), "c")
    accelerator = machine(16, 16, weights=512)
    with pytest.raises(DoesNotFit, match=r"weight_scratchpad, which has 512") as caught:
        map_layers([layer], accelerator)
    # 16 x 16 weights and 16 biases of 4 bytes, twice.
    assert caught.value.needed_bytes == 2 * (256 + 64)
    assert caught.value.levers == ("memories.weight_scratchpad.size >= 640", "array.cols <= 12", "array.rows = 8")
    map_layers([layer], machine(16, 16, weights=640))
    with pytest.raises(DoesNotFit):
        map_layers([layer], machine(16, 16, weights=639))


def test_a_stream_without_room_for_one_element_is_refused():
    layer = stream_layer(Engine.VECTOR, (1, 8, 8, 4), (1, 1, 1, 4), ops=256, name="mean")
    with pytest.raises(DoesNotFit, match="mean"):
        map_layers([layer], machine(inputs=64))
    # An output and its 64 inputs, twice.
    map_layers([layer], machine(inputs=2 * 65))
