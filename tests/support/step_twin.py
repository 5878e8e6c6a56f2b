"""Twin of the array for layers of millions of MACs: every addition of every output, in NumPy int64.

Written from docs/numerics.md; knows nothing of kernels, execution or lowering. All outputs of a block of pixels take
the addition of one k together. Padding and woven zeros are added like everything else. `support.array_twin` is the same
on Python ints, for any width.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from support.array_twin import Shape

BLOCK = 8192
"""Outputs that are summed together: their registers stay in the cache."""
NEVER = np.iinfo(np.int64).max
PARTIAL_SUM, ACCUMULATOR = "partial_sum", "accumulator"


def width(least: int, greatest: int) -> int:
    """Least two's complement width that holds both."""
    bits = 1
    while least < -(1 << (bits - 1)) or greatest > (1 << (bits - 1)) - 1:
        bits += 1
    return bits


class _Bank:
    """One register of every output of a block, and what happened to each."""

    def __init__(self, bits: int, mode: str, shape: tuple[int, ...]) -> None:
        assert mode in ("wrap", "saturate")
        self.low, self.high = -(1 << (bits - 1)), (1 << (bits - 1)) - 1
        self.mask = (1 << bits) - 1
        self.saturates = mode == "saturate"
        self.value, self.exact, self.least, self.greatest, self.events = (np.zeros(shape, np.int64) for _ in range(5))
        self.first = np.full(shape, NEVER, np.int64)
        self._total = np.empty(shape, np.int64)
        self._over, self._seen, self._fresh = (np.zeros(shape, np.bool_) for _ in range(3))
        self._count, self._counted = np.zeros(shape, np.uint8), 0

    def clear(self) -> None:
        """Begin a fold."""
        self.value[:] = 0
        self.exact[:] = 0

    def add(self, addend: np.ndarray, exact: np.ndarray, k: int) -> None:
        """Add to every register; `exact` is what would be added had nothing overflowed before."""
        total = np.add(self.value, addend, out=self._total)
        if self.saturates:
            np.maximum(total, self.low, out=self.value)
            np.minimum(self.value, self.high, out=self.value)
        else:
            np.subtract(total, self.low, out=self.value)
            np.bitwise_and(self.value, self.mask, out=self.value)
            np.add(self.value, self.low, out=self.value)
        # A register in its range equals the exact sum iff that lies in the range.
        np.not_equal(self.value, total, out=self._over)
        np.greater(self._over, self._seen, out=self._fresh)
        if self._fresh.any():
            self.first[self._fresh] = k
            self._seen |= self._fresh
        self._note_events()
        np.add(self.exact, exact, out=self.exact)
        np.minimum(self.least, self.exact, out=self.least)
        np.maximum(self.greatest, self.exact, out=self.greatest)

    def _note_events(self) -> None:
        self._count += self._over.view(np.uint8)
        self._counted += 1
        if self._counted == 255:
            self.close()

    def close(self) -> None:
        """Bring `events` up to date."""
        self.events += self._count
        self._count[:] = 0
        self._counted = 0


@dataclass(frozen=True)
class RegisterAccount:
    """One kind of register of a layer, by output channel."""

    events: np.ndarray
    least: np.ndarray
    """Least exact, unwrapped running sum of each channel, 0 included."""
    greatest: np.ndarray
    first: tuple[int, int] | None
    """(flat output, k) of the first event: lowest output, then lowest k."""

    @property
    def total_events(self) -> int:
        return int(self.events.sum())

    @property
    def channel_needed_bits(self) -> list[int]:
        return [width(*ends) for ends in zip(self.least.tolist(), self.greatest.tolist(), strict=True)]

    @property
    def needed_bits(self) -> int:
        return width(int(self.least.min()), int(self.greatest.max()))


