"""Small float segmentation networks as ONNX models, and their quantization by ONNX Runtime."""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx

from support.onnx_models import model, node

Constants = dict[str, Any]


class _Net:
    def __init__(self, seed: int) -> None:
        self.rng = np.random.default_rng(seed)
        self.nodes: list[Any] = []
        self.constants: Constants = {}

    def add(self, op: str, inputs: Sequence[str], output: str, **attributes: Any) -> str:
        self.nodes.append(node(op, inputs, output, **attributes))
        return output

    def const(self, name: str, value: Any) -> str:
        self.constants[name] = value
        return name

    def conv(self, x: str, output: str, channels: tuple[int, int], kernel: int = 3, **attributes: Any) -> str:
        fan = channels[0] * kernel * kernel / attributes.get("group", 1)
        shape = (channels[1], channels[0] // attributes.get("group", 1), kernel, kernel)
        w = self.const(f"{output}_w", (self.rng.standard_normal(shape) / np.sqrt(fan)).astype(np.float32))
        b = self.const(f"{output}_b", (self.rng.standard_normal(channels[1]) * 0.1).astype(np.float32))
        pad = attributes.pop("pad", kernel // 2)
        return self.add("Conv", [x, w, b], output, kernel_shape=[kernel, kernel], pads=[pad] * 4, **attributes)


def deeplab_like(size: int = 33) -> tuple[onnx.ModelProto, dict[str, np.ndarray]]:
    """Residual and depthwise blocks, dilated pyramid with image pooling, gate, two bilinear resizes."""
    net = _Net(3)
    x = net.add("Relu", [net.conv("image", "stem", (3, 8), strides=[2, 2])], "stem_r")
    y = net.add("Relu", [net.conv(x, "depthwise", (8, 8), group=8)], "depthwise_r")
    y = net.conv(y, "project", (8, 8), 1)
    x = net.add("Relu", [net.add("Add", [y, x], "sum")], "sum_r")
    a = net.add("Relu", [net.conv(x, "aspp0", (8, 6), 1)], "aspp0_r")
    b = net.add("Relu", [net.conv(x, "aspp1", (8, 6), pad=2, dilations=[2, 2])], "aspp1_r")
    p = net.add("Relu", [net.conv(net.add("GlobalAveragePool", [x], "pool"), "pool_c", (8, 6), 1)], "pool_r")
    half = (size + 1) // 2
    sizes = net.const("sizes", np.array([1, 6, half, half], np.int64))
    p = net.add(
        "Resize", [p, "", "", sizes], "spread", mode="linear", coordinate_transformation_mode="pytorch_half_pixel"
    )
    joined = net.add("Concat", [a, b, p], "joined", axis=1)
    gate = net.add("Sigmoid", [net.conv(joined, "gate_c", (18, 18), 1)], "gate")
    x = net.conv(net.add("Mul", [joined, gate], "gated"), "logits", (18, 5), 1)
    full = net.const("full", np.array([1, 5, size, size], np.int64))
    net.add("Resize", [x, "", "", full], "scores", mode="linear", coordinate_transformation_mode="align_corners")
    return _model(net, size)


def fcn_like(size: int = 32, transposed: bool = False) -> tuple[onnx.ModelProto, dict[str, np.ndarray]]:
    """Convolutions and pools, two score maps, skip fusion, up by resize or transposed convolution."""
    net = _Net(4)
    x = net.add("Relu", [net.conv("image", "c1", (3, 8))], "c1_r")
    x = net.add("MaxPool", [x], "p1", kernel_shape=[2, 2], strides=[2, 2], ceil_mode=1)
    x = net.add("LeakyRelu", [net.conv(x, "c2", (8, 12))], "c2_r", alpha=0.1)
    skip = net.add(
        "AveragePool", [x], "p2", kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1], count_include_pad=1
    )
    x = net.add("Relu", [net.conv(skip, "c3", (12, 12), strides=[2, 2])], "c3_r")
    deep = net.conv(x, "score", (12, 4), 1)
    if transposed:
        w = net.const("up_w", (net.rng.standard_normal((4, 4, 4, 4)) * 0.3).astype(np.float32))
        up = net.add("ConvTranspose", [deep, w], "up", kernel_shape=[4, 4], strides=[2, 2], pads=[1, 1, 1, 1])
    else:
        scales = net.const("scales", np.array([1, 1, 2, 2], np.float32))
        up = net.add(
            "Resize",
            [deep, "", scales],
            "up",
            mode="nearest",
            coordinate_transformation_mode="asymmetric",
            nearest_mode="floor",
        )
    fused = net.add("Add", [up, net.conv(skip, "skip", (12, 4), 1)], "fused")
    scales4 = net.const("scales4", np.array([1, 1, 4, 4], np.float32))
    net.add("Resize", [fused, "", scales4], "scores", mode="linear", coordinate_transformation_mode="half_pixel")
    return _model(net, size)


def classifier(size: int = 16) -> tuple[onnx.ModelProto, dict[str, np.ndarray]]:
    """A convolution, a flattened pool, two products."""
    net = _Net(5)
    x = net.add("Relu", [net.conv("image", "c1", (3, 8), strides=[2, 2])], "c1_r")
    x = net.add("Flatten", [net.add("GlobalAveragePool", [x], "pool")], "flat", axis=1)
    w = net.const("fc_w", net.rng.standard_normal((8, 10)).astype(np.float32))
    x = net.add("MatMul", [x, w], "fc")
    w = net.const("out_w", net.rng.standard_normal((5, 10)).astype(np.float32))
    b = net.const("out_b", net.rng.standard_normal(5).astype(np.float32))
    net.add("Gemm", [x, w, b], "scores", transB=1)
    return _model(net, size)


def _model(net: _Net, size: int) -> tuple[onnx.ModelProto, dict[str, np.ndarray]]:
    feeds = {"image": np.random.default_rng(9).standard_normal((1, 3, size, size)).astype(np.float32)}
    return model(net.nodes, feeds, net.constants, {"scores": np.float32}), feeds


def quantized(
    proto: onnx.ModelProto, feeds: dict[str, np.ndarray], form: str, signed: bool = True, **extra: Any
) -> onnx.ModelProto:
    """The model as ONNX Runtime's own quantizer makes it; `form` is QOperator or QDQ."""
    from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static

    class Reader(CalibrationDataReader):
        def __init__(self) -> None:
            self.left = [feeds]

        def get_next(self) -> Any:
            return self.left.pop() if self.left else None

    kind = QuantType.QInt8 if signed else QuantType.QUInt8
    logging.disable(logging.WARNING)
    try:
        with tempfile.TemporaryDirectory() as folder:
            paths = [Path(folder) / name for name in ("float.onnx", "int.onnx")]
            onnx.save(proto, paths[0])
            quantize_static(
                *map(str, paths),
                Reader(),
                quant_format=QuantFormat[form],
                activation_type=kind,
                weight_type=QuantType.QInt8 if signed else kind,
                per_channel=signed,
                **extra,
            )
            return onnx.load(paths[1])
    finally:
        logging.disable(logging.NOTSET)
