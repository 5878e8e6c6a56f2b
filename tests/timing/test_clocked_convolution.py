"""Convolutions on the register-accurate array: operands against patches cut by NumPy, cycles against conflicts."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from simulator.errors import SpecError
from simulator.mapping.array_cycles import weight_stationary
from simulator.mapping.work import Device
from simulator.timing.clocked_convolution import Banks, Convolution, Pool, run_convolution
from support.convolution_cases import ENGINES, draw_convolution
from support.devices import machine
from support.gemm_cases import ARRAYS, Stream, against_specification

CASES = 120


def woven(values: np.ndarray, convolution: Convolution, fill: int) -> np.ndarray:
    """The map as the filter sees it: zeros between neighbours, padding on every side, [places, places, channels]."""
    (height, width), (down, right) = convolution.size, convolution.insertion
    image = np.full(((height - 1) * down + 1, (width - 1) * right + 1, convolution.channels), fill)
    image[::down, ::right] = values
    reach = [
        convolution.out_size[i] * convolution.stride[i] + convolution.kernel[i] * convolution.dilation[i]
        for i in (0, 1)
    ]
    (top, left) = convolution.padding
    return np.pad(image, ((top, reach[0]), (left, reach[1]), (0, 0)), constant_values=fill)


def patches(values: np.ndarray, convolution: Convolution, fill: int) -> np.ndarray:
    """What every output reads, [pixels, k]."""
    image = woven(values, convolution, fill)
    (step_y, step_x), (apart_y, apart_x) = convolution.stride, convolution.dilation
    kernel_h, kernel_w = convolution.kernel
    return np.array(
        [
            image[y * step_y :, x * step_x :][: kernel_h * apart_y : apart_y, : kernel_w * apart_x : apart_x].ravel()
            for y, x in np.ndindex(*convolution.out_size)
        ]
    )


def windows(outputs: np.ndarray, convolution: Convolution) -> np.ndarray:
    """The greatest value of each window of the pool, [windows, filters]."""
    pool = convolution.pool
    image = outputs.reshape(*convolution.out_size, -1)
    (top, left), (bottom, right) = pool.padding, pool.end_padding
    image = np.pad(image, ((top, bottom), (left, right), (0, 0)), constant_values=-(1 << 40))
    if min(image.shape[:2]) < pool.size:
        return np.zeros((0, image.shape[2]), np.int64)
    views = np.lib.stride_tricks.sliding_window_view(image, (pool.size, pool.size), (0, 1))
    return views[:: pool.stride, :: pool.stride].max(axis=(-2, -1)).reshape(-1, image.shape[2])


def conflict_cycles(convolution: Convolution, rows: int, banks: Banks) -> int:
    """Cycles beyond one for each fold and pixel, in which the busiest bank has more to read."""
    elements = np.arange(np.prod(convolution.size) * convolution.channels).reshape(*convolution.size, -1)
    addresses = patches(elements, convolution, -1)
    extra = 0
    for begin in range(0, convolution.k, rows):
        for wanted in addresses[:, begin : begin + rows]:
            words = {address // banks[1] for address in wanted.tolist() if address >= 0}
            banked = [word % banks[0] for word in words]
            extra += max((banked.count(bank) for bank in banked), default=1) - 1
    return extra


@pytest.mark.parametrize("name", ENGINES)
def test_values_and_cycles(name):
    array, banks = ARRAYS[ENGINES[name][0]], ENGINES[name][1]
    device = Device.of(machine(array.rows, array.cols, weight_double_buffer=array.weight_double_buffer))
    held = 0
    for seed in range(CASES):
        convolution, feature_map, product = draw_convolution(Stream(8, seed), array)
        run = run_convolution(array, replace(convolution, pool=None), banks, feature_map, product)
        if convolution.pool:
            pooled = run_convolution(array, convolution, banks, feature_map, product)
            np.testing.assert_array_equal(pooled.outputs, windows(run.outputs, convolution), str(seed))
            assert pooled.cycles == [run.cycles[0] + 1], seed
            assert pooled.saturations == run.saturations, seed
        product = replace(product, a=patches(feature_map, convolution, product.activation_zero_point))
        if product.a.size * product.w.shape[1] < 20_000:
            assert against_specification(array, product, run) == [], seed
        k_folds, n_folds = -(-convolution.k // array.rows), -(-product.w.shape[1] // array.cols)
        conflicts = n_folds * conflict_cycles(convolution, array.rows, banks)
        held += conflicts
        assert run.cycles == [weight_stationary(k_folds * n_folds, len(product.a), device) + conflicts], seed
    assert held > 0 or array.rows == 1


@pytest.mark.parametrize(
    ("name", "banks", "change", "message"),
    [
        ("os_4x6", (2, 1), {}, "weight_stationary array, not output_stationary"),
        ("ws_3x5", (3, 1), {}, "banks: 3, but it must be a power of two from 2"),
        ("ws_3x5", (2, 6), {}, "word_elements: 6, but it must be a power of two from 1"),
        ("ws_3x5", (2, 1), {"channels": 4}, r"the feature map is \(5, 6, 3\), not \(5, 6, 4\)"),
        ("ws_3x5", (2, 1), {"pool": Pool(4, 2)}, "size 2 or 3, stride from 1"),
        ("ws_3x5", (2, 1), {"pool": Pool(3, 1, (1, 1), (1, 1))}, "an end_padding less than size and stride"),
        ("ws_3x5", (2, 1), {"insertion": (2, 1), "stride": (2, 2)}, "vertical insertion 2 needs stride and dilation 1"),
        ("ws_3x5", (2, 1), {"dilation": (1, 256)}, "stride, dilation and insertion must lie in 1 to 255"),
        ("ws_3x5", (2, 1), {"kernel": (3, 1 << 16)}, "sizes and the elements of a row must lie in 1 to 65535"),
        ("ws_3x5", (2, 1), {"out_size": (300, 4), "stride": (255, 1)}, "to the last are more than 65535"),
    ],
)
def test_what_the_engine_does_not_take_is_refused(name, banks, change, message):
    convolution = Convolution((5, 6), 3, (3, 3), (3, 4))
    product = draw_convolution(Stream(8, 0), ARRAYS[name])[2]
    with pytest.raises(SpecError, match=message):
        run_convolution(ARRAYS[name], replace(convolution, **change), banks, np.zeros((5, 6, 3), np.int64), product)
