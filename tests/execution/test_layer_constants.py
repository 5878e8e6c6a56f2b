"""What is kept from run to run, and what is found in the same pass as something else."""

from __future__ import annotations

import pickle
from dataclasses import replace

import numpy as np
import pytest

from simulator.execution.array_image import filled_image
from simulator.execution.array_operands import Operands
from simulator.execution.array_weights import Weights
from simulator.execution.context import ExecutionContext
from simulator.execution.fused import Fused
from simulator.execution.layer_constants import layer_constants
from simulator.graph.ops import Padding
from simulator.kernels import requantize_panels
from simulator.kernels.dot_tile import BYTES, PAIRS
from simulator.lowering.layer import ConvGeometry
from simulator.numerics.formats import INT8, UINT8

GEOMETRY = ConvGeometry(
    batch=2,
    in_height=7,
    in_width=6,
    out_height=7,
    out_width=6,
    channels=3,
    filters=4,
    groups=1,
    kernel=(3, 3),
    stride=(1, 1),
    dilation=(1, 1),
    padding=Padding(1, 1, 1, 1),
)


def operands(geometry: ConvGeometry = GEOMETRY, x_zero: int = -9) -> Operands:
    rng = np.random.default_rng(4)
    x = rng.integers(-60, 50, (2 * 7 * 6, 3)).astype(np.int8)
    x[0], x[-1] = -101, 99  # where a crop would lose them
    weights = Weights(rng.integers(-9, 9, (4, 27)).astype(np.int8), np.zeros(4, np.int64))
    return Operands(x, INT8, x_zero, weights, np.zeros((1, 4), np.int64), geometry)


def requantizer() -> Fused:
    nothing = np.zeros(4, np.int32)
    return Fused(requantize_panels.SINGLE, nothing, nothing, (-128, 127, 0), INT8)


def test_what_is_kept_stays_in_its_process():
    context = ExecutionContext(seed=5, weights={"key": operands().weights})
    moved = pickle.loads(pickle.dumps(context))
    assert (moved, moved.weights, moved.repeats) == (context, {}, {})
    assert context.weights


def test_constants_are_made_anew_for_another_bias_or_requantizer_and_do_not_pile_up():
    first, fused = operands(), requantizer()
    made = []

    def constants(given: Operands, scale: Fused | None) -> int:
        def make():
            made.append(len(made))
            return (np.array(made[-1]),)

        return int(layer_constants(given, scale, "key", make)[0])

    assert [constants(first, fused), constants(first, fused)] == [0, 0]
    assert constants(first, requantizer()) == 1
    assert constants(replace(first, start=first.start.copy()), None) == 2
    assert constants(first, None) == 3
    assert len(first.weights.kept) == 1
    assert int(layer_constants(first, None, "another key", lambda: (np.array(8),))[0]) == 8


@pytest.mark.parametrize("kind", [BYTES, PAIRS])
@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"stride": (2, 2), "out_height": 3, "out_width": 2, "padding": Padding(0, 0, 0, 0)},
        {"padding": Padding(-1, 0, 1, 1), "out_height": 4},
        {"kernel": (1, 1), "padding": Padding(0, 0, 0, 0)},
        {"kernel": (1, 1), "stride": (3, 5), "out_height": 3, "out_width": 2, "padding": Padding(0, 0, 0, 0)},
    ],
    ids=["whole", "cropped behind", "cropped before", "pointwise", "whole by strides"],
)
def test_the_range_is_that_of_all_activations_with_or_without_an_image(kind, changes):
    """It must not depend on the path: a border or a crop does not count, nor fails to."""
    geometry = replace(GEOMETRY, **changes)
    plain, filled = operands(geometry), operands(geometry)
    made = filled_image(filled, kind)
    assert made.filling.border == (-9 + 128 if kind == BYTES else 0)
    assert filled.x_range == plain.x_range == (-101 + 9, 99 + 9)
    assert filled_image(filled, kind) is made


@pytest.mark.parametrize(
    ("channels", "kernel", "form", "shared"),
    [
        (16, (1, 1), UINT8, True),
        (8, (1, 1), UINT8, True),
        (12, (1, 1), UINT8, False),
        (16, (3, 3), UINT8, False),  # its border must be filled in
        (20, (1, 1), UINT8, False),  # a round of the kernel's loop would read past the last pixel
        (2048, (1, 1), UINT8, False),  # so may the last of several pieces of K
        (16, (1, 1), INT8, False),
    ],
)
def test_unsigned_activations_without_a_border_are_their_own_image(channels, kernel, form, shared):
    geometry = replace(GEOMETRY, channels=channels, kernel=kernel, padding=Padding(*[kernel[0] // 2] * 4))
    x = np.random.default_rng(6).integers(form.min + 2, form.max, (2 * 7 * 6, channels)).astype(form.dtype)
    weights = Weights(np.ones((4, geometry.k), np.int8), np.zeros(4, np.int64))
    given = Operands(x, form, 5, weights, np.zeros((1, 4), np.int64), geometry)
    made = filled_image(given, BYTES)
    image, border = made.numbers, made.filling.border
    assert np.shares_memory(image, x) == shared
    assert border == 5 - form.min
    inside = image[:, kernel[0] // 2 :, kernel[1] // 2 :][:, :7, :6]
    np.testing.assert_array_equal(inside.reshape(x.shape), x.astype(np.int64) - form.min)
    assert given.x_range == (min(0, int(x.min()) - 5), int(x.max()) - 5)
