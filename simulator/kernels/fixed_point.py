"""Fixed-point primitives of gemmlowp and TFLite as helpers for other kernels, on int64 values that hold int32.

Source: gemmlowp fixedpoint/fixedpoint.h; tensorflow/lite/kernels/internal/common.h (double rounding).
Every operand is an int64 whose value lies in the int32 range, so no product of two of them is lost.
"""

from __future__ import annotations

from simulator.kernels._jit import kernel

_INT32_MIN = -(1 << 31)
_INT32_MAX = (1 << 31) - 1


@kernel(inline=True)
def wrap_int32(value: int) -> int:
    """Keep the low 32 bits of an int64, two's complement."""
    return ((value + 0x80000000) & 0xFFFFFFFF) - 0x80000000


@kernel(inline=True)
def shift_left_wrapping(value: int, shift: int) -> int:
    """Shift left in an int32 register that wraps; 0 <= shift < 32."""
    return wrap_int32(value << shift)


@kernel(inline=True)
def shift_left_saturating(value: int, shift: int) -> int:
    """Shift left in an int32 register that saturates; 0 <= shift < 32."""
    return min(max(value << shift, _INT32_MIN), _INT32_MAX)


@kernel(inline=True)
def srdhm(a: int, b: int) -> int:
    """Saturating rounding doubling high multiply: round(a * b / 2^31), a tie towards plus infinity.

    gemmlowp writes a nudge and a truncating division; for every sign that is the floor of a * b / 2^31 + 1/2.
    """
    if a == _INT32_MIN and b == _INT32_MIN:
        return _INT32_MAX
    return (a * b + (1 << 30)) >> 31


@kernel(inline=True)
def rounding_divide_by_pot(value: int, exponent: int) -> int:
    """Divide by 2^exponent to nearest, a tie away from zero; 0 <= exponent < 32."""
    mask = (1 << exponent) - 1
    remainder = value & mask
    threshold = (mask >> 1) + (1 if value < 0 else 0)
    return (value >> exponent) + (1 if remainder > threshold else 0)


@kernel(inline=True)
def multiply_by_quantized_multiplier(value: int, multiplier: int, exponent: int) -> int:
    """Multiply by multiplier * 2^(exponent - 31), rounded twice as TFLite's reference kernels do.

    A positive exponent shifts left first and wraps in int32, as the C++ does on every target we compare with.
    """
    left = exponent if exponent > 0 else 0
    right = -exponent if exponent < 0 else 0
    return rounding_divide_by_pot(srdhm(shift_left_wrapping(value, left), multiplier), right)
