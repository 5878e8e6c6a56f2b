"""Twin of the array: convolutions step by step on Python ints (NumPy object arrays), written from docs/numerics.md.

Dense and slow: padding and woven zeros are multiplied like everything else. Knows nothing of kernels or lowering.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np


@dataclass(frozen=True)
class Shape:
    """A convolution (transposed: zeros woven in, filter flipped, padding as cropping of the full result)."""

    kernel: tuple[int, int] = (1, 1)
    stride: tuple[int, int] = (1, 1)
    dilation: tuple[int, int] = (1, 1)
    padding: tuple[int, int, int, int] = (0, 0, 0, 0)
    """top, bottom, left, right."""
    groups: int = 1
    transposed: bool = False
    output_size: tuple[int, int] = (0, 0)
    """Transposed only."""


def patches(x: np.ndarray, shape: Shape) -> np.ndarray:
    """Operands [pixels, kh * kw, channels] of every output, zero point subtracted, as objects."""
    x = x.astype(object)
    batch, height, width, channels = x.shape
    kh, kw = shape.kernel
    top, bottom, left, right = shape.padding
    stride, dilation = shape.stride, shape.dilation
    if shape.transposed:
        woven = np.zeros((batch, (height - 1) * stride[0] + 1, (width - 1) * stride[1] + 1, channels), object)
        woven[:, :: stride[0], :: stride[1]] = x
        x, stride = woven, (1, 1)
        bottom, right = shape.output_size  # more than enough; cut below
        top, left = (kh - 1) * dilation[0] - top, (kw - 1) * dilation[1] - left
    # Not np.pad, which pads objects with NumPy's own int64, and that overflows.
    padded = np.full((batch, top + x.shape[1] + bottom, left + x.shape[2] + right, channels), 0, object)
    padded[:, top : top + x.shape[1], left : left + x.shape[2]] = x
    x = padded
    rows = (x.shape[1] - (kh - 1) * dilation[0] - 1) // stride[0] + 1
    columns = (x.shape[2] - (kw - 1) * dilation[1] - 1) // stride[1] + 1
    if shape.transposed:
        rows, columns = shape.output_size
    taps = [
        x[:, i * dilation[0] :: stride[0], j * dilation[1] :: stride[1]][:, :rows, :columns]
        for i in range(kh)
        for j in range(kw)
    ]
    assert all(tap.shape[1:3] == (rows, columns) for tap in taps)
    return np.stack(taps, axis=3).reshape(batch * rows * columns, kh * kw, channels)


@dataclass
class Register:
    """Registers of every output, and what happened to each."""

    bits: int
    mode: str
    shape: tuple[int, int]
    value: np.ndarray = field(init=False)
    exact: np.ndarray = field(init=False)
    events: np.ndarray = field(init=False)
    first: np.ndarray = field(init=False)
    channel_least: np.ndarray = field(init=False)
    channel_greatest: np.ndarray = field(init=False)
    least: np.ndarray = field(init=False)
    """Least exact sum of each output, as is `greatest`: of all its folds, for a partial sum."""
    greatest: np.ndarray = field(init=False)

    def __post_init__(self) -> None:
        self.channel_least = np.zeros(self.shape[1], object)
        self.channel_greatest = np.zeros(self.shape[1], object)
        self.least, self.greatest = np.zeros(self.shape, object), np.zeros(self.shape, object)
        self.events = np.zeros(self.shape, np.int64)
        self.first = np.full(self.shape, 1 << 60, np.int64)
        self.clear()

    def clear(self) -> None:
        self.value = np.zeros(self.shape, object)
        self.exact = np.zeros(self.shape, object)

    def add(self, addend: np.ndarray, exact: np.ndarray, k: int) -> None:
        low, high = -(1 << (self.bits - 1)), (1 << (self.bits - 1)) - 1
        total = self.value + addend
        over = ((total < low) | (total > high)).astype(bool)
        if self.mode == "saturate":
            self.value = np.minimum(np.maximum(total, low), high)
        else:
            self.value = (total - low) % (1 << self.bits) + low
        self.exact = self.exact + exact
        self.least, self.greatest = np.minimum(self.least, self.exact), np.maximum(self.greatest, self.exact)
        self.channel_least = np.minimum(self.channel_least, self.exact.min(axis=0))
        self.channel_greatest = np.maximum(self.channel_greatest, self.exact.max(axis=0))
        self.events += over
        self.first = np.where(over & (self.first == 1 << 60), k, self.first)

    @property
    def channel_needed_bits(self) -> list[int]:
        return [_width(*ends) for ends in zip(self.channel_least, self.channel_greatest, strict=True)]

    @property
    def needed_bits(self) -> int:
        return max(self.channel_needed_bits)

    @property
    def outputs_by_needed_bits(self) -> tuple[int, ...]:
        widths = [min(_width(*ends), 65) for ends in zip(self.least.flat, self.greatest.flat, strict=True)]
        return tuple(widths.count(bits) for bits in range(max(widths) + 1))


def _width(least: int, greatest: int) -> int:
    bits = 1
    while least < -(1 << (bits - 1)) or greatest > (1 << (bits - 1)) - 1:
        bits += 1
    return bits


@dataclass(frozen=True)
class Account:
    """Everything that docs/numerics.md says about a layer."""

    accumulators: np.ndarray
    """[pixels, filters], objects."""
    partial_sum_events: int
    accumulator_events: int
    affected_outputs: int
    first_event: tuple[int, int, str] | None
    partial_sum_needed_bits: int | None
    accumulator_needed_bits: int
    accumulator: Register
    partial_sum: Register | None


def run_array(x, weights, bias, shape: Shape, rows: int, partial_sum, accumulator) -> Account:
    """Sum x [N, H, W, C] with weights [filters, kh, kw, C / groups] (both centred) in the device's order.

    rows = 0 and partial_sum = None for output stationary; registers are (bits, mode).
    """
    filters = weights.shape[0]
    if shape.transposed:
        weights = weights[:, ::-1, ::-1, :]
    taps = patches(x, shape)
    pixels, channels, per_group = taps.shape[0], weights.shape[3], filters // shape.groups
    of_filter = [
        taps[:, :, f // per_group * channels : (f // per_group + 1) * channels].reshape(pixels, -1)
        for f in range(filters)
    ]
    a = np.stack(of_filter, axis=2)  # [pixels, k, filters]
    w = weights.reshape(filters, -1).T.astype(object)
    acc = Register(*accumulator, (pixels, filters))
    start = np.broadcast_to(np.asarray(bias).astype(object), (pixels, filters))
    acc.add(start, start, -1)
    if partial_sum is None:
        for k in range(len(w)):
            acc.add(a[:, k] * w[k], a[:, k] * w[k], k)
        return _account(acc, None)
    psum = Register(*partial_sum, (pixels, filters))
    for begin in range(0, len(w), rows):
        psum.clear()
        fold = range(begin, min(begin + rows, len(w)))
        for k in fold:
            psum.add(a[:, k] * w[k], a[:, k] * w[k], k)
        acc.add(psum.value, psum.exact, fold[-1])
    return _account(acc, psum)


def _account(acc: Register, psum: Register | None) -> Account:
    events = acc.events + (psum.events if psum else 0)
    first = None
    if events.any():
        output = int(np.flatnonzero(events.reshape(-1))[0])
        found = [(int(psum.first.flat[output]), 0, "partial_sum")] if psum else []
        k, _, name = min([*found, (int(acc.first.flat[output]), 1, "accumulator")])
        first = (output, k, name)
    return Account(
        acc.value,
        int(psum.events.sum()) if psum else 0,
        int(acc.events.sum()),
        int((events > 0).sum()),
        first,
        psum.needed_bits if psum else None,
        acc.needed_bits,
        acc,
        psum,
    )
