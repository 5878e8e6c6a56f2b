"""Array layers on every instruction set, those that this machine lacks emulated, against the step-by-step twin."""

from __future__ import annotations

import numpy as np
import pytest

from simulator.kernels import isa
from simulator.numerics.formats import INT8, INT16, UINT8, IntFormat
from support.array_layers import Quant
from support.array_twin import Shape
from test_array_steps import KINDS, REGISTERS, SHAPES, check_layer, values, weights_shape

EVENTLESS = {
    "os 32": (1, None, (32, "wrap")),
    "ws 32/32": (16, (32, "wrap"), (32, "wrap")),
}
PROVED_FOLDS = {
    "ws 24/12 wrap": (4, (24, "wrap"), (12, "wrap")),
    "ws 20/11 saturate": (9, (20, "saturate"), (11, "saturate")),
}
SETS = [*isa.available(), *(name for name in isa.INSTRUCTION_SETS if name.startswith("emulated-"))]


@pytest.fixture(params=SETS)
def instruction_set(request, monkeypatch) -> str:
    monkeypatch.setenv(isa.VARIABLE, request.param)
    assert isa.chosen() == request.param
    return request.param


@pytest.mark.parametrize("registers", {**EVENTLESS, **REGISTERS, **PROVED_FOLDS}.items(), ids=lambda item: item[0])
def test_shapes_and_registers(instruction_set, registers):
    rng = np.random.default_rng(len(registers[0]))
    for x_shape, filters, shape in SHAPES.values():
        x = values(rng, x_shape, INT8, "random")
        weights = values(rng, weights_shape(x_shape, filters, shape), INT8, "random")
        bias = rng.integers(-3000, 3000, filters).astype(np.int32)
        quant = Quant(x_zero=int(rng.integers(-128, 128)), y_zero=int(rng.integers(-20, 20)))
        check_layer(x, weights, bias, shape, quant, *registers[1])


@pytest.mark.parametrize(
    "formats",
    [(INT8, INT8), (UINT8, INT8), (INT8, UINT8), (UINT8, UINT8), (INT16, INT8), (IntFormat(4), IntFormat(3))],
    ids=str,
)
def test_formats_and_extremes(instruction_set, formats):
    rng = np.random.default_rng(5)
    shape = Shape((3, 3), padding=(1, 1, 1, 1))
    for x_kind in KINDS:
        for w_kind in KINDS:
            x = values(rng, (1, 3, 4, 5), formats[0], x_kind)
            weights = values(rng, (18, 3, 3, 5), formats[1], w_kind)
            zeros = [(formats[0].min, 0 if formats[1].signed else 128), (formats[0].max, formats[1].max)]
            for x_zero, w_zero in zeros:
                quant = Quant(*formats, x_zero=x_zero, w_zero=w_zero)
                check_layer(x, weights, None, shape, quant, 1, None, (32, "wrap"))
                check_layer(x, weights, None, shape, quant, 6, (19, "saturate"), (20, "wrap"))


@pytest.mark.parametrize("greatest", [255, 200, 129, 128, 90])
def test_pairs_of_heavy_weights(instruction_set, greatest):
    """Sums of two products that an int16 does not hold, wherever they stand in a group of K."""
    rng = np.random.default_rng(greatest)
    x = np.minimum(values(rng, (1, 2, 3, 37), UINT8, "high"), greatest).astype(np.uint8)
    weights = values(rng, (35, 1, 1, 37), INT8, "high")
    weights[::3] = -128
    weights[:, :, :, 20:] = rng.choice([-128, -100, 60, 127], (35, 1, 1, 17))
    quant = Quant(UINT8, INT8, y_scale=4096.0)
    check_layer(x, weights, None, Shape(), quant, 1, None, (32, "wrap"))


def test_an_unknown_set_is_refused(monkeypatch):
    monkeypatch.setenv(isa.VARIABLE, "mmx")
    with pytest.raises(ValueError, match="mmx: there is no such instruction set; usable here: .*plain"):
        isa.chosen()


def test_a_set_that_the_machine_lacks_is_refused(monkeypatch):
    monkeypatch.setattr(isa, "available", lambda: ("avx2", "plain"))
    monkeypatch.setenv(isa.VARIABLE, "avx512vnni")
    with pytest.raises(ValueError, match="avx512vnni: this machine lacks it; usable here: avx2, plain"):
        isa.chosen()
