"""Layers off the array: chunks, and what each engine reads and writes."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from simulator.lowering.layer import Engine
from simulator.mapping.mapper import map_layers
from support.devices import machine
from support.layers import stream_layer


@given(st.integers(1, 4000), st.integers(1, 4000), st.integers(0, 10**6), st.integers(0, 500))
@example(101, 103, 107, 20)
def test_chunks_fit_half_the_scratchpad_and_add_up(read, write, lane_ops, spare):
    size = 2 * (-(-read // write) + 1) + spare
    layer = stream_layer(Engine.VECTOR, (read,), (write,), ops=lane_ops)
    ops = map_layers([layer], machine(inputs=size)).layers[0].ops
    assert ops["input_bytes"].sum() == read
    assert ops["store_bytes"].sum() == write
    assert ops["ops"].sum() == lane_ops
    assert ((ops["input_bytes"] + ops["store_bytes"]) <= size // 2).all()


@pytest.mark.parametrize(
    ("shapes", "expected"),
    [
        (((10, 10), (4, 10)), (40, 40)),  # a slice reads what it keeps
        (((10, 10), (12, 12)), (100, 144)),  # a pad writes more than it reads
    ],
)
def test_movement_reads_no_more_than_it_needs(shapes, expected):
    ops = map_layers([stream_layer(Engine.DMA, *shapes)], machine()).layers[0].ops
    assert (ops["input_bytes"].sum(), ops["store_bytes"].sum()) == expected


def test_a_reshape_does_nothing():
    layer = stream_layer(Engine.DMA, (4, 4), (16,), moves_data=False)
    assert len(map_layers([layer], machine()).layers[0].ops) == 0
