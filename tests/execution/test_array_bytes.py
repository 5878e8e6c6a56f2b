"""Operands of 9 to 16 bits by their bytes: the exact sums, whichever bytes they have; and swapped ends beside it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from simulator.execution import array_wide
from simulator.execution.context import ExecutionContext
from simulator.execution.execute import execute
from simulator.graph.builder import GraphBuilder
from simulator.graph.ops import Transpose
from simulator.lowering.lower import lower
from simulator.numerics.formats import FLOAT32, IntFormat
from support.array_layers import Quant, machine, operator, run_layer
from support.array_twin import Shape
from support.array_twin import run_array as run_twin

SHAPES = {
    "deep": ((1, 2, 3, 1700), 9, Shape()),
    "3x3": ((1, 5, 4, 10), 20, Shape((3, 3), padding=(1, 1, 1, 1))),
    "dilated": ((1, 7, 6, 8), 8, Shape((3, 2), dilation=(2, 3), padding=(2, 1, 2, 3))),
    "strided": ((2, 7, 6, 8), 8, Shape((3, 3), stride=(2, 2), padding=(1, 0, 1, 0))),
    "transposed": (
        (1, 4, 3, 12),
        5,
        Shape((4, 4), stride=(2, 2), padding=(1, 0, 1, 0), transposed=True, output_size=(8, 6)),
    ),
}
WIDE = machine(8, (60, "wrap"), (60, "wrap"))


@pytest.fixture(params=["native", "emulated-avx512vnni"], autouse=True)
def set_of_instructions(request, monkeypatch):
    if request.param != "native":
        monkeypatch.setenv("BITTRUE_ISA", request.param)


@pytest.fixture
def asked(monkeypatch) -> list[bool]:
    """Whether each layer was summed by bytes."""
    found: list[bool] = []
    original = array_wide.sums_by_bytes

    def note(operands):
        sums = original(operands)
        found.append(sums is not None)
        return sums

    monkeypatch.setattr(array_wide, "sums_by_bytes", note)
    return found


@pytest.mark.parametrize("case", SHAPES)
@pytest.mark.parametrize("bits", [(16, 8), (8, 16), (16, 16), (12, 9)])
@pytest.mark.parametrize("values", ["random", "extreme"])
def test_sums_are_those_of_the_twin(case, bits, values, asked):
    size, filters, shape = SHAPES[case]
    rng = np.random.default_rng([*SHAPES].index(case))
    x_format, w_format = IntFormat(bits[0]), IntFormat(bits[1])
    w_shape = (filters, *shape.kernel, size[3])

    def draw(form, count):
        ends = [form.min, form.max, 255, -256, -1, 0, form.max - 127, form.max - 128]
        some = rng.choice(ends, count) if values == "extreme" else rng.integers(form.min, form.max + 1, count)
        return np.clip(some, form.min, form.max).astype(form.dtype)

    x, w = draw(x_format, size), draw(w_format, w_shape)
    op = replace(operator(shape), raw_accumulator=True)
    result = run_layer(op, x, w, None, Quant(x_format, w_format, IntFormat(48)), WIDE)
    account = run_twin(x, w, np.zeros(filters, np.int64), shape, 8, (60, "wrap"), (60, "wrap"))
    assert result.outputs[0].ravel().tolist() == account.accumulators.ravel().tolist()
    # 16 x 8 bits: the sums of 1700 products may leave int32, those of a few fit.
    assert asked == [True] or case != "deep" or bits == (12, 9)


@pytest.mark.parametrize("weight", [127, -127])
def test_a_sum_beyond_int32_of_a_part_is_left_to_others(weight, asked):
    x = np.full((1, 1, 1, 70_000), 32767, np.int16)
    w = np.full((2, 1, 1, 70_000), weight, np.int8)
    op = replace(operator(Shape()), raw_accumulator=True)
    result = run_layer(op, x, w, None, Quant(IntFormat(16), IntFormat(8), IntFormat(48)), WIDE)
    assert asked == [False]
    assert result.outputs[0].ravel().tolist() == [70_000 * 32767 * weight] * 2


@pytest.mark.parametrize("shape", [(8, 45, 6, 33), (3, 700, 5), (1, 9, 80, 70)])
@pytest.mark.parametrize("form", [IntFormat(8), IntFormat(16), IntFormat(40), FLOAT32], ids=str)
def test_swapped_ends_are_numpys(shape, form):
    x = np.random.default_rng(0).integers(-100, 100, shape).astype(form.dtype)
    order = (len(shape) - 1, *range(1, len(shape) - 1), 0)
    builder = GraphBuilder("transpose")
    builder.add(Transpose(order), builder.input("x", shape, form), name="y")
    graph = builder.build()
    found = execute(graph, lower(graph, WIDE), {"x": x}, ExecutionContext()).outputs["y"]
    assert np.array_equal(found, x.transpose(order))
