"""Attributes that several operators share."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Activation(StrEnum):
    """Clamp fused into an operator's output."""

    NONE = "none"
    RELU = "relu"
    RELU6 = "relu6"
    RELU_N1_TO_1 = "relu_n1_to_1"


class Arithmetic(StrEnum):
    """How the vector unit rescales quantized values. A device whose requantizer is float32 never computes FIXED_POINT.

    docs/decisions/0009-vector-arithmetic-in-float32.md says why both the file and the device have a say.
    """

    FIXED_POINT = "fixed_point"
    """Integer multipliers and shifts, as TFLite's reference kernels."""
    FLOAT32 = "float32"
    """Float32, rounded half to even, as ONNX Runtime's QLinear operators."""
    FLOAT32_TO_ZERO = "float32_to_zero"
    """Float32, the fraction dropped: ONNX Runtime's Resize of integers. Elsewhere the same as FLOAT32."""


@dataclass(frozen=True)
class Padding:
    """Rows and columns of zeros (real value 0) around an image. A pool does not count them."""

    top: int = 0
    bottom: int = 0
    left: int = 0
    right: int = 0
