"""Array layers on every instruction set that this machine has, and on one that it need not have, emulated."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from test_array_steps import KINDS, scaled, values

from proof.cases import draw
from proof.judge import judge
from simulator.kernels import isa
from simulator.numerics.formats import INT8, INT16, UINT8, IntFormat
from support.array_layers import Quant, machine, operator, run_layer
from support.array_twin import Shape
from support.step_twin import run_steps

EMULATED = "emulated-avx512vnni"
SETS = [*isa.available(), EMULATED]


@pytest.fixture(params=SETS)
def instruction_set(request, monkeypatch) -> str:
    monkeypatch.setenv(isa.VARIABLE, request.param)
    assert isa.chosen() == request.param
    return request.param


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(20))
def test_drawn_layers(instruction_set, seed):
    verdict = judge(draw(seed, 150_000))
    assert not verdict.differences


def check_values(x, weights, shape: Shape, quant: Quant, registers) -> None:
    centred = x.astype(np.int64) - quant.x_zero, weights.astype(np.int64) - quant.w_zero
    twin = run_steps(*centred, np.zeros(len(weights), np.int64), shape, *registers)
    result = run_layer(operator(shape), x, weights, None, quant, machine(*registers))
    expected = scaled(twin.accumulators.astype(object), quant).astype(np.int64)
    np.testing.assert_array_equal(result.outputs[0].reshape(expected.shape), expected)
    assert result.overflow.affected_outputs == twin.affected_outputs


@pytest.mark.parametrize(
    "formats",
    [(INT8, INT8), (UINT8, INT8), (INT8, UINT8), (UINT8, UINT8), (INT16, INT8), (IntFormat(4), IntFormat(3))],
    ids=str,
)
def test_formats_and_extremes(instruction_set, formats):
    rng = np.random.default_rng(5)
    x_format, w_format = formats
    zeros = [(x_format.min, 0 if w_format.signed else 128), (x_format.max, w_format.max)]
    for x_kind, w_kind, (x_zero, w_zero) in itertools.product(KINDS, KINDS, zeros):
        x = values(rng, (1, 3, 4, 5), x_format, x_kind)
        weights = values(rng, (18, 3, 3, 5), w_format, w_kind)
        quant = Quant(x_format, w_format, x_zero=x_zero, w_zero=w_zero)
        for registers in ((1, None, (32, "wrap")), (6, (19, "saturate"), (20, "wrap"))):
            check_values(x, weights, Shape((3, 3), padding=(1, 1, 1, 1)), quant, registers)


@pytest.mark.parametrize(
    ("x_shape", "shape"),
    [
        ((2, 9, 17, 8), Shape((3, 3), dilation=(7, 11), padding=(7, 7, 11, 11))),
        ((3, 1, 13, 8), Shape((3, 3), dilation=(1, 6), padding=(1, 1, 6, 6))),
        ((2, 3, 2, 8), Shape((7, 7), padding=(3, 3, 3, 3))),
        ((1, 9, 8, 8), Shape((5, 3), stride=(2, 3), dilation=(3, 5), padding=(6, 4, 2, 8))),
        ((2, 6, 13, 24), Shape((3, 3), groups=2, dilation=(4, 9), padding=(4, 4, 9, 9))),
        ((2, 13, 1, 8), Shape((3, 1), dilation=(9, 1), padding=(9, 9, 0, 0))),
    ],
    ids=lambda value: "" if isinstance(value, Shape) else str(value),
)
@pytest.mark.parametrize("x_zero", [-128, 3], ids=["border of 0", "border"])
def test_taps_in_the_border(instruction_set, x_shape, shape, x_zero):
    """Filters about as wide as the image, tiles of six pixels across its lines and from one image to the next."""
    rng = np.random.default_rng(17)
    x = values(rng, x_shape, INT8, "random")
    weights = values(rng, (34, *shape.kernel, x_shape[3] // shape.groups), INT8, "random")
    quant = Quant(INT8, INT8, x_zero=x_zero, y_scale=64.0)
    for registers in ((1, None, (32, "wrap")), (1, None, (17, "saturate")), (8, (18, "wrap"), (20, "saturate"))):
        check_values(x, weights, shape, quant, registers)


@pytest.mark.parametrize("greatest", [255, 200, 129, 128, 90])
def test_pairs_of_heavy_weights(instruction_set, greatest):
    """Sums of two products that an int16 does not hold, wherever they stand in a group of K."""
    rng = np.random.default_rng(greatest)
    x = np.full((1, 2, 3, 37), greatest, np.uint8)
    weights = np.full((35, 1, 1, 37), 127, np.int8)
    weights[::3] = -128
    weights[:, :, :, 20:] = rng.choice([-128, -100, 60, 127], (35, 1, 1, 17))
    weights[20:] = 1  # few are heavy, so that it pays to split them
    weights[20:, :, :, rng.integers(0, 36, 15)] = 127
    check_values(x, weights, Shape(), Quant(UINT8, INT8, y_scale=4096.0), (1, None, (32, "wrap")))
    check_values(x, weights[20:], Shape(), Quant(UINT8, INT8, y_scale=4096.0), (1, None, (32, "wrap")))


def test_an_unknown_set_is_refused(monkeypatch):
    monkeypatch.setenv(isa.VARIABLE, "mmx")
    with pytest.raises(ValueError, match=r"mmx: there is no such instruction set; usable here: .*plain"):
        isa.chosen()


def test_a_set_that_the_machine_lacks_is_refused(monkeypatch):
    monkeypatch.setattr(isa, "available", lambda: ("avx2", "plain"))
    monkeypatch.setenv(isa.VARIABLE, "avx512vnni")
    with pytest.raises(ValueError, match="avx512vnni: this machine lacks it; usable here: avx2, plain"):
        isa.chosen()


@pytest.mark.parametrize("bits", [16, 17, 18, 19, 20])
@pytest.mark.parametrize("mode", ["wrap", "saturate"])
def test_every_step_an_event_or_none(instruction_set, bits, mode):
    """Rows of which every step, no step or every other step is an event, at either rail."""
    ends = np.array([127, -128], np.int8)
    x = np.repeat(ends, 3).reshape(6, 1, 1, 1) * np.ones((1, 1, 1, 70), np.int8)
    weights = np.stack([np.full(70, 127), np.full(70, -128), np.tile([127, -127], 35), np.zeros(70)] * 5)
    weights = weights.astype(np.int8).reshape(20, 1, 1, 70)
    bias = np.tile([(1 << (bits - 1)) - 1, -(1 << (bits - 1)), 0, 1, -1], 4)
    quant = Quant(y_format=INT16, y_scale=16.0)
    twin = run_steps(x.astype(np.int64), weights.astype(np.int64), bias, Shape(), 1, None, (bits, mode))
    result = run_layer(operator(Shape()), x, weights, bias, quant, machine(1, None, (bits, mode)))
    assert result.overflow.events == twin.events
    assert result.overflow.affected_outputs == twin.affected_outputs
    expected = scaled(twin.accumulators.astype(object), quant).astype(np.int64)
    np.testing.assert_array_equal(result.outputs[0].reshape(expected.shape), expected)


@pytest.mark.parametrize("filters", [1, 12, 16, 17, 32, 33, 48, 64, 72, 80, 96, 130, 160])
@pytest.mark.parametrize("groups", [1, 2])
def test_panels_of_every_width(instruction_set, filters, groups):
    """Requantized on the way and as sums, with panels that have no spare channels and some that have."""
    rng = np.random.default_rng(filters)
    x = values(rng, (1, 3, 5, 20 * groups), INT8, "random")
    weights = values(rng, (filters * groups, 2, 2, 20), INT8, "random")
    shape = Shape((2, 2), padding=(1, 0, 0, 1), groups=groups)
    check_values(x, weights, shape, Quant(INT8, INT8, x_zero=3, y_scale=64.0), (1, None, (32, "wrap")))
    check_values(x, weights, shape, Quant(INT8, INT8, y_format=INT16, y_scale=16.0), (1, None, (32, "wrap")))


def test_panels_are_as_wide_as_suits():
    widest = isa.INSTRUCTION_SETS["avx512vnni"]
    assert widest.fitted(64) is widest
    fitted = {filters: widest.fitted(filters).vectors for filters in (8, 16, 21, 32, 48, 64, 80, 96, 128, 160, 512)}
    assert fitted == {8: 1, 16: 1, 21: 2, 32: 2, 48: 1, 64: 4, 80: 1, 96: 2, 128: 4, 160: 2, 512: 4}
    assert isa.INSTRUCTION_SETS["avx2"].fitted(8).vectors == 1
    assert isa.INSTRUCTION_SETS["avx2"].fitted(64) is isa.INSTRUCTION_SETS["avx2"]
