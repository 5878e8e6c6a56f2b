"""Zero operands and toggled bits of the array against a twin on Python ints, and by hand."""

from __future__ import annotations

from dataclasses import asdict

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simulator.execution.array import run_array
from simulator.execution.array_activity import _PIXELS
from simulator.execution.context import ExecutionContext
from simulator.kernels.threads import thread_count
from simulator.numerics.formats import INT8, INT16
from simulator.numerics.scalar import toggled_bits
from support.activity_twin import activity as twin
from support.array_layers import Quant, lower_layer, machine, operator, raw_gemm
from support.array_twin import Shape
from support.kernel_cases import SHAPES

FIELDS = {
    "products": "products",
    "zero_a": "zero_activation_products",
    "zero_w": "zero_weight_products",
    "zero": "zero_products",
    "a": "activation_toggled_bits",
    "w": "weight_toggled_bits",
    "sum": "sum_toggled_bits",
}


def measured(shape, registers, x, weights, bias, x_zero=0, w_zero=0, w_format=INT8):
    quant = Quant(x_zero=x_zero, w_zero=w_zero, w_format=w_format, y_format=INT16)
    layer = lower_layer(operator(shape), x, weights, bias, quant, machine(registers[0] or 8, *registers[1:]))
    result = run_array(layer, [x, weights, bias], ExecutionContext(activity=True))
    return result.activity, result.overflow


def compare(shape, registers, x, weights, bias, x_zero=0, w_zero=0, w_format=INT8):
    found, overflow = measured(shape, registers, x, weights, bias, x_zero, w_zero, w_format)
    widths = (8 + (x_zero != 0), w_format.bits + (w_zero != 0))
    expected = twin(x.astype(object) - x_zero, weights.astype(object) - w_zero, bias, shape, *registers, *widths)
    assert {name: asdict(found)[field] for name, field in FIELDS.items()} == expected
    register = registers[1] or registers[2]
    assert found.activation_written_bits == found.products * widths[0]
    assert found.sum_written_bits == found.products * register[0]
    assert found.weight_written_bits % (weights.size * widths[1]) == 0
    return overflow


REGISTERS = st.one_of(
    st.tuples(
        st.integers(1, 9),
        st.tuples(st.integers(8, 64), st.sampled_from(["wrap", "saturate"])),
        st.just((32, "wrap")),
    ),
    st.tuples(st.just(0), st.none(), st.tuples(st.integers(8, 64), st.sampled_from(["wrap", "saturate"]))),
)


