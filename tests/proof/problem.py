"""A layer under construction: centred operands, start values and registers that generators of data may bend."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from simulator.numerics.formats import IntFormat
from support.array_twin import Shape
from support.step_twin import output_size, patches

Register = tuple[int, str]
"""(bits, mode)."""


def rails(register: Register) -> tuple[int, int]:
    """Least and greatest value of a register."""
    return -(1 << (register[0] - 1)), (1 << (register[0] - 1)) - 1


def hold(total: int, register: Register) -> int:
    """What a register makes of an exact sum."""
    low, high = rails(register)
    if register[1] == "saturate":
        return min(max(total, low), high)
    return (total - low) % (1 << register[0]) + low


@dataclass
class Problem:
    """What a layer multiplies and adds, zero points subtracted; arrays are int64 and are changed in place."""

    rng: np.random.Generator
    shape: Shape
    x: np.ndarray
    """[N, H, W, C]."""
    weights: np.ndarray
    """[filters, kh, kw, C / groups]."""
    bias: np.ndarray
    """[filters], or [pixels, filters] (fully connected only)."""
    x_ends: tuple[int, int]
    """Least and greatest activation that the format and zero point allow."""
    w_ends: np.ndarray
    """[filters, 2], of the weights of each filter."""
    rows: int = 0
    partial_sum: Register | None = None
    accumulator: Register = (32, "wrap")

    @property
    def filters(self) -> int:
        return self.weights.shape[0]

    @property
    def k(self) -> int:
        return int(np.prod(self.weights.shape[1:]))

    @property
    def pixels(self) -> int:
        return self.x.shape[0] * int(np.prod(output_size(self.x.shape, self.shape)))

    @property
    def fold(self) -> int:
        """Additions between two resets of the inner register."""
        return min(self.rows, self.k) if self.partial_sum else self.k

    def group(self, channel: int) -> int:
        return channel // (self.filters // self.shape.groups)

    def some_pixel(self) -> int:
        """An output pixel: first, last or any."""
        return int(self.rng.choice([0, self.pixels - 1, self.rng.integers(self.pixels)]))

    def some_filter(self) -> int:
        """An output channel: first, last or any."""
        return int(self.rng.choice([0, self.filters - 1, self.rng.integers(self.filters)]))

    def patch(self, pixel: int, channel: int) -> np.ndarray:
        """Operands [K] that one output reads, in the order of its additions."""
        return patches(self.x, self.shape, np.array([pixel]))[:, self.group(channel), 0]

    def set_patch(self, pixel: int, channel: int, values: np.ndarray) -> None:
        """Write the operands of one output; padding and woven zeros stay."""
        numbers = np.arange(1, self.x.size + 1).reshape(self.x.shape)
        source = patches(numbers, self.shape, np.array([pixel]))[:, self.group(channel), 0]
        inside = source > 0
        self.x.reshape(-1)[source[inside] - 1] = np.clip(values[inside], *self.x_ends)

    def filter(self, channel: int) -> np.ndarray:
        """Weights [K] of one output channel, in the order of its additions."""
        taps = self.weights[channel, ::-1, ::-1] if self.shape.transposed else self.weights[channel]
        return taps.reshape(-1).copy()

    def set_filter(self, channel: int, values: np.ndarray) -> None:
        """Write the weights of one output channel, given in the order of its additions."""
        taps = np.clip(values, *self.w_ends[channel]).reshape(self.weights.shape[1:])
        self.weights[channel] = taps[::-1, ::-1] if self.shape.transposed else taps

    def clip(self) -> None:
        """Bring every operand into the range of its format."""
        np.clip(self.x, *self.x_ends, out=self.x)
        low, high = (self.w_ends[:, end].reshape(-1, 1, 1, 1) for end in (0, 1))
        np.clip(self.weights, low, high, out=self.weights)


def centred_ends(format: IntFormat, zero_point: int) -> tuple[int, int]:
    """Least and greatest operand of a format, its zero point subtracted."""
    return format.min - zero_point, format.max - zero_point
