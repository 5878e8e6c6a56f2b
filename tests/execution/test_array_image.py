"""Images that register tiles convolve: those of x itself, and borders wider than what is read."""

from __future__ import annotations

import numpy as np
import pytest

from simulator.execution import array_filling, array_tiles
from simulator.graph.ops import Conv2D, Padding
from simulator.kernels import isa
from simulator.kernels.dot_tile import BYTES
from simulator.kernels.threads import thread_count
from simulator.lowering.layer import ConvGeometry
from simulator.numerics.formats import UINT8, IntFormat
from support.array_layers import Quant, machine, run_layer
from support.array_twin import Shape
from support.array_twin import run_array as run_twin

WIDE = (1, None, (32, "wrap"))


def check(x_shape: tuple[int, ...], kernel: tuple[int, int], stride: tuple[int, int], padding: tuple[int, ...]) -> None:
    rng = np.random.default_rng(x_shape[-1])
    x = rng.integers(0, 256, x_shape).astype(np.uint8)
    w = rng.integers(-127, 128, (16, *kernel, x_shape[-1])).astype(np.int8)
    bias = np.zeros(16, np.int32)
    op = Conv2D(stride, Padding(*padding), raw_accumulator=True)
    result = run_layer(op, x, w, bias, Quant(UINT8, x_zero=7, y_format=IntFormat(32)), machine(*WIDE))
    shape = Shape(kernel, stride=stride, padding=padding)
    twin = run_twin(x.astype(np.int64) - 7, w.astype(np.int64), bias, shape, *WIDE)
    np.testing.assert_array_equal(result.outputs[0].reshape(twin.accumulators.shape), twin.accumulators)


@pytest.mark.parametrize("name", isa.available())
@pytest.mark.parametrize("padding", [(1, 0, 1, 0), (1, 0, 0, 0), (0, 0, 1, 0)])
def test_an_image_as_large_as_x_may_be_another(name, padding, monkeypatch):
    """Strides leave out as much at the end as the border has at the beginning."""
    monkeypatch.setenv(isa.VARIABLE, name)
    check((1, 4, 4, 8), (2, 2), (2, 2), padding)


@pytest.mark.parametrize("name", isa.available())
@pytest.mark.parametrize("padding", [(0, 0, 9, 0), (9, 0, 0, 0), (9, 0, 9, 0)])
def test_a_border_wider_than_what_is_read(name, padding, monkeypatch):
    """The stride goes past all of x, and nothing is written past the image."""
    monkeypatch.setenv(isa.VARIABLE, name)
    check((2, 3, 3, 500), (1, 1), (20, 20), padding)


def test_the_range_of_x_is_that_of_what_all_threads_copied(monkeypatch):
    """Though the first finds nothing left to copy."""
    plan = array_filling.image_plan(ConvGeometry(1, 3, 4, 3, 4, channels=8, filters=1))
    x = np.random.default_rng(3).integers(-90, 80, plan.x_shape).astype(np.int8)

    def other_way_around(work, most):
        for thread in reversed(range(most)):
            work(thread)

    monkeypatch.setattr(array_filling, "run_on_threads", other_way_around)
    monkeypatch.setattr(array_filling, "_BYTES_WORTH_A_THREAD", 100)
    with thread_count(2) as threads:
        if threads == 1:
            pytest.skip("one thread here")
        filled = array_filling.Filling(plan, BYTES, -128, 128, is_x=False).fill(x)
    assert filled.span == (x.min(), x.max())
    np.testing.assert_array_equal(filled.numbers, x.astype(np.int16) + 128)


@pytest.mark.parametrize(("channels", "is_copied"), [(264, True), (256, False)])
def test_no_piece_reads_past_the_end_of_x(channels, is_copied, monkeypatch):
    """Chunks that are proved one by one fill up the last piece: 264 = 5 * 56 - 16, and behind x may be no memory."""
    if isa.PLAIN in isa.available()[:1]:
        pytest.skip("no tiles without a compiler")
    usable = (name for name in isa.available() if name in ("avx512vnni", "avxvnni"))
    monkeypatch.setenv(isa.VARIABLE, next(usable, "emulated-avx512vnni"))
    rng = np.random.default_rng(1)
    x = rng.integers(0, 256, (1, 4, 6, channels)).astype(np.uint8)
    w = rng.integers(-127, 128, (70, 1, 1, channels)).astype(np.int8)
    filled, runs = array_tiles.filled_image, []

    def record(*given, **named):
        image = filled(*given, **named)
        runs.append(np.may_share_memory(image.numbers, x))
        return image

    monkeypatch.setattr(array_tiles, "filled_image", record)
    registers = (1, None, (22, "saturate"))
    run_layer(Conv2D(raw_accumulator=True), x, w, None, Quant(UINT8, y_format=IntFormat(32)), machine(*registers))
    assert runs == [not is_copied]
