"""A convolution on the register-accurate weight-stationary array, fed by an address generator over banked memory."""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import prod
from typing import Any

import numpy as np

from simulator.errors import SpecError
from simulator.kernels.clocked_im2col import GEOMETRY, fetch
from simulator.kernels.clocked_weight_stationary import clock_weight_stationary
from simulator.numerics.modes import Dataflow
from simulator.timing.clocked_array import ClockedArray, ClockedRun, Execute, Gemm, Int64, run_gemm

Pair = tuple[int, int]
"""Vertical, horizontal."""
Banks = tuple[int, int]
"""Banks of the input scratchpad, a power of two from 2; elements of a word of theirs, a power of two."""

_MOST_SIZE, _MOST_STEP = (1 << 16) - 1, (1 << 8) - 1
"""Sizes have 16 bits in rtl/im2col_feed.sv, and steps 8."""


@dataclass(frozen=True)
class Pool:
    """A max pool of the outputs; windows that need more padding than there is are not written."""

    size: int
    """2 or 3, both ways."""
    stride: int
    padding: Pair = (0, 0)
    """Top, left; less than `size`."""
    end_padding: Pair = (0, 0)
    """Bottom, right; less than `size` and `stride`, so that no two windows end with the same pixel."""

    def out_size(self, size: Pair) -> Pair:
        """Windows in a map of the given height and width."""
        height, width = (
            max(0, (size[i] + self.padding[i] + self.end_padding[i] - self.size) // self.stride + 1) for i in range(2)
        )
        return height, width

    def windows_within(self, rows: int, height: int) -> int:
        """Rows of windows that end within the first `rows` of a map of `height` rows."""
        ends = np.arange(self.out_size((height, 1))[0]) * self.stride - self.padding[0] + self.size
        return int((np.minimum(ends, height) <= rows).sum())


@dataclass(frozen=True)
class Convolution:
    """Sizes of a convolution, NHWC, one image, one group.

    A transposed convolution of stride s and padding p is one over a map with s - 1 zeros woven in between neighbours:
    `insertion` s, `stride` 1, filter flipped, `padding` kernel - 1 - p.
    """

    size: Pair
    channels: int
    kernel: Pair
    out_size: Pair
    stride: Pair = (1, 1)
    dilation: Pair = (1, 1)
    padding: Pair = (0, 0)
    """Top, left."""
    insertion: Pair = (1, 1)
    """Places from one stored element to the next; where it is not 1, stride and dilation are."""
    pool: Pool | None = None

    @property
    def geometry(self) -> Any:
        """Record of dtype GEOMETRY."""
        sizes = (*self.size, self.channels, *self.kernel, *self.stride, *self.dilation, *self.insertion)
        return np.array([(*sizes, *self.padding, *self.out_size, self.size[1] * self.channels)], GEOMETRY)[0]

    @property
    def k(self) -> int:
        """Products of an output."""
        return self.kernel[0] * self.kernel[1] * self.channels


def run_convolution(
    array: ClockedArray,
    convolution: Convolution,
    banks: Banks,
    feature_map: Int64,
    product: Gemm,
    execute: Execute | None = None,
) -> ClockedRun:
    """Run a convolution on the array; cycles include those in which a pixel waits for a bank.

    Parameters
    ----------
    array
        Weight stationary.
    convolution
        Its sizes.
    banks
        Of the input scratchpad.
    feature_map
        int64 [height, width, channels].
    product
        Weights [k, filters] with k = (kernel row, kernel column, channel), bias, scales; its `a` and cuts are not used.
    execute
        What runs the job; default: the register-accurate model.

    Raises
    ------
    InputError, SpecError
        What the array does not take.

    """
    check_convolution(array, convolution, banks, feature_map)
    flat, zero_point = np.ascontiguousarray(feature_map, np.int64).reshape(-1), product.activation_zero_point
    operands, cycles = fetch_operands(flat, convolution.geometry, banks, zero_point, array.rows)
    a = patches(operands, convolution)

    def clock(activations: Int64, *job: Any) -> None:
        clock_weight_stationary(activations, cycles, np.zeros_like(job[-3]), *job)

    run_job, pool = execute or clock, convolution.pool
    if pool is None:
        return run_gemm(array, replace(product, a=a, k_cuts=()), run_job)
    pooled: list[Int64] = []

    def run_pooled(*arguments: Any) -> None:
        set_pool(arguments[-2], pool, convolution.out_size)
        run_job(*arguments)
        pooled.append(arguments[-3].copy())

    run = run_gemm(array, replace(product, a=a, k_cuts=()), run_pooled)
    # The words of a column fold follow one another, as many as there are windows.
    height, width = pool.out_size(convolution.out_size)
    n_folds = -(-product.w.shape[1] // array.cols)
    words = pooled[0][: n_folds * height * width].reshape(n_folds, height * width, array.cols)
    run.outputs = words.transpose(1, 0, 2).reshape(height * width, n_folds * array.cols)[:, : product.w.shape[1]]
    return run


def fetch_operands(
    feature_map: Int64, geometry: Any, banks: Banks, zero_point: int, rows: int, k_folds: Pair | None = None
) -> tuple[Int64, Int64]:
    """Return what the array is offered, [k_fold * pixel, R], and the cycles that each word takes, [k_fold * pixel].

    Parameters
    ----------
    feature_map
        int64 [elements].
    geometry
        Record of dtype GEOMETRY.
    banks, zero_point, rows
        Of the input scratchpad, of the activations, of the array.
    k_folds
        Begin and end of those that are fetched; default: all.

    """
    k = geometry["kernel_height"] * geometry["kernel_width"] * geometry["channels"]
    first, end = k_folds or (0, int(-(-k // rows)))
    words = int((end - first) * geometry["out_height"] * geometry["out_width"])
    operands, cycles = np.empty((words, rows), np.int64), np.empty(words, np.int64)
    fetch(feature_map, geometry, *banks, zero_point, first * rows, operands, cycles)
    return operands, cycles


def patches(operands: Int64, convolution: Convolution) -> Int64:
    """Return the matrix [pixels, k] that a convolution multiplies, of operands as `fetch_operands` returns them."""
    pixels, rows = convolution.out_size[0] * convolution.out_size[1], operands.shape[1]
    return operands.reshape(-1, pixels, rows).transpose(1, 0, 2).reshape(pixels, -1)[:, : convolution.k]


def set_pool(job: Any, pool: Pool, size: Pair) -> None:
    """Fill in the pool of a record of dtype JOB: of a map of the given height and width, from its first row on."""
    job["pool_size"], job["pool_stride"] = pool.size, pool.stride
    job["pool_top"], job["pool_left"] = pool.padding
    job["pool_bottom"], job["pool_right"] = pool.end_padding
    job["pool_height"], job["pool_width"] = size


def check_convolution(array: ClockedArray, convolution: Convolution, banks: Banks, feature_map: Int64) -> None:
    """Raise SpecError where a convolution is none that the array takes."""
    if array.dataflow is not Dataflow.WEIGHT_STATIONARY:
        raise SpecError(f"convolutions run on a weight_stationary array, not {array.dataflow.value}")
    for name, size, least in zip(("banks", "word_elements"), banks, (2, 1), strict=True):
        if size < least or size & (size - 1):
            raise SpecError(f"{name}: {size}, but it must be a power of two from {least}")
    if feature_map.shape != (*convolution.size, convolution.channels):
        raise SpecError(f"the feature map is {feature_map.shape}, not {(*convolution.size, convolution.channels)}")
    _check_widths(convolution, banks)
    pool = convolution.pool
    if pool and not (pool.size in (2, 3) and pool.stride >= 1 and all(0 <= pad < pool.size for pad in pool.padding)):
        raise SpecError(f"{pool}: size 2 or 3, stride from 1 and padding below the size are what the array takes")
    if pool and not all(0 <= pad < min(pool.size, pool.stride) for pad in pool.end_padding):
        raise SpecError(f"{pool}: the array takes an end_padding less than size and stride")
    for axis, name in enumerate(("vertical", "horizontal")):
        steps = (convolution.stride[axis], convolution.dilation[axis])
        if convolution.insertion[axis] > 1 and steps != (1, 1):
            raise SpecError(f"{name} insertion {convolution.insertion[axis]} needs stride and dilation 1, not {steps}")


def _check_widths(conv: Convolution, banks: Banks) -> None:
    """Raise SpecError where a size, a step or a place has more bits than the address generator."""
    pitch = -(-conv.size[1] * conv.channels // prod(banks)) * prod(banks)
    sizes = (*conv.size, conv.channels, *conv.kernel, *conv.out_size, pitch)
    if not all(1 <= size <= _MOST_SIZE for size in sizes):
        raise SpecError(f"{conv}: sizes and the elements of a row must lie in 1 to {_MOST_SIZE}")
    steps = (*conv.stride, *conv.dilation, *conv.insertion, conv.pool.stride if conv.pool else 1)
    if not all(1 <= step <= _MOST_STEP for step in steps):
        raise SpecError(f"{conv}: stride, dilation and insertion must lie in 1 to {_MOST_STEP}")
    for axis in range(2):
        before = -(-conv.padding[axis] // conv.insertion[axis])
        last = (conv.out_size[axis] - 1) * conv.stride[axis] + (conv.kernel[axis] - 1) * conv.dilation[axis]
        behind = (last - conv.padding[axis]) // conv.insertion[axis]
        if before + max(behind, conv.size[axis]) > _MOST_SIZE:
            raise SpecError(f"{conv}: from the first place that a tap meets to the last are more than {_MOST_SIZE}")