@settings(max_examples=60, deadline=None)
@given(st.sampled_from(sorted(SHAPES)), REGISTERS, st.integers(0, 2**32), st.sampled_from([0, 100]), st.booleans())
def test_counts_equal_the_twin(name, registers, seed, x_zero, centred):
    rng = np.random.default_rng(seed)
    x_shape, filters, shape = SHAPES[name]
    x = rng.integers(-128, 128, x_shape).astype(np.int8)
    x[rng.random(x_shape) < 0.3] = x_zero
    weights = rng.integers(-128, 128, (filters, *shape.kernel, x_shape[3] // shape.groups)).astype(np.int8)
    weights[rng.random(weights.shape) < 0.2] = 0
    bias = rng.integers(-(2**20), 2**20, filters).astype(np.int64)
    compare(shape, registers, x, weights, bias, x_zero, 0 if centred else 3)


@pytest.mark.parametrize("registers", [(4, (12, "saturate"), (32, "wrap")), (0, None, (12, "saturate"))])
def test_sums_at_the_rails_toggle_as_the_registers_do(registers):
    rng = np.random.default_rng(5)
    x = rng.integers(-128, 128, (1, 5, 4, 7)).astype(np.int8)
    weights = rng.integers(-128, 128, (3, 2, 2, 7)).astype(np.int8)
    overflow = compare(Shape((2, 2)), registers, x, weights, np.full(3, -5000, np.int64))
    assert overflow.events > 20


@pytest.mark.parametrize("registers", [(4, (32, "wrap"), (32, "wrap")), (0, None, (20, "wrap"))])
def test_blocks_of_pixels_and_threads_change_nothing(registers):
    # More pixels than a task takes: the first pixel of a task follows the last of the one before.
    rng = np.random.default_rng(6)
    pixels = 2 * _PIXELS + 37
    x = rng.integers(-128, 128, (1, pixels, 1, 6)).astype(np.int8)
    weights = rng.integers(-128, 128, (3, 1, 1, 6)).astype(np.int8)
    bias = np.zeros(3, np.int64)
    compare(Shape(), registers, x, weights, bias)
    with thread_count(1):
        alone, _ = measured(Shape(), registers, x, weights, bias)
    assert alone == measured(Shape(), registers, x, weights, bias)[0]


def test_more_filters_than_a_panel_has_lanes():
    rng = np.random.default_rng(7)
    x = rng.integers(-128, 128, (1, 3, 3, 5)).astype(np.int8)
    weights = rng.integers(-8, 8, (70, 1, 1, 5)).astype(np.int8)
    compare(Shape(), (3, (24, "wrap"), (32, "wrap")), x, weights, np.zeros(70, np.int64))


def test_weight_stationary_by_hand():
    # Two pixels, K = 2 in one fold of 2, one filter with weights 1 and 2.
    x = np.array([[1, 3], [2, 3]], np.int8).reshape(1, 2, 1, 2)
    weights = np.array([1, 2], np.int8).reshape(1, 1, 1, 2)
    found, _ = measured(Shape(), (2, (32, "wrap"), (32, "wrap")), x, weights, np.zeros(1, np.int64))
    # Activations: row 0 takes 1, 2 (0 -> 01 -> 10: 1 + 2), row 1 takes 3, 3 (2 + 0).
    assert found.activation_toggled_bits == 5
    # Weights: 0 -> 1 and 0 -> 2.
    assert found.weight_toggled_bits == 2
    # Sums: row 0 takes 1, 2 (1 + 2 bits), row 1 takes 7, 8 (0111: 3 bits, then 0111 -> 1000: 4).
    assert found.sum_toggled_bits == 10
    assert (found.products, found.zero_products) == (4, 0)


def test_output_stationary_by_hand():
    x = np.array([[1, 3], [2, 0]], np.int8).reshape(1, 2, 1, 2)
    weights = np.array([1, 2], np.int8).reshape(1, 1, 1, 2)
    found, _ = measured(Shape(), (0, None, (32, "wrap")), x, weights, np.array([1], np.int64))
    # Pixel 0: activations 0 -> 1 -> 3 (1 + 1); pixel 1: 0 -> 2 -> 0 (1 + 1).
    assert found.activation_toggled_bits == 4
    # Weights pass both pixels: 0 -> 1 -> 2 (1 + 2), twice.
    assert found.weight_toggled_bits == 6
    # Sums: 1 -> 2 -> 8 (2 + 2); 1 -> 3 -> 3 (1 + 0). Loading the start value is not counted.
    assert found.sum_toggled_bits == 5
    assert (found.zero_activation_products, found.zero_weight_products, found.zero_products) == (1, 0, 1)
    assert found.zero_share == 0.25


def test_toggles_of_two_values():
    assert toggled_bits(0, -1, 20) == 20
    assert toggled_bits(-1, -1, 64) == 0
    assert toggled_bits(5, 6, 8) == 2
    assert toggled_bits(-128, 127, 8) == 8


def test_nothing_is_counted_unless_asked():
    x, weights = np.ones((2, 3), np.int8), np.ones((2, 3), np.int8)
    accelerator = machine(4, (32, "wrap"), (32, "wrap"))
    assert raw_gemm(x, weights, None, accelerator).activity is None
