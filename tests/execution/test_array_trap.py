"""Registers whose overflow mode is trap, and what the ledger says of layers that are proved free of events."""

from __future__ import annotations

import numpy as np
import pytest

from simulator.errors import OverflowTrap
from support.array_layers import Quant, machine, raw_gemm
from support.array_twin import Shape, run_array


def gemm(x, w, bias=None):
    return np.asarray(x, np.int8), np.asarray(w, np.int8), bias


def test_first_event_is_the_lowest_output_then_the_lowest_k():
    x, w, _ = gemm([[1] * 8, [127] * 8], [[1] * 8, [127] * 8])
    with pytest.raises(OverflowTrap) as trap:
        raw_gemm(x, w, None, machine(1, None, (16, "trap")))
    assert (trap.value.output, trap.value.k, trap.value.register, trap.value.bits) == (3, 2, "accumulator", 16)


def test_start_value_traps_before_any_product():
    x, w, _ = gemm([[127] * 8], [[127] * 8])
    with pytest.raises(OverflowTrap) as trap:
        raw_gemm(x, w, np.array([40000], np.int32), machine(4, (16, "trap"), (16, "trap")))
    assert (trap.value.k, trap.value.register) == (-1, "accumulator")


def test_partial_sum_traps_before_the_accumulator_that_it_spoils():
    x, w, _ = gemm([[127] * 8], [[127] * 8])
    with pytest.raises(OverflowTrap) as trap:
        raw_gemm(x, w, None, machine(4, (16, "trap"), (16, "trap")))
    assert (trap.value.k, trap.value.register) == (2, "partial_sum")


def test_event_in_a_register_that_does_not_trap_is_only_counted():
    x, w, _ = gemm([[127] * 8], [[127] * 8])
    result = raw_gemm(x, w, None, machine(4, (16, "saturate"), (24, "trap")))
    assert result.outputs[0].tolist() == [[2 * 32767]]
    assert result.overflow.partial_sum_events == 4
    with pytest.raises(OverflowTrap) as trap:
        raw_gemm(x, w, None, machine(4, (16, "saturate"), (16, "trap")))
    assert (trap.value.k, trap.value.register) == (7, "accumulator")


def test_no_trap_without_an_event():
    rng = np.random.default_rng(0)
    x, w, _ = gemm(rng.integers(-128, 128, (3, 40)), rng.integers(-128, 128, (5, 40)))
    narrow = raw_gemm(x, w, None, machine(4, (20, "trap"), (20, "trap")))
    np.testing.assert_array_equal(narrow.outputs[0], x.astype(int) @ w.T.astype(int))
    assert narrow.overflow.events == 0


def test_proof_uses_the_actual_range_of_the_activations():
    w = np.full((2, 64), 127, np.int8)
    small, large = np.full((1, 64), 2, np.int8), np.full((1, 64), 127, np.int8)
    accelerator = machine(1, None, (18, "wrap"))
    proved = raw_gemm(small, w, None, accelerator).overflow
    assert not proved.needed_bits_is_exact
    assert (proved.needed_bits, proved.events, proved.headroom_bits) == (15, 0, 3)
    stepped = raw_gemm(large, w, None, accelerator).overflow
    assert stepped.needed_bits >= 21
    assert stepped.events > 0
    measured = raw_gemm(large, w, None, accelerator, exact=True).overflow
    assert (measured.needed_bits, measured.needed_bits_is_exact, measured.events) == (21, True, stepped.events)


def test_bound_of_a_proved_layer_holds_for_any_order_of_its_folds():
    rng = np.random.default_rng(5)
    x, w, _ = gemm(rng.integers(-128, 128, (4, 50)), rng.integers(-128, 128, (6, 50)))
    bias = rng.integers(-1000, 1000, 6).astype(np.int32)
    registers = ((24, "wrap"), (26, "saturate"))
    result = raw_gemm(x, w, bias, machine(7, *registers)).overflow
    centred = x[:, None, None].astype(object), w[:, None, None].astype(object)
    twin = run_array(*centred, bias, Shape(), 7, *registers)
    assert not result.needed_bits_is_exact
    assert 24 >= result.partial_sum_needed_bits >= twin.partial_sum_needed_bits
    assert 26 >= result.accumulator_needed_bits >= twin.accumulator_needed_bits


def test_threads_change_nothing():
    import numba

    rng = np.random.default_rng(6)
    x, w, _ = gemm(rng.integers(-128, 128, (100, 30)), rng.integers(-128, 128, (40, 30)))
    accelerator = machine(4, (15, "wrap"), (16, "saturate"))
    before = numba.get_num_threads()
    results = []
    for threads in (1, before):
        numba.set_num_threads(threads)
        results.append(raw_gemm(x, w, None, accelerator, Quant(x_zero=17), exact=True))
    assert results[0].overflow == results[1].overflow
    np.testing.assert_array_equal(results[0].outputs[0], results[1].outputs[0])
