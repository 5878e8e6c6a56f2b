"""Gradients of array layers on narrow registers and on the clock: ledgers, MACs, and what the tiles touch."""

from __future__ import annotations

import numpy as np
import pytest

from simulator.execution.context import ExecutionContext
from simulator.execution.execute import execute
from simulator.graph import ops
from simulator.graph.builder import GraphBuilder
from simulator.graph.graph import Node
from simulator.graph.ops import Padding
from simulator.lowering.layer import Engine
from simulator.lowering.lower import lower
from simulator.mapping.mapper import map_layers
from simulator.numerics.formats import INT8, IntFormat
from simulator.timing import fast
from support import step_twin
from support.array_layers import machine
from support.array_twin import Shape
from workloads.training.array_gradients import filter_gradient, input_gradient

X, FILTERS = (2, 9, 10, 3), 4
CONVOLUTIONS = {  # kernel, stride, dilation, padding (top, bottom, left, right)
    "3x3": ((3, 3), (1, 1), (1, 1), (1, 1, 1, 1)),
    "cropped": ((3, 2), (2, 3), (1, 1), (1, 0, 1, 1)),
    "SAME of even size": ((2, 3), (2, 2), (1, 1), (0, 1, 0, 1)),
    "dilated": ((3, 3), (1, 1), (2, 3), (2, 2, 3, 3)),
    "strided and dilated": ((3, 3), (2, 2), (2, 2), (2, 2, 2, 2)),
}
REGISTERS = {
    "ws 14/16": (4, (14, "wrap"), (16, "saturate")),
    "ws 15/16": (8, (15, "saturate"), (16, "wrap")),
    "os 16 saturate": (1, None, (16, "saturate")),
    "os 15 wrap": (1, None, (15, "wrap")),
}


def gradients(case: str, bits: int = 8):
    """Graph of both gradients of a convolution, its names, and inputs that overflow."""
    kernel, stride, dilation, pad = CONVOLUTIONS[case]
    op = ops.Conv2D(stride, Padding(*pad), dilation, raw_accumulator=True)
    builder = GraphBuilder(case)
    builder.input("x", X, INT8)
    builder.input("w", (FILTERS, *kernel, X[3]), INT8)
    y = builder.add(op, "x", "w", name="y", format=IntFormat(32))
    builder.input("e", builder.shape(y), IntFormat(bits))
    node = Node("y", op, ("x", "w"), ("y",))
    input_gradient(builder, node, "w", "e")
    output = filter_gradient(builder, node, "x", "e")
    rng = np.random.default_rng(4)
    arrays = {
        "x": rng.integers(60, 128, X).astype(np.int8),
        "w": rng.integers(40, 128, (FILTERS, *kernel, X[3])).astype(np.int8),
        "e": rng.integers(20, 128, builder.shape(y)).astype(f"int{bits}"),
    }
    return builder.build(["y", "y.dgrad", output]), arrays


def twin_operands(case: str, arrays):
    """By layer: image, filters and shape that the contract of training names, made by hand."""
    kernel, stride, dilation, pad = CONVOLUTIONS[case]
    x, w, e = (arrays[name] for name in "xwe")
    back = Shape(kernel, stride, dilation, (pad[0], 0, pad[2], 0), transposed=True, output_size=X[1:3])
    ends = [
        (kernel[i] - 1) * dilation[i] + (e.shape[i + 1] - 1) * stride[i] + 1 - X[i + 1] - pad[2 * i] for i in (0, 1)
    ]
    crops = [max(0, -end) for end in ends]
    image = x.transpose(3, 1, 2, 0)[:, : X[1] - crops[0], : X[2] - crops[1]]
    border = (pad[0], max(0, ends[0]), pad[2], max(0, ends[1]))
    filters = e.transpose(3, 1, 2, 0)
    turned = Shape(filters.shape[1:3], dilation, stride, border)
    return {"y.dgrad": (e, w.transpose(3, 1, 2, 0), back), "y.wgrad": (image, filters, turned)}


@pytest.mark.parametrize("registers", REGISTERS)
@pytest.mark.parametrize("case", CONVOLUTIONS)
@pytest.mark.parametrize("exact", [False, True], ids=["fast", "exact"])
def test_ledgers_are_those_of_the_step_twin(case, registers, exact):
    rows, partial_sum, accumulator = REGISTERS[registers]
    graph, arrays = gradients(case)
    layers = lower(graph, machine(rows, partial_sum, accumulator))
    run = execute(graph, layers, arrays, ExecutionContext(exact_ledger=exact), keep_tensors=True)
    records = {layer.name: record for layer, record in zip(layers, run.overflow, strict=True)}
    for name, (image, filters, shape) in twin_operands(case, arrays).items():
        twin = step_twin.run_steps(image, filters, 0, shape, rows, partial_sum, accumulator)
        np.testing.assert_array_equal(run.tensors[name].reshape(twin.accumulators.shape), twin.accumulators)
        record = records[name]
        assert twin.events > 0
        assert (record.events, record.affected_outputs) == (twin.events, twin.affected_outputs)
        assert record.first_event == twin.first_event
        assert record.accumulator_needed_bits >= twin.accumulator.needed_bits
        if exact:
            assert record.accumulator_needed_bits == twin.accumulator.needed_bits


@pytest.mark.parametrize("bits", [8, 16])
@pytest.mark.parametrize("case", CONVOLUTIONS)
def test_gradients_are_mapped_and_timed(case, bits):
    """Both do the forward layer's MACs; every output gets every k once and is stored once, with its width."""
    graph, _ = gradients(case, bits)
    accelerator = machine(8, (40, "wrap"), (48, "wrap"))
    layers = lower(graph, accelerator)
    schedule = map_layers(layers, accelerator)
    timeline = fast.run_schedule(schedule, accelerator)
    forward = graph.tensors["y"].elements * graph.tensors["w"].elements // FILTERS
    assert sum(layer.engine is Engine.ARRAY for layer in layers) == 3
    for layer, mapped, time in zip(layers, schedule.layers, timeline.layers, strict=True):
        if layer.engine is not Engine.ARRAY:
            continue
        assert layer.macs == forward, layer.name
        g, tiles = layer.geometry, mapped.ops
        places = [tiles[name].astype(np.int64) for name in ("rows", "cols", "channels", "groups", "k_length")]
        assert int(np.prod(places, axis=0).sum()) == g.m * g.n * g.k
        stores, bits = tiles["store_bytes"], layer.outputs[0].elements * layer.outputs[0].format.bits
        assert bits <= 8 * stores.sum() < bits + 8 * np.count_nonzero(stores)
        assert time.compute_cycles * 64 >= layer.macs
        assert time.end_cycle > time.start_cycle
