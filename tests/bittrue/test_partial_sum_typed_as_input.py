"""A defect reported for a public accelerator: partial sums of a weight-stationary array typed as wide as the input.

Its tests drew small random values, whose sums fit eight bits, and passed. With realistic data the ledger tells at once.
"""

from __future__ import annotations

import numpy as np
import pytest

import bittrue
from support.accelerators import device
from workloads.images import demo_photo, load_image

ROWS = 16


def array_with(partial_sum_bits):
    return device(
        array__rows=ROWS,
        arithmetic__partial_sum={"bits": partial_sum_bits, "overflow": "wrap"},
        arithmetic__accumulator={"bits": 32, "overflow": "wrap"},
        arithmetic__requantizer="power_of_two",
    )


AS_THE_INPUT = array_with(8)
AS_THE_ACCUMULATOR = array_with(32)


def run(net, accelerator, x, ledger="fast"):
    result = bittrue.simulate(net, accelerator, [x], values_only=True, ledger=ledger)
    return result.outputs["output"], result.layers[0].overflow


def small_random_layer():
    """What the device's own tests fed it."""
    rng = np.random.default_rng(1)
    net = bittrue.networks.gemm(64, 128, 32, out="int32").with_weights(rng.integers(-2, 3, (128, 32)))
    return net, rng.integers(-2, 3, (64, 128), np.int8)


def realistic_layer():
    """A photograph under a filter bank whose greatest weight is 127, as every quantizer leaves it."""
    rng = np.random.default_rng(1)
    real = rng.normal(0, 1, (8, 3, 3, 3))
    weights = np.rint(real * 127 / np.abs(real).max(axis=(1, 2, 3), keepdims=True)).astype(np.int64)
    photo = load_image(demo_photo(), (40, 40))[None].astype(np.int16) - 128
    return bittrue.networks.conv2d(40, 40, 3, 8, 3, padding=1).with_weights(weights), photo.astype(np.int8)


def test_small_random_values_do_not_see_it():
    net, x = small_random_layer()
    narrow, ledger = run(net, AS_THE_INPUT, x)
    right, _ = run(net, AS_THE_ACCUMULATOR, x)
    assert (ledger.events, ledger.affected_outputs, ledger.first_event) == (0, 0, None)
    np.testing.assert_array_equal(narrow, right)
    np.testing.assert_array_equal(right, x.astype(int) @ net.graph.tensors["weights"].data.T.astype(int))
    assert np.unique(right).size > 50


def test_a_photograph_shows_it_at_once():
    net, x = realistic_layer()
    narrow, ledger = run(net, AS_THE_INPUT, x)
    right, _ = run(net, AS_THE_ACCUMULATOR, x)
    wrong = np.count_nonzero(narrow != right)
    assert wrong > right.size / 2
    assert ledger.partial_sum_events > 0
    assert ledger.accumulator_events == 0  # the accumulator memory was wide enough all along
    assert wrong <= ledger.affected_outputs <= right.size
    assert ledger.first_event.register == "partial_sum"
    assert ledger.first_event.output == 0
    assert ledger.partial_sum_needed_bits > 8 >= ledger.partial_sum_bits


def test_needed_bits_is_the_width_that_cures_it():
    net, x = realistic_layer()
    right, _ = run(net, AS_THE_ACCUMULATOR, x)
    _, ledger = run(net, AS_THE_INPUT, x, ledger="exact")
    width = ledger.partial_sum_needed_bits
    assert ledger.needed_bits_is_exact
    cured, clean = run(net, array_with(width), x)
    assert clean.events == 0
    np.testing.assert_array_equal(cured, right)
    _, short = run(net, array_with(width - 1), x)
    assert short.partial_sum_events > 0


@pytest.mark.assets
def test_a_real_network_shows_it_in_every_layer_and_in_its_answer(assets):
    net = bittrue.load_network(assets / "person_detect_qdimfix.tflite")
    (x,) = (np.load(assets / "golden" / "person_detect_qdimfix.tflite.npz")["in0"],)
    widths = {bits: device(arithmetic__partial_sum={"bits": bits, "overflow": "wrap"}) for bits in (8, 32)}
    narrow, right = (bittrue.simulate(net, widths[bits], [x], values_only=True) for bits in (8, 32))
    on_array = [layer for layer in narrow.layers if layer.engine == "array"]
    assert len(on_array) > 20
    assert [layer.name for layer in on_array if layer.overflow.partial_sum_events == 0] == []
    (wrong,), (answer,) = narrow.outputs.values(), right.outputs.values()
    assert not np.array_equal(wrong, answer)
    assert sum(layer.overflow.events for layer in right.layers) == 0
