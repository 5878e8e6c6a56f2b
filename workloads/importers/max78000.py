"""The CamVid U-Net of the MAX78000's public examples, from its tensors: int8 weights, int32 biases, output shifts.

The tensors come without operators, so the network is written down here. Architecture: class AI85UNetLarge in
analogdevicesinc/ai8x-training, models/ai85net-unet.py. Arithmetic, README.md of the same repository ("Number Format",
"Rounding"): out = clamp(floor(acc * 2^shift / 128 + 1/2)), which here is a weight scale of 2^shift / 128 between
activations of scale 1/128, on a device whose requantizer is ``power_of_two``.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from simulator.errors import NetworkError
from simulator.graph.builder import GraphBuilder
from simulator.graph.graph import Graph
from simulator.graph.ops import Activation, Concat, Conv2D, MaxPool2D, Padding, Reshape, Transpose, TransposeConv2D
from simulator.numerics.formats import INT8, INT32
from simulator.numerics.quant import QuantParams

_SHAPES: dict[str, tuple[int, int, int, int]] = {
    "prep0": (64, 48, 1, 1),
    "prep1": (64, 64, 1, 1),
    "prep2": (32, 64, 1, 1),
    "enc1": (8, 32, 3, 3),
    "enc2": (28, 8, 3, 3),
    "enc3": (56, 28, 3, 3),
    "bneck": (112, 56, 3, 3),
    "pt": (56, 56, 1, 1),
    "upconv3": (112, 56, 3, 3),
    "dec3": (56, 112, 3, 3),
    "upconv2": (56, 28, 3, 3),
    "dec2": (28, 56, 3, 3),
    "upconv1": (28, 8, 3, 3),
    "dec1": (48, 16, 3, 3),
    "dec0": (64, 48, 3, 3),
    "conv_p1": (64, 64, 1, 1),
    "conv_p2": (64, 64, 1, 1),
    "conv_p3": (64, 64, 1, 1),
    "conv": (64, 64, 1, 1),
}
"""Weights of each layer: [filters, channels, height, width], those of upconv* [channels, filters, height, width]."""
_UNBIASED = "pt"
_SIDE = 88
"""Height and width of the input: an image of 352 x 352 folded 4 x 4 into channels."""
_SHIFTS = range(-15, 16)
_ACTIVATION = QuantParams.per_tensor(2.0**-7)


def recognises(names: Iterable[str]) -> bool:
    """Whether the arrays of a .npz are those of such a network."""
    return {"prep0.w", "prep0.shift", "conv.w", "conv.shift"} <= set(names)


def build_unet(name: str, arrays: Mapping[str, NDArray[Any]]) -> Graph:
    """Return the network.

    Parameters
    ----------
    name
        Of the graph.
    arrays
        ``LAYER.w`` int8, ``LAYER.b`` int32 [filters] in units of the accumulator, ``LAYER.shift`` a scalar.

    Returns
    -------
    Graph
        From ``input`` int8 [48, 88, 88] (channels first and no batch, as the chip takes it; pixel - 128, channel
        3 * (4 * row + column) + colour of the 4 x 4 fold) to ``output`` int8 [64, 88, 88] (channel
        4 * (4 * row + column) + class).

    Raises
    ------
    NetworkError
        Arrays that are missing, unknown, or of another shape or dtype: one error that lists them all.

    """
    _check(arrays)
    return _Unet(name, arrays).graph()


def _check(arrays: Mapping[str, NDArray[Any]]) -> None:
    wanted: dict[str, tuple[tuple[int, ...], str]] = {}
    for layer, shape in _SHAPES.items():
        wanted[f"{layer}.w"] = shape, "int8"
        wanted[f"{layer}.shift"] = (), "int32"
        if layer != _UNBIASED:
            wanted[f"{layer}.b"] = (shape[1] if layer.startswith("upconv") else shape[0],), "int32"
    problems = [f"{key} is missing" for key in wanted if key not in arrays]
    problems += [f"{key} is not of this network" for key in arrays if key not in wanted]
    for key, (sizes, dtype) in wanted.items():
        if key in arrays and (arrays[key].shape != sizes or str(arrays[key].dtype) != dtype):
            problems.append(f"{key} is {arrays[key].dtype} {list(arrays[key].shape)}, not {dtype} {list(sizes)}")
        elif key.endswith(".shift") and key in arrays and int(arrays[key]) not in _SHIFTS:
            problems.append(f"{key} is {int(arrays[key])}, outside {_SHIFTS[0]} to {_SHIFTS[-1]}")
    if problems:
        raise NetworkError("tensors of a MAX78000 U-Net (AI85UNetLarge): " + "; ".join(problems))


class _Unet:
    def __init__(self, name: str, arrays: Mapping[str, NDArray[Any]]) -> None:
        self.arrays = arrays
        self.builder = GraphBuilder(name)

    def graph(self) -> Graph:
        builder = self.builder
        x = builder.input("input", (48, _SIDE, _SIDE), INT8, _ACTIVATION)
        x = builder.add(Transpose((1, 2, 0)), x, name="input_channels_last")
        x = builder.add(Reshape((1, _SIDE, _SIDE, 48)), x, name="input_batch")
        for layer in ("prep0", "prep1", "prep2"):
            x = self.conv(x, layer)
        first = self.conv(x, "enc1")
        second = self.conv(self.pool(first, "enc2"), "enc2")
        third = self.conv(self.pool(second, "enc3"), "enc3")
        x = self.up(self.conv(self.pool(third, "bneck"), "bneck"), "upconv3")
        x = self.conv(self.join(x, self.conv(third, _UNBIASED, relu=False), "dec3"), "dec3")
        x = self.conv(self.join(self.up(x, "upconv2"), second, "dec2"), "dec2")
        x = self.conv(self.join(self.up(x, "upconv1"), first, "dec1"), "dec1")
        for layer in ("dec0", "conv_p1", "conv_p2"):
            x = self.conv(x, layer)
        x = self.conv(self.conv(x, "conv_p3", relu=False), "conv", relu=False)
        x = builder.add(Reshape((_SIDE, _SIDE, 64)), x, name="output_image")
        return builder.build([builder.add(Transpose((2, 0, 1)), x, name="output")])

    def conv(self, x: str, layer: str, *, relu: bool = True) -> str:
        border = self.arrays[f"{layer}.w"].shape[2] // 2
        padding = Padding(border, border, border, border)
        op = Conv2D(padding=padding, activation=Activation.RELU if relu else Activation.NONE)
        return self.builder.add(op, x, *self.constants(layer, (0, 2, 3, 1)), name=layer, quant=_ACTIVATION)

    def up(self, x: str, layer: str) -> str:
        """Twice the height and width; stride 2, padding 1 and output padding 1, as torch counts them."""
        _, height, width, _ = self.builder.shape(x)
        op = TransposeConv2D((2, 2), (2 * height, 2 * width), Padding(1, 0, 1, 0))
        return self.builder.add(op, x, *self.constants(layer, (1, 2, 3, 0)), name=layer, quant=_ACTIVATION)

    def pool(self, x: str, layer: str) -> str:
        return self.builder.add(MaxPool2D((2, 2), (2, 2)), x, name=f"{layer}_pool")

    def join(self, x: str, skipped: str, layer: str) -> str:
        return self.builder.add(Concat(3), x, skipped, name=f"{layer}_concat")

    def constants(self, layer: str, order: tuple[int, int, int, int]) -> tuple[str, ...]:
        """Weights, filters first and channels last, and the bias where there is one."""
        step = 2.0 ** (int(self.arrays[f"{layer}.shift"]) - 7)
        weights = np.ascontiguousarray(self.arrays[f"{layer}.w"].transpose(order))
        names = [self.builder.constant(f"{layer}.w", weights, INT8, QuantParams.per_tensor(step))]
        if layer != _UNBIASED:
            scale = QuantParams.per_tensor(step * _ACTIVATION.scale[0])
            names.append(self.builder.constant(f"{layer}.b", self.arrays[f"{layer}.b"], INT32, scale))
        return tuple(names)
