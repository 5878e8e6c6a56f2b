"""Constants of the vector unit's float32 arithmetic: what ONNX Runtime's QLinear operators form from the scales.

Used for operators whose file asks for it, and for all of a device whose requantizer is float32.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import NDArray

from simulator.accelerator.spec import Accelerator
from simulator.graph.graph import Node, Tensor
from simulator.graph.ops import Arithmetic, Op, Rescaling
from simulator.lowering.quantized import scale32
from simulator.numerics.formats import IntFormat
from simulator.numerics.modes import RequantizerKind

F = np.float32


@dataclass(frozen=True)
class FloatAddConstants:
    """out = clamp(rint(fma(a, ratio_a, fma(b, ratio_b, fixed)))), the other way round where `a_first`."""

    ratio_a: float
    ratio_b: float
    """Negative for a difference."""
    fixed: float
    a_first: bool
    minimum: int
    maximum: int


@dataclass(frozen=True)
class FloatMulConstants:
    """out = clamp(rint((a - za) * (b - zb) * ratio + zo))."""

    zero_points: tuple[int, int, int]
    ratio: float
    minimum: int
    maximum: int


@dataclass(frozen=True)
class FloatMeanConstants:
    """out = clamp(rint(float32(sum(x) - zero_sum) * scale) + zo)."""

    axes: tuple[int, ...]
    zero_sum: int
    scale: float
    zero_out: int
    minimum: int
    maximum: int


@dataclass(frozen=True)
class FloatPoolConstants:
    """Each value is dequantized, the window summed in order and divided by its count, and the mean quantized."""

    zero_in: int
    scale_in: float
    zero_out: int
    scale_out: float
    minimum: int
    maximum: int


@dataclass(frozen=True, eq=False)
class FloatAxisWeights:
    """For each output row (or column): two neighbours inside the image, and the weight of each."""

    lower: NDArray[np.int64]
    upper: NDArray[np.int64]
    weights: NDArray[np.float32]
    """[2, outputs]."""


@dataclass(frozen=True, eq=False)
class FloatBilinearConstants:
    """Weights down and across; `nearest`: half to even, otherwise the fraction is dropped."""

    rows: FloatAxisWeights
    columns: FloatAxisWeights
    nearest: bool


def computes_in_float32(op: Op, accelerator: Accelerator) -> bool:
    """Whether the vector unit rescales in float32: the file says so, or the device's requantizer is float32."""
    asked = isinstance(op, Rescaling) and op.arithmetic is not Arithmetic.FIXED_POINT
    return asked or accelerator.arithmetic.requantizer.requantizer.kind is RequantizerKind.FLOAT32


def add_constants(a: Tensor, b: Tensor, out: Tensor, sign: int, limits: tuple[int, int]) -> FloatAddConstants:
    """Source: MlasQLinearAdd's AVX2 kernel (mlas/lib/intrinsics/avx2/qladd_avx2.cpp)."""
    ratio_a, ratio_b = scale32(a) / scale32(out), F(sign) * (scale32(b) / scale32(out))
    zeros = _fused(ratio_a, a.zero_point, ratio_b * F(b.zero_point))
    fixed = F(out.zero_point) - zeros
    return FloatAddConstants(float(ratio_a), float(ratio_b), float(fixed), _repeats(a.shape, b.shape), *limits)


def _repeats(a: tuple[int, ...], b: tuple[int, ...]) -> bool:
    """Whether `a` is one value along the innermost axis that is longer than 1, so that ONNX Runtime takes it first.

    Source: BroadcastLooper in core/providers/cpu/math/element_wise_ops.h. The order of axes is that of an ONNX file:
    images channels first (the importer takes four axes for an image where the operands' shapes differ).
    """
    rank = max(len(a), len(b))
    sizes = [(*(1,) * (rank - len(shape)), *shape) for shape in (a, b)]
    order = (0, 3, 1, 2) if rank == 4 else range(rank)
    pairs = [(sizes[0][axis], sizes[1][axis]) for axis in order if sizes[0][axis] > 1 or sizes[1][axis] > 1]
    return bool(pairs) and pairs[-1][0] == 1


