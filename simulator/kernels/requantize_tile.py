"""Requantizers on a panel of sums, as vector instructions; `simulator.numerics.scalar.requantize` is the specification.

Each takes int32 accumulators to bytes and counts the clipped ones. Clamping comes before the zero point is added,
to [low - zero point, high - zero point]: the same bytes, and no sum can leave int32.

Products of int32 are formed in the even and the odd lanes apart, each as one 64-bit product (vpmuldq): v * m of lanes
2i and 2i + 1. What is kept of one is 32 bits, so logical shifts serve where arithmetic ones are meant.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from simulator.kernels.isa import InstructionSet
from simulator.kernels.vector_ir import F32, I8, I32, I64, Lanes, cgutils, constant64, offset

_LOW_HALF = (1 << 32) - 1


@dataclass(frozen=True)
class _Limits:
    low: Any
    high: Any
    zero_point: Any


Scale = Callable[[Any], tuple[Any, Any]]
"""accumulators -> their scaled and clamped values, and a mask of those that were clamped."""
Requantizer = Callable[[Lanes, Any, Any, _Limits], Scale]
"""(lanes, first and second constants of each channel, limits) -> what scales accumulators."""


def _even_odd(lanes: Lanes, vector: Any) -> tuple[Any, Any]:
    """Lanes 2i and lanes 2i + 1 as sign-extended int64."""
    builder, wide = lanes.builder, ir.VectorType(I64, lanes.count // 2)
    pairs = builder.bitcast(vector, wide)
    half = ir.Constant(wide, [32] * wide.count)
    return builder.ashr(builder.shl(pairs, half), half), builder.ashr(pairs, half)


def _constant_pairs(lanes: Lanes, value: int) -> Any:
    return ir.Constant(ir.VectorType(I64, lanes.count // 2), [value] * (lanes.count // 2))


def _interleave(lanes: Lanes, even: Any, odd: Any) -> Any:
    """Low halves of even lanes and high halves of odd ones as int32 lanes."""
    low = _constant_pairs(lanes, _LOW_HALF)
    high = _constant_pairs(lanes, -1 - _LOW_HALF)
    builder = lanes.builder
    return builder.bitcast(builder.or_(builder.and_(even, low), builder.and_(odd, high)), lanes.type)


def _clamped(lanes: Lanes, scaled: Any, limits: _Limits) -> tuple[Any, Any]:
    held = lanes.clamp(scaled, limits.low, limits.high)
    return lanes.builder.add(held, limits.zero_point), lanes.builder.icmp_unsigned("!=", held, scaled)


def fixed_point_double(lanes: Lanes, multiplier: Any, exponent: Any, limits: _Limits) -> Any:
    """Two roundings, as gemmlowp: floor(v * m / 2^31 + 1/2), then a shift right, ties away.

    v = INT32_MIN gives no saturation here, since m >= 0; the doubled product of both at their ends cannot occur.
    """
    builder = lanes.builder
    left = lanes.maximum(exponent, lanes.constant(0))
    right = lanes.maximum(builder.neg(exponent), lanes.constant(0))
    mask = builder.sub(builder.shl(lanes.constant(1), right), lanes.constant(1))
    half = builder.lshr(mask, lanes.constant(1))
    m_even, m_odd = _even_odd(lanes, multiplier)
    nudge = _constant_pairs(lanes, 1 << 30)

    def scale(accumulators: Any) -> tuple[Any, Any]:
        v_even, v_odd = _even_odd(lanes, builder.shl(accumulators, left))
        even = builder.lshr(builder.add(builder.mul(v_even, m_even), nudge), _constant_pairs(lanes, 31))
        # The kept bits 31..62 of an odd lane belong in its upper half: a shift left by 1, not right by 31.
        odd = builder.shl(builder.add(builder.mul(v_odd, m_odd), nudge), _constant_pairs(lanes, 1))
        high = _interleave(lanes, even, odd)
        negative = builder.ashr(high, lanes.constant(31))
        up = builder.icmp_signed(">", builder.and_(high, mask), builder.sub(half, negative))
        scaled = builder.sub(builder.ashr(high, right), builder.sext(up, lanes.type))
        return _clamped(lanes, scaled, limits)

    return scale


def fixed_point_single(lanes: Lanes, multiplier: Any, shift: Any, limits: _Limits) -> Any:
    """One rounding, ties up: (v * m + 2^(s-1)) >> s, 31 <= s <= 62, so that the result fits int32.

    2^62, a multiple of 2^s, keeps the dividend positive and makes the shift a logical one; 2^(62-s) is taken off again.
    """
    builder = lanes.builder
    m_even, m_odd = _even_odd(lanes, multiplier)
    s_even, s_odd = _even_odd(lanes, shift)
    one = _constant_pairs(lanes, 1)

    def raised(s: Any) -> Any:
        return builder.add(builder.shl(one, builder.sub(s, one)), _constant_pairs(lanes, 1 << 62))

    raised_even, raised_odd = raised(s_even), raised(s_odd)
    off_even = builder.lshr(_constant_pairs(lanes, 1 << 62), s_even)
    off_odd = builder.lshr(_constant_pairs(lanes, 1 << 62), s_odd)

    def scale(accumulators: Any) -> tuple[Any, Any]:
        v_even, v_odd = _even_odd(lanes, accumulators)
        even = builder.lshr(builder.add(builder.mul(v_even, m_even), raised_even), s_even)
        odd = builder.lshr(builder.add(builder.mul(v_odd, m_odd), raised_odd), s_odd)
        even, odd = builder.sub(even, off_even), builder.sub(odd, off_odd)
        return _clamped(lanes, _interleave(lanes, even, builder.shl(odd, _constant_pairs(lanes, 32))), limits)

    return scale


def power_of_two(lanes: Lanes, shift: Any, _: Any, limits: _Limits) -> Any:
    """Shift right by 0 <= s <= 31, ties up: floor(v / 2^s) + (the highest bit that falls off)."""
    builder = lanes.builder
    before = lanes.maximum(builder.sub(shift, lanes.constant(1)), lanes.constant(0))
    rounds = lanes.minimum(shift, lanes.constant(1))

    def scale(accumulators: Any) -> tuple[Any, Any]:
        up = builder.and_(builder.ashr(accumulators, before), rounds)
        return _clamped(lanes, builder.add(builder.ashr(accumulators, shift), up), limits)

    return scale


def float32(lanes: Lanes, scales: Any, _: Any, limits: _Limits) -> Any:
    """rint(float32(v) * scale), ties to even; clamped as a float, exactly: the limits have at most 17 bits."""
    builder = lanes.builder
    real = ir.VectorType(F32, lanes.count)
    scales = builder.bitcast(scales, real)
    low, high = builder.sitofp(limits.low, real), builder.sitofp(limits.high, real)

    def scale(accumulators: Any) -> tuple[Any, Any]:
        product = builder.fmul(builder.sitofp(accumulators, real), scales)
        rounded = lanes.call(f"llvm.rint.v{lanes.count}f32", product)
        held = lanes.call(f"llvm.maxnum.v{lanes.count}f32", rounded, low)
        held = lanes.call(f"llvm.minnum.v{lanes.count}f32", held, high)
        values = builder.add(builder.fptosi(held, lanes.type), limits.zero_point)
        return values, builder.fcmp_ordered("!=", held, rounded)

    return scale


def make_requantize_tile(isa: InstructionSet, requantizer: Requantizer) -> Any:
    """Return the intrinsic for Numba code that takes a panel of sums to bytes.

    ``requantize(sums, sums_stride, rows, width, start, first, second, low, high, zero_point, out, out_stride)`` returns
    the number of clipped outputs. All int64: address and row stride in bytes of int32 sums; rows; channels that count,
    the rest is padding; addresses of int32 [channels] start values and of both constants; limits; address and row
    stride in bytes of the output. Whole vectors are read and written.
    """

    def emit(builder: Any, args: Any) -> Any:
        _, _, _, width, _, _, _, low, high, zero_point, _, _ = args
        lanes = Lanes(builder, isa)
        narrow = [lanes.splat(builder.trunc(value, I32)) for value in (low, high, zero_point)]
        limits = _Limits(builder.sub(narrow[0], narrow[2]), builder.sub(narrow[1], narrow[2]), narrow[2])
        clipped = lanes.variable(lanes.constant(0))
        builder.store(lanes.constant(0), clipped)
        for vector in range(isa.vectors):
            left = builder.sub(width, constant64(vector * lanes.count))
            with builder.if_then(builder.icmp_signed(">", left, constant64(0))):
                emit_vector(lanes, args, vector, left, limits, clipped)
        total = lanes.call(f"llvm.vector.reduce.add.v{lanes.count}i32", builder.load(clipped), result=I32)
        return builder.zext(total, I64)

    def emit_vector(lanes: Lanes, args: Any, vector: int, left: Any, limits: _Limits, clipped: Any) -> None:
        builder, at = lanes.builder, vector * lanes.bytes
        sums, sums_stride, rows, _, start, first, second, _, _, _, out, out_stride = args
        scale = requantizer(
            lanes, lanes.load(offset(builder, first, at)), lanes.load(offset(builder, second, at)), limits
        )
        begin = lanes.load(offset(builder, start, at))
        numbers = ir.Constant(lanes.type, list(range(lanes.count)))
        counts = builder.icmp_signed("<", numbers, lanes.splat(builder.trunc(left, I32)))
        with cgutils.for_range(builder, rows) as row:
            row_at = builder.add(sums, builder.mul(row.index, sums_stride))
            values, clips = scale(builder.add(lanes.load(offset(builder, row_at, at)), begin))
            target = offset(builder, builder.add(out, builder.mul(row.index, out_stride)), vector * lanes.count)
            lanes.store(builder.trunc(values, ir.VectorType(I8, lanes.count)), target)
            found = builder.sext(builder.and_(clips, counts), lanes.type)
            builder.store(builder.sub(builder.load(clipped), found), clipped)

    @intrinsic
    def requantize_tile(
        context: Any,
        sums: Any,
        sums_stride: Any,
        rows: Any,
        width: Any,
        start: Any,
        first: Any,
        second: Any,
        low: Any,
        high: Any,
        zero_point: Any,
        out: Any,
        out_stride: Any,
    ) -> Any:
        def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
            return emit(builder, args)

        return types.int64(*[types.int64] * 12), codegen

    return requantize_tile
