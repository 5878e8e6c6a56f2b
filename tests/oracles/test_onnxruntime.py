"""The float32 requantizer, value for value what ONNX Runtime's QLinearConv computes.

Without VNNI its kernels for uint8 activations and int8 weights saturate pairs of products in 16 bits, so such weights
have seven bits here: 2 * 255 * 64 < 2^15.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest

import bittrue
from simulator.graph.ops import Conv2D, Padding
from simulator.numerics.quant import QuantParams
from support.accelerators import device
from support.requantized import requantized

onnx = pytest.importorskip("onnx", reason="needs onnx: pip install 'bittrue[oracle]'")
onnxruntime = pytest.importorskip("onnxruntime", reason="needs onnxruntime: pip install 'bittrue[oracle]'")
pytestmark = pytest.mark.oracle


@dataclass(frozen=True)
class Convolution:
    """A quantized convolution: x [batch, height, width, channels], w [filters, kh, kw, channels / groups]."""

    x: np.ndarray
    w: np.ndarray
    bias: np.ndarray
    x_quant: QuantParams
    w_quant: QuantParams
    y_quant: QuantParams
    op: Conv2D


def by_onnxruntime(case: Convolution) -> np.ndarray:
    """Run a model of one QLinearConv; output [batch, height, width, filters], in the dtype of x."""
    constants = {
        "x_scale": np.float32(case.x_quant.scale[0]),
        "x_zero": case.x.dtype.type(case.x_quant.zero_point[0]),
        "w": np.ascontiguousarray(case.w.transpose(0, 3, 1, 2)),
        "w_scale": scalar_or_row(case.w_quant.scale, np.float32),
        "w_zero": scalar_or_row(case.w_quant.zero_point, case.w.dtype),
        "y_scale": np.float32(case.y_quant.scale[0]),
        "y_zero": case.x.dtype.type(case.y_quant.zero_point[0]),
        "bias": case.bias,
    }
    op, pad = case.op, case.op.padding
    node = onnx.helper.make_node(
        "QLinearConv",
        ["x", *constants],
        ["y"],
        strides=op.stride,
        dilations=op.dilation,
        group=op.groups,
        pads=(pad.top, pad.left, pad.bottom, pad.right),
    )
    kind = onnx.helper.np_dtype_to_tensor_dtype(case.x.dtype)
    x = np.ascontiguousarray(case.x.transpose(0, 3, 1, 2))
    graph = onnx.helper.make_graph(
        [node],
        "convolution",
        [onnx.helper.make_tensor_value_info("x", kind, x.shape)],
        [onnx.helper.make_tensor_value_info("y", kind, (None,) * 4)],
        [onnx.numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()],
    )
    model = onnx.helper.make_model(graph, ir_version=8, opset_imports=[onnx.helper.make_opsetid("", 13)])
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    return session.run(["y"], {"x": x})[0].transpose(0, 2, 3, 1)


def scalar_or_row(values, dtype) -> np.ndarray:
    array = np.array(values, dtype)
    return array if array.size > 1 else array[0]


def by_bittrue(case: Convolution, dataflow: str) -> np.ndarray:
    builder = bittrue.GraphBuilder("convolution")
    builder.input("x", case.x.shape, case.x.dtype.name, case.x_quant)
    builder.constant("w", case.w, quant=case.w_quant)
    builder.constant("bias", case.bias)
    builder.add(case.op, "x", "w", "bias", name="y", quant=case.y_quant)
    accelerator = device(
        array__dataflow=dataflow,
        arithmetic__requantizer="float32",
        arithmetic__accumulator={"bits": 32, "overflow": "trap"},
    )
    return bittrue.simulate(builder.build(), accelerator, [case.x], values_only=True).outputs["y"]


def random_convolution(rng: np.random.Generator, x_type: str, w_type: str, per_channel: bool) -> Convolution:
    groups = int(rng.choice([1, 1, 2, 5]))
    channels = 1 if groups == 5 else int(rng.integers(1, 24))
    filters = groups * int(rng.integers(1, 9))
    kernel, stride, dilation = (tuple(rng.integers(1, 4, 2).tolist()) for _ in range(3))
    padding = Padding(*rng.integers(0, 3, 4).tolist())
    reach = [(taps - 1) * step + 1 for taps, step in zip(kernel, dilation, strict=True)]
    size = [extent + int(rng.integers(0, 9)) for extent in reach]
    x = full_range(rng, x_type, (int(rng.integers(1, 3)), *size, channels * groups))
    w = full_range(rng, w_type, (filters, *kernel, channels))
    if (x_type, w_type) == ("uint8", "int8"):
        w //= 2
    # Unsigned weights have one scale and a zero point; signed ones of a filter each, and none.
    count = filters if per_channel else 1
    w_zero = int(rng.integers(100, 156)) if w_type == "uint8" else 0
    taps = kernel[0] * kernel[1] * channels
    return Convolution(
        x=x,
        w=w,
        bias=rng.integers(-20000, 20000, filters).astype(np.int32),
        x_quant=QuantParams.per_tensor(a_scale(rng), zero_point(rng, x_type)),
        w_quant=QuantParams(
            tuple(a_scale(rng) for _ in range(count)), (w_zero,) * count, axis=0 if count > 1 else None
        ),
        y_quant=QuantParams.per_tensor(a_scale(rng) * 2.0 ** (1 + np.ceil(np.log2(taps) / 2)), zero_point(rng, x_type)),
        op=Conv2D(stride, padding, dilation, groups),
    )


def full_range(rng, dtype, shape) -> np.ndarray:
    limits = np.iinfo(dtype)
    return rng.integers(limits.min, limits.max, shape, dtype, endpoint=True)


def a_scale(rng) -> float:
    """One of few significant bits, so that outputs tie often, or any float32 number."""
    scale = 2.0 ** int(rng.integers(-7, -5))
    return scale if rng.random() < 0.5 else float(np.float32(scale * rng.uniform(1, 2)))


def zero_point(rng, dtype) -> int:
    limits = np.iinfo(dtype)
    return int(rng.integers(limits.min + 60, limits.max - 60))


KINDS = [("uint8", "int8"), ("int8", "int8"), ("uint8", "uint8")]


@pytest.mark.parametrize("dataflow", ["weight_stationary", "output_stationary"])
@pytest.mark.parametrize("seed", range(10))
@pytest.mark.parametrize("per_channel", [False, True])
@pytest.mark.parametrize(("x_type", "w_type"), KINDS)
def test_random_convolutions(x_type, w_type, per_channel, seed, dataflow):
    if per_channel and w_type == "uint8":
        seed += 100  # ONNX Runtime takes zero points of a tensor only: more cases of that
        per_channel = False
    rng = np.random.default_rng([seed, per_channel, KINDS.index((x_type, w_type))])
    case = random_convolution(rng, x_type, w_type, per_channel)
    theirs = by_onnxruntime(case)
    assert np.unique(theirs).size > 3
    np.testing.assert_array_equal(by_bittrue(case, dataflow), theirs)


@pytest.mark.parametrize("w_scale", [2.0**-18, 2.0**-22, 2.0**-23, 3 * 2.0**-24, 1e-5, 3.3e-6, 7.1e-8])
def test_chosen_accumulators(w_scale):
    """Ties, sums a little beside them that float32 takes for ties (it has 24 bits), and the ends of int32."""
    rng = np.random.default_rng(11)
    at_ties = (rng.integers(-140, 140, 1500) + 0.5) / w_scale
    beside = np.rint(at_ties) + rng.integers(-130, 131, at_ties.size)
    found = np.concatenate([np.rint(at_ties), beside, rng.integers(-(2**31), 2**31, 200), [-(2**31), 2**31 - 1]])
    accumulators = np.clip(found, -(2**31), 2**31 - 1).astype(np.int32)
    scale = float(np.float32(w_scale))
    case = Convolution(
        x=np.zeros((1, 1, 1, 1), np.int8),
        w=np.zeros((accumulators.size, 1, 1, 1), np.int8),
        bias=accumulators,
        x_quant=QuantParams.per_tensor(1.0),
        w_quant=QuantParams.per_tensor(scale),
        y_quant=QuantParams.per_tensor(1.0, 4),
        op=Conv2D(),
    )
    theirs = by_onnxruntime(case).reshape(-1)
    np.testing.assert_array_equal(requantized(accumulators[:, None], [scale], "float32", zero_point=4)[:, 0], theirs)
    np.testing.assert_array_equal(by_bittrue(case, "weight_stationary").reshape(-1), theirs)