def _fused(a: np.float32, b: int, c: np.float32) -> np.float32:
    """Round a * b + c once to float32."""
    exact = Fraction(float(a)) * b + Fraction(float(c))
    near = F(float(exact))
    return min((np.nextafter(near, F(-np.inf)), near, np.nextafter(near, F(np.inf))), key=lambda f: _miss(f, exact))


def _miss(value: np.float32, exact: Fraction) -> tuple[Fraction, int]:
    """Distance from the exact value, then oddness: the least is the nearest, a tie to even."""
    return abs(Fraction(float(value)) - exact), int(value.view(np.int32)) & 1


def mul_constants(a: Tensor, b: Tensor, out: Tensor, limits: tuple[int, int]) -> FloatMulConstants:
    """Source: MlasQLinearMul (mlas/lib/qlmul.cpp)."""
    ratio = scale32(a) * scale32(b) / scale32(out)
    return FloatMulConstants((a.zero_point, b.zero_point, out.zero_point), float(ratio), *limits)


def mean_constants(
    x: Tensor, out: Tensor, axes: tuple[int, ...], count: int, limits: tuple[int, int]
) -> FloatMeanConstants:
    """Source: MlasQLinearGlobalAveragePool (mlas/lib/qlgavgpool.cpp)."""
    scale = scale32(x) / (scale32(out) * F(count))
    return FloatMeanConstants(axes, x.zero_point * count, float(scale), out.zero_point, *limits)


def pool_constants(x: Tensor, out: Tensor, limits: tuple[int, int]) -> FloatPoolConstants:
    """Source: contrib_ops/cpu/quantization/qlinear_pool.cc of ONNX Runtime."""
    return FloatPoolConstants(x.zero_point, float(scale32(x)), out.zero_point, float(scale32(out)), *limits)


def bilinear_axis(size: int, count: int, align_corners: bool, half_pixel: bool) -> FloatAxisWeights:
    """Source: core/providers/cpu/tensor/upsample.h and upsamplebase.h of ONNX Runtime, all in float32."""
    index = np.arange(count).astype(np.float32)
    scale = F(count) / F(size)
    if align_corners:
        position = index * F(size - 1) / F(count - 1) if count > 1 else np.zeros(count, np.float32)
    else:
        position = (index + F(0.5)) / scale - F(0.5) if half_pixel else index / scale
    position = np.clip(position, F(0), F(size - 1))
    lower = np.minimum(position.astype(np.int64), size - 1)
    upper = np.minimum(lower + 1, size - 1)
    after, before = np.abs(position - upper.astype(np.float32)), np.abs(position - lower.astype(np.float32))
    alone = lower == upper
    weights = np.stack([np.where(alone, F(0.5), after), np.where(alone, F(0.5), before)])
    return FloatAxisWeights(lower, upper, weights.astype(np.float32))


def container_values(format: IntFormat) -> NDArray[np.int64]:
    """Return every value that the container of `format` holds, in order of its bit pattern."""
    bits = format.dtype.itemsize * 8
    patterns = np.arange(1 << bits, dtype=np.uint64).astype(f"u{bits // 8}")
    return patterns.view(format.dtype).astype(np.int64)


def dequantized(tensor: Tensor) -> NDArray[np.float32]:
    """Return the real number of every stored value of a tensor, as `container_values` orders them."""
    assert isinstance(tensor.format, IntFormat)
    return scale32(tensor) * (container_values(tensor.format) - tensor.zero_point).astype(np.float32)


def float_table(node: Node, real: NDArray[np.float32], out: Tensor, limits: tuple[int, int]) -> NDArray[Any]:
    """Quantize real numbers to a table of stored values: division in float32, half to even (MlasQuantizeLinear)."""
    assert isinstance(out.format, IntFormat)
    with np.errstate(over="ignore"):
        scaled = np.clip(real / scale32(out), F(limits[0] - out.zero_point), F(limits[1] - out.zero_point))
    table: NDArray[Any] = (np.rint(scaled).astype(np.int64) + out.zero_point).astype(out.format.dtype)
    return table
