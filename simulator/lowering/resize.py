"""Bilinear and nearest-neighbour resize of quantized images.

Lane operations per output element: bilinear 4 (one per neighbour), nearest 1.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from simulator.accelerator.spec import Accelerator
from simulator.graph.graph import Node, Tensor
from simulator.graph.ops import Arithmetic, ResizeBilinear, ResizeNearest
from simulator.lowering.float_rescale import FloatBilinearConstants, bilinear_axis, computes_in_float32
from simulator.lowering.layer import Layer
from simulator.lowering.quantized import (
    is_vector_integer,
    lower_on_host,
    operands,
    refuse,
    require_same_format,
    require_same_quantization,
    round_half_away,
    vector_layer,
)
from simulator.lowering.table import LowererTable
from simulator.numerics.formats import UINT8

FRACTION_BITS = 10
"""Positions are fixed point with 10 fraction bits (ResizeBilinearInteger)."""


@dataclass(frozen=True, eq=False)
class AxisWeights:
    """For each output row (or column): two neighbours and the weight of the second; the first has one minus it."""

    lower: NDArray[np.int64]
    upper: NDArray[np.int64]
    fraction: NDArray[Any]
    """Weight of `upper`: in 2^-10 (int64, may be negative at the border, where both neighbours are one), or float32."""


@dataclass(frozen=True, eq=False)
class BilinearConstants:
    """Weights down and across. Integer: the sum in 2^-20, ties away from zero; float32: the sum plus 1/2, truncated."""

    rows: AxisWeights
    columns: AxisWeights


@dataclass(frozen=True, eq=False)
class NearestConstants:
    """Input row of each output row, and column of each column."""

    rows: NDArray[np.int64]
    columns: NDArray[np.int64]


def integer_axis(size: int, count: int, align_corners: bool, half_pixel: bool) -> AxisWeights:
    """Source: ComputeInterpolationValuesInteger, reference/resize_bilinear.h of TFLite.

    The step is rounded, so that enlarging far (33 to 513, say) can carry the last `lower` to `size` or beyond. The
    reference then reads the address that follows: the next row, or image. The kernel does so too, within the tensor.
    """
    one = 1 << FRACTION_BITS
    if align_corners and count > 1:
        scale = (one * (size - 1) + (count - 1) // 2) // (count - 1)
    else:
        scale = (one * size + count // 2) // count
    position = np.arange(count, dtype=np.int64) * scale
    if half_pixel:
        position += scale // 2 - one // 2
    lower = np.maximum(position >> FRACTION_BITS, 0)
    upper = np.minimum((position + one - 1) >> FRACTION_BITS, size - 1)
    return AxisWeights(lower, upper, position - one * lower)


def float_axis(size: int, count: int, align_corners: bool, half_pixel: bool) -> AxisWeights:
    """Source: ComputeInterpolationValues (float32), reference/resize_bilinear.h of TFLite."""
    f32 = np.float32
    scale = f32(size - 1) / f32(count - 1) if align_corners and count > 1 else f32(size) / f32(count)
    index = np.arange(count).astype(np.float32)
    position = (index + f32(0.5)) * scale - f32(0.5) if half_pixel else index * scale
    lower = np.clip(np.floor(position).astype(np.int64), 0, size - 1)
    upper = np.clip(np.ceil(position).astype(np.int64), 0, size - 1)
    return AxisWeights(lower, upper, position - lower.astype(np.float32))


def nearest_axis(size: int, count: int, align_corners: bool, half_pixel: bool) -> NDArray[np.int64]:
    """Source: GetNearestNeighbor (float32), reference/resize_nearest_neighbor.h of TFLite."""
    f32 = np.float32
    scale = f32(size - 1) / f32(count - 1) if align_corners and count > 1 else f32(size) / f32(count)
    position = (np.arange(count).astype(np.float32) + f32(0.5 if half_pixel else 0.0)) * scale
    whole = [round_half_away(value) for value in position] if align_corners else np.floor(position)
    return np.clip(np.asarray(whole, np.int64), 0, size - 1)


def _image(node: Node, inputs: tuple[Tensor | None, ...], out: Tensor) -> Tensor:
    (x,) = operands(node, inputs, 1)
    require_same_format(node, x, out)
    require_same_quantization(node, x, out)
    if len(x.shape) != 4:
        refuse(node, f"the input has shape {x.shape}; resize takes [batch, height, width, channels]")
    return x


def _lower_bilinear(
    node: Node, inputs: tuple[Tensor | None, ...], outputs: tuple[Tensor, ...], accelerator: Accelerator
) -> Layer:
    """Integer weights, except for uint8, which the reference kernel interpolates in float32."""
    op = node.op
    assert isinstance(op, ResizeBilinear)
    if not is_vector_integer(inputs[0]):
        return lower_on_host(node, inputs, outputs, accelerator)
    out = outputs[0]
    x = _image(node, inputs, out)
    if op.align_corners and op.half_pixel_centers:
        refuse(node, "align_corners and half_pixel_centers exclude each other")
    if computes_in_float32(op, accelerator):
        down, across = (
            bilinear_axis(x.shape[i], out.shape[i], op.align_corners, op.half_pixel_centers) for i in (1, 2)
        )
        single = FloatBilinearConstants(down, across, nearest=op.arithmetic is Arithmetic.FLOAT32)
        return vector_layer(node, inputs, outputs, single, 4 * out.elements)
    axis = float_axis if x.format == UINT8 else integer_axis
    rows, columns = (axis(x.shape[i], out.shape[i], op.align_corners, op.half_pixel_centers) for i in (1, 2))
    return vector_layer(node, inputs, outputs, BilinearConstants(rows, columns), 4 * out.elements)


def _lower_nearest(
    node: Node, inputs: tuple[Tensor | None, ...], outputs: tuple[Tensor, ...], accelerator: Accelerator
) -> Layer:
    op = node.op
    assert isinstance(op, ResizeNearest)
    if not is_vector_integer(inputs[0]):
        return lower_on_host(node, inputs, outputs, accelerator)
    out = outputs[0]
    x = _image(node, inputs, out)
    rows, columns = (nearest_axis(x.shape[i], out.shape[i], op.align_corners, op.half_pixel_centers) for i in (1, 2))
    return vector_layer(node, inputs, outputs, NearestConstants(rows, columns), out.elements)


LOWERERS: LowererTable = {ResizeBilinear: _lower_bilinear, ResizeNearest: _lower_nearest}
