"""The ledger through the public API, against a step-by-step account on Python ints written from its definition."""

from __future__ import annotations

import numpy as np
import pytest

import bittrue
from support.accelerators import device


def narrow(value: int, bits: int, mode: str) -> int:
    low, high = -(1 << (bits - 1)), (1 << (bits - 1)) - 1
    if mode == "saturate":
        return min(max(value, low), high)
    return (value - low) % (1 << bits) + low


class Register:
    """A register that keeps its own account."""

    def __init__(self, bits, mode):
        self.bits, self.mode, self.value, self.exact, self.events = bits, mode, 0, 0, 0
        self.extremes = [0, 0]

    def start(self, value):
        self.value, self.exact = 0, 0
        return self.add(value)

    def add(self, addend, exact_addend=None):
        exact = self.value + addend
        self.value = narrow(exact, self.bits, self.mode)
        self.exact += addend if exact_addend is None else exact_addend
        self.extremes = [min(self.extremes[0], self.exact), max(self.extremes[1], self.exact)]
        event = self.value != exact
        self.events += event
        return event


def account(x, w, bias, rows, partial, accumulator):
    """Outputs, events per register, affected outputs and first event of x @ w + bias on the described array."""
    outputs = np.zeros((len(x), w.shape[1]), np.int64)
    p_register, a_register = Register(*(partial or accumulator)), Register(*accumulator)
    affected, first = set(), None
    for m in range(len(x)):
        for n in range(w.shape[1]):
            index = m * w.shape[1] + n
            found = []
            if a_register.start(int(bias[m, n])):
                found.append((-1, "accumulator"))
            products = [int(x[m, k]) * int(w[k, n]) for k in range(len(w))]
            if partial is None:
                found += [(k, "accumulator") for k, product in enumerate(products) if a_register.add(product)]
            else:
                for begin in range(0, len(products), rows):
                    p_register.start(0)
                    fold = range(begin, min(begin + rows, len(products)))
                    found += [(k, "partial_sum") for k in fold if p_register.add(products[k])]
                    if a_register.add(p_register.value, p_register.exact):
                        found.append((fold[-1], "accumulator"))
            outputs[m, n] = a_register.value
            if found:
                affected.add(index)
                first = first or (index, *found[0])
    return outputs, p_register, a_register, len(affected), first


def width(extremes):
    low, high = extremes
    return max((~low if low < 0 else low).bit_length(), (~high if high < 0 else high).bit_length()) + 1


def operands(case, m, k, n, rng):
    if case == "positive extremes":
        return np.full((m, k), -128), np.full((k, n), -128)
    if case == "over and back":
        w = np.full((k, n), 127)
        w[k // 2 :] = -127
        return np.full((m, k), 127), w
    return rng.integers(-128, 128, (m, k)), rng.integers(-128, 128, (k, n))


@pytest.mark.parametrize("case", ["random", "positive extremes", "over and back"])
@pytest.mark.parametrize("mode", ["wrap", "saturate"])
@pytest.mark.parametrize(
    ("dataflow", "p_bits", "a_bits"),
    [
        ("output_stationary", None, 16),
        ("output_stationary", None, 18),
        ("output_stationary", None, 8),
        ("weight_stationary", 16, 18),
        ("weight_stationary", 20, 17),
        ("weight_stationary", 15, 40),
        ("weight_stationary", 32, 64),
    ],
)
@pytest.mark.parametrize("rows", [4, 7])
def test_ledger_follows_its_definition(case, mode, dataflow, p_bits, a_bits, rows):
    rng = np.random.default_rng(a_bits * rows)
    m, k, n = 5, 38, 6
    x, w = operands(case, m, k, n, rng)
    bias = rng.integers(-40000, 40000, (m, n))
    partial = None if p_bits is None else (p_bits, mode)
    expected, p_register, a_register, affected, first = account(x, w, bias, rows, partial, (a_bits, mode))

    changes = {
        "array__dataflow": dataflow,
        "array__rows": rows,
        "arithmetic__accumulator": {"bits": a_bits, "overflow": mode},
    }
    if partial:
        changes["arithmetic__partial_sum"] = {"bits": p_bits, "overflow": mode}
    net = bittrue.networks.gemm(m, k, n, out="int32", bias="matrix")
    net = net.with_weights(w.astype(np.int8), bias=bias.astype(np.int32))
    run = bittrue.simulate(net, device(**changes), [x.astype(np.int8)], values_only=True, ledger="exact")

    (output,) = run.outputs.values()
    overflow = run.layers[-1].overflow
    np.testing.assert_array_equal(output, expected)
    assert output.dtype == (np.int32 if a_bits <= 32 else np.int64)
    assert overflow.partial_sum_events == (p_register.events if partial else 0)
    assert overflow.accumulator_events == a_register.events
    assert overflow.events == overflow.partial_sum_events + overflow.accumulator_events
    assert overflow.affected_outputs == affected
    assert overflow.first_event == first
    assert overflow.accumulator_needed_bits == width(a_register.extremes)
    assert overflow.partial_sum_needed_bits == (width(p_register.extremes) if partial else None)
    assert overflow.needed_bits == max(width(a_register.extremes), width(p_register.extremes) if partial else 0)
    assert overflow.needed_bits_is_exact
    fast = bittrue.simulate(net, device(**changes), [x.astype(np.int8)], values_only=True).layers[-1].overflow
    assert (fast.events, fast.affected_outputs, fast.first_event) == (overflow.events, affected, first)
    assert fast.needed_bits >= overflow.needed_bits


def test_trap_names_layer_output_and_k():
    net = bittrue.networks.gemm(2, 64, 3, out="int32").with_weights(np.full((64, 3), 127, np.int8))
    trapping = device(arithmetic__accumulator={"bits": 20, "overflow": "trap"}, array__dataflow="output_stationary")
    x = np.zeros((2, 64), np.int8)
    x[1] = 127
    with pytest.raises(bittrue.BittrueError, match=r"output 3 .* k = 32"):
        bittrue.simulate(net, trapping, [x], values_only=True)
