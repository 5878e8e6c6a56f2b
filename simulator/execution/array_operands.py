"""Operands of an array layer in the layouts that the kernels take."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from simulator.execution.array_filling import FilledImage
from simulator.execution.array_tile_run import TileRun
from simulator.execution.array_weights import TurnedWeights, Weights
from simulator.execution.turned import in_order, source_of
from simulator.kernels import geometry as geo
from simulator.kernels.extremes import extremes
from simulator.kernels.norms import INTERVAL, interval_squares
from simulator.lowering.array import ArrayConstants
from simulator.lowering.layer import ConvGeometry, Layer
from simulator.numerics.formats import IntFormat

Range = tuple[int, int]


def centred(low: int, high: int, zero_point: int) -> Range:
    """Return the range of activations from the least and the greatest stored: zero point subtracted, 0 included."""
    return min(0, int(low) - zero_point), max(0, int(high) - zero_point)


@dataclass(frozen=True, eq=False)
class Operands:
    """What a layer multiplies and adds."""

    given: NDArray[Any]
    """`x`, or a view of images whose channels are the first axis in memory (see `turned`)."""
    x_format: IntFormat
    x_zero_point: int
    weights: Weights
    start: NDArray[np.int64]
    """[1 or pixels, filters of all groups]: bias, or zeros."""
    geometry: ConvGeometry
    images: dict[str, FilledImage] = field(default_factory=dict, init=False, repr=False)
    """What `array_image` made of `x`, by kind of operands."""
    runs: list[TileRun] = field(default_factory=list, init=False, repr=False)
    """How register tiles, requantizing, ran them whole."""

    @cached_property
    def x(self) -> NDArray[Any]:
        """[batch * height * width, channels of all groups], as stored."""
        return in_order(self.given).reshape(-1, self.geometry.channels * self.geometry.groups)

    @cached_property
    def source(self) -> NDArray[Any] | None:
        """[channels, height, width, batch] as stored, where `given` is a view of that, and the images of a layer."""
        whole, source = self.geometry, source_of(self.given)
        shape = (whole.channels, whole.in_height, whole.in_width, whole.batch)
        return source if source is not None and source.shape == shape else None

    @property
    def filters(self) -> int:
        """Output channels of all groups."""
        return self.geometry.filters * self.geometry.groups

    @property
    def is_depthwise(self) -> bool:
        """Whether each filter reads one channel of several."""
        return self.geometry.groups > 1 and self.geometry.channels == 1

    @cached_property
    def x_range(self) -> Range:
        """Least and greatest activation, zero point subtracted, 0 included (padding contributes 0)."""
        numbers = self.x if self.source is None else self.source
        if not numbers.size:
            return 0, 0
        return centred(*extremes(numbers.reshape(-1)), self.x_zero_point)

    @cached_property
    def squares(self) -> NDArray[Any]:
        """[pixels, groups, intervals]: sums of squares of x, zero point subtracted; see `kernels.norms`."""
        channels, groups = self.geometry.channels, self.geometry.groups
        is_short = self.x.itemsize == 1 and abs(self.x_zero_point) <= 255
        squares = np.empty((len(self.x), groups, -(-channels // INTERVAL)), np.int32 if is_short else np.int64)
        interval_squares(self.x, self.x_zero_point, groups, squares)
        return squares

    def hold_range(self, found: Range) -> None:
        """Take the range of x from whoever went through all of it: see `x_range`."""
        self.__dict__["x_range"] = found

    def centred_x(self) -> NDArray[np.int32]:
        """Activations with their zero point subtracted, shape of `x`."""
        return np.ascontiguousarray(self.x.astype(np.int32) - np.int32(self.x_zero_point))


def array_operands(layer: Layer, x: NDArray[Any], weights: Weights, bias: NDArray[Any] | None) -> Operands:
    """Bring the arrays of a layer into kernel layout."""
    geometry, constants, x_format = layer.geometry, layer.constants, layer.inputs[0]
    assert geometry is not None
    assert isinstance(constants, ArrayConstants)
    assert x_format is not None
    assert isinstance(x_format.format, IntFormat)
    filters = geometry.filters * geometry.groups
    channels = geometry.channels * geometry.groups
    return Operands(
        given=x if source_of(x) is not None else np.ascontiguousarray(x).reshape(-1, channels),
        x_format=x_format.format,
        x_zero_point=constants.input_zero_point,
        weights=weights,
        start=_start(weights, bias, filters, keep=_is_constant(layer, bias)),
        geometry=geometry,
    )


def _is_constant(layer: Layer, bias: NDArray[Any] | None) -> bool:
    tensor = (*layer.inputs, None, None, None)[2]
    return bias is None or (tensor is not None and tensor.data is bias)


def _start(weights: Weights, bias: NDArray[Any] | None, filters: int, *, keep: bool) -> NDArray[np.int64]:
    """Return the start values; those of a constant bias are kept with the weights."""
    last, start = weights.kept.get("start", (None, None)) if keep else (None, None)
    if start is None or last is not bias:
        given = np.zeros((1, filters), np.int64) if bias is None else bias.astype(np.int64).reshape(-1, filters)
        start = np.ascontiguousarray(given)
        if keep:
            weights.kept["start"] = bias, start
    return np.asarray(start)


def layer_weights(layer: Layer, weights: NDArray[Any], kept: dict[Hashable, Weights]) -> Weights:
    """Return the weights of a layer in kernel layout; those of a constant tensor are kept in, and come from, `kept`."""
    geometry, constants, tensor = layer.geometry, layer.constants, layer.inputs[1]
    assert geometry is not None
    assert isinstance(constants, ArrayConstants)
    zero_points = constants.weight_zero_points
    # The kept weights hold the array of that identity, so no other can have it.
    key = (id(weights), geometry.transposed, zero_points.tobytes())
    if key in kept:
        return kept[key]
    is_plain = geometry.groups == 1 and not geometry.transposed and not zero_points.any()
    if is_plain and source_of(weights) is not None:
        return TurnedWeights(weights, zero_points.astype(np.int64))
    flipped = weights[:, ::-1, ::-1, :] if geometry.transposed else weights
    matrix = flipped.reshape(geometry.filters * geometry.groups, geometry.k)
    found = Weights(np.ascontiguousarray(matrix), zero_points.astype(np.int64), weights)
    if tensor is not None and tensor.data is weights:
        kept[key] = found
    return found


def geometry_vector(geometry: ConvGeometry) -> NDArray[np.int64]:
    """Geometry in the index layout of `simulator.kernels.geometry`."""
    vector = np.zeros(geo.LENGTH, np.int64)
    vector[[geo.IN_HEIGHT, geo.IN_WIDTH]] = geometry.in_height, geometry.in_width
    vector[[geo.OUT_HEIGHT, geo.OUT_WIDTH]] = geometry.out_height, geometry.out_width
    vector[[geo.CHANNELS, geo.FILTERS, geo.GROUPS]] = geometry.channels, geometry.filters, geometry.groups
    vector[[geo.KERNEL_H, geo.KERNEL_W]] = geometry.kernel
    vector[[geo.STRIDE_H, geo.STRIDE_W]] = geometry.stride
    vector[[geo.DILATION_H, geo.DILATION_W]] = geometry.dilation
    vector[[geo.PAD_TOP, geo.PAD_LEFT]] = geometry.padding.top, geometry.padding.left
    vector[[geo.INSERTION_H, geo.INSERTION_W]] = geometry.insertion
    return vector
