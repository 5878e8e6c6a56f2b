"""Requantizers on a panel of sums, as vector instructions; `simulator.numerics.scalar.requantize` is the specification.

Each takes int32 accumulators to bytes and counts the clipped ones. A panel of pairs of vectors all of whose channels
count is narrowed to int16 first, saturating, and what is added to it is zero point - low: the output counted from its
lower limit. As an unsigned number, that is above high - low iff it is clipped; narrowed to bytes, saturating once more,
it is at most that after one minimum, and low is added last. int16 holds the limits of bytes with room for a zero point,
so that what saturates is clipped in any case. Vector by vector, of any other panel, clamping comes before the zero
point is added, to [low - zero point, high - zero point]: the same bytes, and no sum can leave int32.

Products of int32 are formed in the even and the odd lanes apart, each as one 64-bit product (vpmuldq): v * m of lanes
2i and 2i + 1. What is kept of one is 32 bits, so logical shifts serve where arithmetic ones are meant.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from simulator.kernels.isa import InstructionSet
from simulator.kernels.vector_ir import F32, I8, I16, I32, I64, Lanes, cgutils, constant64, offset

_LOW_HALF = (1 << 32) - 1


Scale = Callable[[Any], Any]
"""accumulators -> scaled values, int32, neither clamped nor with the zero point."""
Requantizer = Callable[[Lanes, Any, Any], Scale]
"""(lanes, first and second constants of each channel) -> what scales accumulators."""


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


def fixed_point_double(lanes: Lanes, multiplier: Any, exponent: Any) -> Scale:
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

    def scale(accumulators: Any) -> Any:
        v_even, v_odd = _even_odd(lanes, builder.shl(accumulators, left))
        even = builder.lshr(builder.add(builder.mul(v_even, m_even), nudge), _constant_pairs(lanes, 31))
        # The kept bits 31..62 of an odd lane belong in its upper half: a shift left by 1, not right by 31.
        odd = builder.shl(builder.add(builder.mul(v_odd, m_odd), nudge), _constant_pairs(lanes, 1))
        high = _interleave(lanes, even, odd)
        negative = builder.ashr(high, lanes.constant(31))
        up = builder.icmp_signed(">", builder.and_(high, mask), builder.sub(half, negative))
        return builder.sub(builder.ashr(high, right), builder.sext(up, lanes.type))

    return scale


def fixed_point_double_small(lanes: Lanes, multiplier: Any, exponent: Any) -> Scale:
    """`fixed_point_double` of accumulators with |v| * 2^max(exponent, 0) < 2^30 (see `is_small`), in half the steps.

    With h = floor(v * m / 2^31 + 1/2) and r the shift right, the result is floor((h + half - [h < 0]) / 2^r) where
    half = 2^(r-1), and h where r = 0: ties away from 0. Since half is whole, h + half comes of the same floor, with
    half * 2^31 added to the dividend; and h < 0 where h + half < half. |h| < 2^30 and half <= 2^30, so that h + half
    fits int32; so does 2v, and its product with m has h + half in its upper 32 bits, where no shift is needed.
    """
    builder = lanes.builder
    left = lanes.maximum(exponent, lanes.constant(0))
    right = lanes.maximum(builder.neg(exponent), lanes.constant(0))
    half = builder.lshr(builder.shl(lanes.constant(1), right), lanes.constant(1))
    shifts = builder.icmp_signed(">", right, lanes.constant(0))
    below = builder.select(shifts, half, lanes.constant(-(1 << 31)))
    twice = builder.add(left, lanes.constant(1))
    m_even, m_odd = _even_odd(lanes, multiplier)
    upper = _constant_pairs(lanes, 32)
    nudge_even, nudge_odd = (
        builder.add(builder.shl(part, upper), _constant_pairs(lanes, 1 << 31)) for part in _even_odd(lanes, half)
    )

    def scale(accumulators: Any) -> Any:
        v_even, v_odd = _even_odd(lanes, builder.shl(accumulators, twice))
        even = builder.lshr(builder.add(builder.mul(v_even, m_even), nudge_even), upper)
        odd = builder.add(builder.mul(v_odd, m_odd), nudge_odd)
        raised = _interleave(lanes, even, odd)
        negative = builder.icmp_signed("<", raised, below)
        return builder.ashr(builder.add(raised, builder.sext(negative, lanes.type)), right)

    return scale


def is_small(least: int, greatest: int, exponent: int) -> bool:
    """Whether `fixed_point_double_small` takes accumulators of a range; `exponent` is the greatest of any channel."""
    return max(-least, greatest) << max(exponent, 0) < 1 << 30


def fixed_point_single(lanes: Lanes, multiplier: Any, shift: Any) -> Scale:
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

    def scale(accumulators: Any) -> Any:
        v_even, v_odd = _even_odd(lanes, accumulators)
        even = builder.lshr(builder.add(builder.mul(v_even, m_even), raised_even), s_even)
        odd = builder.lshr(builder.add(builder.mul(v_odd, m_odd), raised_odd), s_odd)
        even, odd = builder.sub(even, off_even), builder.sub(odd, off_odd)
        return _interleave(lanes, even, builder.shl(odd, _constant_pairs(lanes, 32)))

    return scale


def power_of_two(lanes: Lanes, shift: Any, _: Any) -> Scale:
    """Shift right by 0 <= s <= 31, ties up: floor(v / 2^s) + (the highest bit that falls off)."""
    builder = lanes.builder
    before = lanes.maximum(builder.sub(shift, lanes.constant(1)), lanes.constant(0))
    rounds = lanes.minimum(shift, lanes.constant(1))

    def scale(accumulators: Any) -> Any:
        up = builder.and_(builder.ashr(accumulators, before), rounds)
        return builder.add(builder.ashr(accumulators, shift), up)

    return scale


def float32(lanes: Lanes, scales: Any, _: Any) -> Scale:
    """rint(float32(v) * scale), ties to even; held to int32, which holds all limits."""
    return _scaled_real(lanes, scales, lanes.hold_real)


def float32_small(lanes: Lanes, scales: Any, _: Any) -> Scale:
    """`float32` with scales below 1/2: no product reaches 2^30, so that none is held."""
    return _scaled_real(lanes, scales, lambda real: real)


def _scaled_real(lanes: Lanes, scales: Any, hold: Scale) -> Scale:
    builder = lanes.builder
    real = ir.VectorType(F32, lanes.count)
    scales = builder.bitcast(scales, real)

    def scale(accumulators: Any) -> Any:
        return lanes.round_to_int32(hold(builder.fmul(builder.sitofp(accumulators, real), scales)))

    return scale


_WIDTH = 3
"""Place of the channels that count among the arguments of the intrinsic."""


def _emit_panel(lanes: Lanes, args: Any, requantizer: Requantizer) -> Any:
    """Requantize a panel all of whose channels count; return how many outputs were clipped, int64."""
    builder, vectors = lanes.builder, range(lanes.isa.vectors)
    sums, sums_stride, rows, _, start, first, second, low, high, zero_point, out, out_stride = args
    scales = [
        requantizer(lanes, *(lanes.load(offset(builder, at, v * lanes.bytes)) for at in (first, second)))
        for v in vectors
    ]
    begins = [lanes.load(offset(builder, start, v * lanes.bytes)) for v in vectors]
    least, reach = lanes.splat_bytes(builder.trunc(low, I8)), builder.sub(high, low)
    above, most = (lanes.splat_words(builder.trunc(value, I16)) for value in (builder.sub(zero_point, low), reach))
    greatest = lanes.splat_bytes(builder.trunc(reach, I8))
    clipped = lanes.counter()
    with cgutils.for_range(builder, rows) as row:
        at = builder.add(sums, builder.mul(row.index, sums_stride))
        scaled = [scales[v](builder.add(lanes.load(offset(builder, at, v * lanes.bytes)), begins[v])) for v in vectors]
        narrow = []
        for v in vectors[::2]:
            raised = lanes.add_words_saturating(lanes.pack_words(scaled[v], scaled[v + 1]), above)
            clipped.add(builder.icmp_unsigned(">", raised, most))
            narrow.append(raised)
        held = lanes.minimum_bytes(lanes.pack_panel(narrow), greatest)
        lanes.store(builder.add(held, least), builder.add(out, builder.mul(row.index, out_stride)))
    return clipped.total()


def _emit_vectors(lanes: Lanes, args: Any, requantizer: Requantizer) -> Any:
    """Requantize the vectors of a panel that have channels that count, as `_emit_panel`."""
    builder = lanes.builder
    sums, sums_stride, rows, width, start, first, second, low, high, zero_point, out, out_stride = args
    low, high, zero_point = (lanes.splat(builder.trunc(value, I32)) for value in (low, high, zero_point))
    low, high = builder.sub(low, zero_point), builder.sub(high, zero_point)
    numbers = ir.Constant(lanes.type, list(range(lanes.count)))
    clipped = lanes.variable(lanes.constant(0))
    builder.store(lanes.constant(0), clipped)
    used = builder.sdiv(offset(builder, width, lanes.count - 1), constant64(lanes.count))
    with cgutils.for_range(builder, used) as vector:
        channel = builder.mul(vector.index, constant64(lanes.count))
        at = builder.mul(channel, constant64(4))
        scale = requantizer(lanes, *(lanes.load(builder.add(address, at)) for address in (first, second)))
        begin = lanes.load(builder.add(start, at))
        left = lanes.splat(builder.trunc(builder.sub(width, channel), I32))
        counts = builder.icmp_signed("<", numbers, left)
        with cgutils.for_range(builder, rows) as row:
            row_at = builder.add(builder.add(sums, at), builder.mul(row.index, sums_stride))
            scaled = scale(builder.add(lanes.load(row_at), begin))
            held = lanes.clamp(scaled, low, high)
            target = builder.add(builder.add(out, channel), builder.mul(row.index, out_stride))
            values = builder.trunc(builder.add(held, zero_point), ir.VectorType(I8, lanes.count))
            lanes.store(values, target)
            found = builder.sext(builder.and_(builder.icmp_unsigned("!=", held, scaled), counts), lanes.type)
            builder.store(builder.sub(builder.load(clipped), found), clipped)
    total = lanes.call(f"llvm.vector.reduce.add.v{lanes.count}i32", builder.load(clipped), result=I32)
    return builder.zext(total, I64)


def make_requantize_tile(isa: InstructionSet, requantizer: Requantizer) -> Any:
    """Return the intrinsic for Numba code that takes a panel of sums to bytes.

    ``requantize(sums, sums_stride, rows, width, start, first, second, low, high, zero_point, out, out_stride)`` returns
    the number of clipped outputs. All int64: address and row stride in bytes of int32 sums; rows, less than 2^15;
    channels that count, the rest is padding; addresses of int32 [channels] start values and of both constants; limits;
    address and row stride in bytes of the output. Whole vectors are read and written.
    """

    def emit(builder: Any, args: Any) -> Any:
        lanes = Lanes(builder, isa)
        if isa.vectors % 2:
            return _emit_vectors(lanes, args, requantizer)
        total = cgutils.alloca_once_value(builder, constant64(0))
        whole = builder.icmp_signed("==", args[_WIDTH], constant64(isa.channels))
        with builder.if_else(whole) as (panel, vectors):
            with panel:
                builder.store(_emit_panel(lanes, args, requantizer), total)
            with vectors:
                builder.store(_emit_vectors(lanes, args, requantizer), total)
        return builder.load(total)

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
