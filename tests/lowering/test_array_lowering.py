"""Lowering of array layers: geometry, order of additions, constants, and what is refused."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

from simulator.errors import NetworkError
from simulator.graph.graph import Node, Tensor
from simulator.graph.ops import Activation, Conv2D, FullyConnected, Padding, TransposeConv2D
from simulator.lowering.array import lower_array
from simulator.lowering.layer import Engine, FoldOrder, RegisterSpec
from simulator.numerics.formats import FLOAT32, INT8, INT16, INT32, INT64, UINT8
from simulator.numerics.modes import Dataflow, OverflowMode, RequantizerKind, RoundingMode
from simulator.numerics.quant import QuantParams
from support.accelerators import device

SCALE = QuantParams.per_tensor(0.5)


def lower(op, x, weights, y, bias=None, accelerator=None):
    tensors = (x, weights) if bias is None else (x, weights, bias)
    node = Node("conv_1", op, tuple(tensor.name for tensor in tensors), (y.name,))
    return lower_array(node, tensors, (y,), accelerator or device())


def conv(x_format=INT8, w_format=INT8, y_format=INT8, x=SCALE, w=SCALE, y=SCALE, op=None, accelerator=None, bias=None):
    return lower(
        op or Conv2D(),
        Tensor("x", (1, 4, 4, 3), x_format, x),
        Tensor("w", (5, 1, 1, 3), w_format, w),
        Tensor("y", (1, 4, 4, 5), y_format, y),
        bias,
        accelerator,
    )


def test_geometry_of_a_grouped_dilated_convolution():
    op = Conv2D((2, 1), Padding(1, 2, 3, 4), (2, 3), groups=2)
    x, w = Tensor("x", (2, 9, 8, 6), INT8, SCALE), Tensor("w", (10, 3, 2, 3), INT8, SCALE)
    layer = lower(op, x, w, Tensor("y", (2, 4, 12, 10), INT8, SCALE))
    geometry = layer.geometry
    assert layer.engine is Engine.ARRAY
    assert (geometry.m, geometry.n, geometry.k, geometry.groups) == (2 * 4 * 12, 5, 18, 2)
    assert geometry.macs == 2 * 4 * 12 * 10 * 18
    assert (geometry.stride, geometry.dilation, geometry.padding) == (op.stride, op.dilation, op.padding)


def test_geometry_of_a_transposed_convolution_is_that_of_the_woven_input():
    op = TransposeConv2D((2, 3), (9, 10), Padding(top=1, left=0))
    x, w = Tensor("x", (1, 4, 3, 2), INT8, SCALE), Tensor("w", (5, 4, 3, 2), INT8, SCALE)
    geometry = lower(op, x, w, Tensor("y", (1, 9, 10, 5), INT8, SCALE)).geometry
    assert geometry.transposed
    assert geometry.insertion == (2, 3)
    assert (geometry.padding.top, geometry.padding.left) == (2, 2)
    woven = 7 + geometry.padding.top + geometry.padding.bottom, 7 + geometry.padding.left + geometry.padding.right
    assert woven == (9 + 4 - 1, 10 + 3 - 1)
    assert geometry.macs == 4 * 3 * 4 * 3 * 2 * 5


def test_fold_order_follows_the_device_alone():
    wrap = RegisterSpec(32, OverflowMode.WRAP)
    assert conv().fold_order == FoldOrder(Dataflow.WEIGHT_STATIONARY, 8, wrap, wrap)
    partial = device(arithmetic__partial_sum={"bits": 20, "overflow": "saturate"}, array__rows=3)
    assert conv(accelerator=partial).fold_order.partial_sum == RegisterSpec(20, OverflowMode.SATURATE)
    stationary = conv(accelerator=device(array__dataflow="output_stationary")).fold_order
    assert (stationary.fold_length, stationary.partial_sum) == (0, None)


def test_multipliers_are_the_real_scales_to_31_bits():
    w = QuantParams((0.1, 0.2, 0.3, 1e-3, 7.0), (0,) * 5, axis=0)
    params = conv(x=QuantParams.per_tensor(0.7), w=w, y=QuantParams.per_tensor(0.9)).constants.requantizer
    for multiplier, exponent, scale in zip(params.multiplier, params.exponent, w.scale, strict=True):
        assert 2**30 <= multiplier < 2**31
        real = 0.7 * scale / 0.9
        assert abs(Fraction(int(multiplier)) * Fraction(2) ** int(exponent - 31) / Fraction(real) - 1) <= Fraction(
            1, 2**31
        )
    assert params.kind is RequantizerKind.FIXED_POINT_DOUBLE
    assert params.scale.dtype == np.float32


def test_uint8_layers_form_their_scale_in_float32_as_tflite_does():
    x, w, y = (float(np.float32(value)) for value in (0.0123456, 0.0345678, 0.0567891))
    quants = {"x": QuantParams.per_tensor(x, 3), "w": QuantParams.per_tensor(w, 9), "y": QuantParams.per_tensor(y)}
    signed = conv(**quants).constants.requantizer
    unsigned = conv(UINT8, UINT8, UINT8, **quants).constants.requantizer
    in_float32 = float(np.float32(x) * np.float32(w)) / y
    assert x * w / y != in_float32
    for params, real in ((signed, x * w / y), (unsigned, in_float32)):
        value = Fraction(int(params.multiplier[0])) * Fraction(2) ** int(params.exponent[0] - 31)
        assert abs(value - Fraction(real)) <= Fraction(real) / 2**31


@pytest.mark.parametrize(
    ("activation", "limits"),
    [
        (Activation.NONE, (-128, 127)),
        (Activation.RELU, (-10, 127)),
        (Activation.RELU6, (-10, 50)),
        (Activation.RELU_N1_TO_1, (-20, 0)),
    ],
)
def test_fused_activation_is_a_clamp(activation, limits):
    params = conv(y=QuantParams.per_tensor(0.1, -10), op=Conv2D(activation=activation)).constants.requantizer
    assert (params.minimum, params.maximum) == limits


def test_zero_points_reach_the_array():
    w = QuantParams((0.5,) * 5, (1, 2, 3, 4, 5), axis=0)
    constants = conv(x=QuantParams.per_tensor(0.5, -7), w=w).constants
    assert constants.input_zero_point == -7
    assert constants.weight_zero_points.tolist() == [1, 2, 3, 4, 5]


def test_power_of_two_takes_exact_shifts_and_names_what_is_none():
    shifts = device(arithmetic__requantizer={"kind": "power_of_two", "rounding": "to_zero"})
    exact = conv(x=QuantParams.per_tensor(0.5), w=QuantParams.per_tensor(2.0**-6), y=SCALE, accelerator=shifts)
    assert exact.constants.requantizer.exponent.tolist() == [-6] * 5
    assert exact.constants.requantizer.rounding is RoundingMode.TO_ZERO
    with pytest.raises(NetworkError, match=r"conv_1.*0\.3.*power of two"):
        conv(w=QuantParams.per_tensor(0.3), accelerator=shifts)
    with pytest.raises(NetworkError, match=r"2\^-80"):
        conv(w=QuantParams.per_tensor(2.0**-80), accelerator=shifts)


def test_raw_accumulators_are_as_wide_as_the_register():
    x, w, y = Tensor("x", (2, 3), INT8), Tensor("w", (4, 3), INT8), Tensor("y", (2, 4), INT32)
    for bits, expected in ((32, INT32), (33, INT64)):
        accelerator = device(arithmetic__accumulator={"bits": bits, "overflow": "wrap"})
        layer = lower(FullyConnected(raw_accumulator=True), x, w, y, accelerator=accelerator)
        assert layer.outputs[0].format == expected
        assert layer.constants.requantizer is None


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"x_format": FLOAT32}, "conv_1.* x is float32.*quantize"),
        ({"w_format": FLOAT32}, "w is float32.*quantize"),
        ({"x_format": INT16}, "x is int16.*at most 8 bits"),
        ({"w_format": INT16}, "w is int16.*at most 8 bits"),
        ({"y_format": INT32}, "y is int32.*at most 16 bits"),
        ({"x": None}, "no scale"),
        ({"y": None}, "no scale|no quantization"),
        ({"x": QuantParams.per_tensor(1e30), "y": QuantParams.per_tensor(1e-30)}, "too far apart"),
        ({"w": QuantParams((0.5,) * 3, (0,) * 3, axis=3)}, "3 scales along axis 3"),
        ({"bias": Tensor("b", (5,), FLOAT32)}, "bias tensor b is float32"),
        ({"bias": Tensor("b", (4,), INT32)}, "bias"),
        ({"bias": Tensor("b", (5,), INT32, QuantParams.per_tensor(0.25, 1))}, "zero point"),
        ({"op": Conv2D(dilation=(1, 1), stride=(2, 2))}, "declared"),
    ],
)
def test_what_cannot_be_right_is_refused_with_the_layers_name(change, message):
    with pytest.raises(NetworkError, match=message) as error:
        conv(**change)
    assert "conv_1" in str(error.value) or "tensor" in str(error.value)


def test_an_unsigned_network_runs_on_a_signed_device():
    assert conv(UINT8, UINT8, UINT8).constants.requantizer.maximum == 255