@dataclass(frozen=True)
class StepAccount:
    """Everything that docs/numerics.md says about a layer."""

    accumulators: np.ndarray
    """[pixels, filters], int64."""
    affected_outputs: int
    accumulator: RegisterAccount
    partial_sum: RegisterAccount | None

    @property
    def first_event(self) -> tuple[int, int, str] | None:
        """(flat output, k, register): lowest output, then lowest k, the partial sum before the accumulator."""
        found = [
            (*register.first, place, name)
            for place, name, register in ((0, PARTIAL_SUM, self.partial_sum), (1, ACCUMULATOR, self.accumulator))
            if register and register.first
        ]
        return (*min(found)[:2], min(found)[3]) if found else None

    @property
    def events(self) -> int:
        return self.accumulator.total_events + (self.partial_sum.total_events if self.partial_sum else 0)


# ---------------------------------------------------------------- operands


def output_size(x_shape: tuple[int, ...], shape: Shape) -> tuple[int, int]:
    """Rows and columns of the output."""
    if shape.transposed:
        return shape.output_size
    spans = [(shape.kernel[i] - 1) * shape.dilation[i] + 1 for i in (0, 1)]
    sizes = x_shape[1] + sum(shape.padding[:2]), x_shape[2] + sum(shape.padding[2:])
    rows, columns = ((size - span) // stride + 1 for size, span, stride in zip(sizes, spans, shape.stride, strict=True))
    return rows, columns


def _sources(outputs: np.ndarray, size: int, axis: int, shape: Shape) -> np.ndarray:
    """Input row (column) under each tap of each output, -1 for padding and woven zeros: [outputs, taps]."""
    taps = np.arange(shape.kernel[axis])[None, :]
    outputs = outputs[:, None]
    begin = shape.padding[2 * axis]
    if shape.transposed:
        # y[i * stride - pad + tap * dilation] += x[i] * w[tap]; in the order of the flipped filter.
        woven = outputs + begin - (shape.kernel[axis] - 1 - taps) * shape.dilation[axis]
        index = np.where(woven % shape.stride[axis] == 0, woven // shape.stride[axis], -1)
    else:
        index = outputs * shape.stride[axis] + taps * shape.dilation[axis] - begin
    return np.where((index >= 0) & (index < size), index, -1)


def patches(x: np.ndarray, shape: Shape, pixels: np.ndarray) -> np.ndarray:
    """Operands [K, groups, pixels] of the listed output pixels (flat); k = (kh, kw, c) of a group, c fastest."""
    return _gather(_with_zeros(x), x.shape, shape, pixels)


def _with_zeros(x: np.ndarray) -> np.ndarray:
    """[N * H * W + 1, C]: the pixels of x, and one of zeros."""
    channels = x.shape[3]
    return np.concatenate([x.reshape(-1, channels), np.zeros((1, channels), x.dtype)]).astype(np.int64)


def _gather(table: np.ndarray, x_shape: tuple[int, ...], shape: Shape, pixels: np.ndarray) -> np.ndarray:
    batch, height, width_, channels = x_shape
    rows, columns = output_size(x_shape, shape)
    image, place = np.divmod(pixels, rows * columns)
    y = _sources(place // columns, height, 0, shape)[:, :, None]
    z = _sources(place % columns, width_, 1, shape)[:, None, :]
    inside = (y >= 0) & (z >= 0)
    flat = np.where(inside, (image[:, None, None] * height + y) * width_ + z, batch * height * width_)
    operands = table[flat.reshape(len(pixels), -1)]  # [pixels, taps, channels]
    operands = operands.reshape(len(pixels), -1, shape.groups, channels // shape.groups)
    return np.ascontiguousarray(operands.transpose(1, 3, 2, 0)).reshape(-1, shape.groups, len(pixels))


def flat_weights(weights: np.ndarray, shape: Shape) -> np.ndarray:
    """Weights [filters, kh, kw, channels / groups] as [K, groups, filters of a group], in the order of `patches`."""
    if shape.transposed:
        weights = weights[:, ::-1, ::-1, :]
    by_group = weights.astype(np.int64).reshape(shape.groups, weights.shape[0] // shape.groups, -1)
    return np.ascontiguousarray(by_group.transpose(2, 0, 1))


# ---------------------------------------------------------------- the sum


def run_steps(x, weights, bias, shape: Shape, rows: int, partial_sum, accumulator, block: int = BLOCK) -> StepAccount:
    """Sum x [N, H, W, C] with weights [filters, kh, kw, C / groups] (both centred) in the device's order.

    `bias` is [filters], [pixels, filters] or 0; registers are (bits, mode); partial_sum None = output stationary.
    """
    w = flat_weights(weights, shape)
    filters = weights.shape[0]
    size = output_size(x.shape, shape)
    pixels = x.shape[0] * size[0] * size[1]
    start = np.broadcast_to(np.asarray(bias, np.int64), (pixels, filters))
    _assert_int64_suffices(x, w, start, [r for r in (partial_sum, accumulator) if r])
    step = max(1, block // filters)
    table = _with_zeros(x)
    parts = []
    for begin in range(0, pixels, step):
        chosen = np.arange(begin, min(begin + step, pixels))
        a = _gather(table, x.shape, shape, chosen)
        parts.append(_Part.run(a, w, start[chosen], rows, partial_sum, accumulator))
    return _join(parts, filters)


def _assert_int64_suffices(x, w, start, registers) -> None:
    product = int(np.abs(x.astype(np.int64)).max()) * int(np.abs(w).max())
    assert all(8 <= bits <= 62 for bits, _ in registers)
    greatest = max(abs(int(start.min())), abs(int(start.max()))) + len(w) * product
    assert greatest < 1 << 62, "an exact sum may not fit int64"
    assert max(1 << (bits - 1) for bits, _ in registers) + greatest < 1 << 63, "a register and an addend may not fit"


@dataclass(frozen=True)
class _Part:
    """Registers of a block of pixels, each [groups, filters of a group, pixels]."""

    accumulator: _Bank
    partial_sum: _Bank | None

    @classmethod
    def run(cls, a: np.ndarray, w: np.ndarray, start: np.ndarray, rows: int, partial_sum, accumulator) -> _Part:
        shape = (w.shape[1], w.shape[2], a.shape[2])
        acc = _Bank(*accumulator, shape)
        loaded = np.ascontiguousarray(start.T).reshape(shape)
        acc.add(loaded, loaded, -1)
        psum = _Bank(*partial_sum, shape) if partial_sum else None
        inner = psum or acc
        fold = rows if psum else len(w)
        product = np.empty(shape, np.int64)
        for begin in range(0, len(w), fold):
            end = min(begin + fold, len(w))
            for k in range(begin, end):
                np.multiply(a[k][:, None, :], w[k][:, :, None], out=product)
                inner.add(product, product, k)
            if psum:
                acc.add(psum.value, psum.exact, end - 1)
                psum.clear()
        for bank in filter(None, (acc, psum)):
            bank.close()
        return cls(acc, psum)


def _by_output(part: np.ndarray) -> np.ndarray:
    """[groups, filters, pixels] as [pixels, channels]."""
    return part.reshape(-1, part.shape[2]).T


def _register(banks: list[_Bank], filters: int, first: np.ndarray) -> RegisterAccount:
    by_channel = [(b.events, b.least, b.greatest) for b in banks]
    events, least, greatest = (
        [array.reshape(filters, -1) for array in column] for column in zip(*by_channel, strict=True)
    )
    affected = np.flatnonzero(first != NEVER)
    return RegisterAccount(
        np.sum([array.sum(axis=1) for array in events], axis=0),
        np.min([array.min(axis=1) for array in least], axis=0),
        np.max([array.max(axis=1) for array in greatest], axis=0),
        (int(affected[0]), int(first[affected[0]])) if affected.size else None,
    )


def _first(banks: list[_Bank]) -> np.ndarray:
    """k of the first event of each output, in flat order."""
    return np.concatenate([_by_output(bank.first) for bank in banks]).reshape(-1)


def _join(parts: list[_Part], filters: int) -> StepAccount:
    accs, psums = [part.accumulator for part in parts], [part.partial_sum for part in parts if part.partial_sum]
    first = _first(accs)
    accumulator = _register(accs, filters, first)
    partial_sum = None
    affected = first != NEVER
    if psums:
        first = _first(psums)
        partial_sum = _register(psums, filters, first)
        affected |= first != NEVER
    return StepAccount(
        np.concatenate([_by_output(acc.value) for acc in accs]),
        int(affected.sum()),
        accumulator,
        partial_sum,
    )
