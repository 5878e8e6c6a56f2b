"""Twin of the activity counts: every register of the array, write after write, on Python ints.

Written from docs/activity.md; knows nothing of kernels, execution or lowering.
"""

from __future__ import annotations

import numpy as np

from simulator.numerics.scalar import toggled_bits
from support.array_twin import Register, Shape, patches


def _toggles(sequence, bits: int) -> int:
    """Bits toggled by a register that is 0 and takes these values one after another."""
    before, count = 0, 0
    for value in sequence:
        count += toggled_bits(before, int(value), bits)
        before = int(value)
    return count


def activity(x, weights, bias, shape: Shape, rows: int, partial_sum, accumulator, x_bits: int, w_bits: int) -> dict:
    """Counts of x [N, H, W, C] with weights [filters, kh, kw, C / groups], both centred; registers are (bits, mode).

    rows = 0 and partial_sum = None for output stationary.
    """
    filters = weights.shape[0]
    if shape.transposed:
        weights = weights[:, ::-1, ::-1, :]
    taps = patches(x, shape)
    pixels, channels, per_group = taps.shape[0], weights.shape[3], filters // shape.groups
    bias = np.broadcast_to(np.asarray(bias).astype(object), (pixels, filters))
    counts = dict.fromkeys(("products", "zero_a", "zero_w", "zero", "a", "w", "sum"), 0)
    for f in range(filters):
        group = f // per_group
        a = taps[:, :, group * channels : (group + 1) * channels].reshape(pixels, -1)
        w = weights[f].reshape(-1).astype(object)
        counts["products"] += a.size
        counts["zero_a"] += int((a == 0).sum())
        counts["zero_w"] += int((w == 0).sum()) * pixels
        counts["zero"] += int(((a == 0) | (w == 0)[None]).sum())
        if partial_sum is None:
            counts["a"] += sum(_toggles(a[m], x_bits) for m in range(pixels))
            counts["w"] += pixels * _toggles(w, w_bits)
            counts["sum"] += _accumulator_toggles(a, w, bias[:, f : f + 1], accumulator)
        else:
            counts["a"] += sum(_toggles(a[:, k], x_bits) for k in range(len(w)))
            counts["w"] += sum(_toggles(w[row::rows], w_bits) for row in range(rows))
            counts["sum"] += _partial_sum_toggles(a, w, rows, partial_sum)
    return counts


def _accumulator_toggles(a, w, bias, accumulator) -> int:
    register = Register(*accumulator, (len(a), 1))
    register.add(bias, bias, -1)
    count = 0
    for k in range(len(w)):
        before = register.value.copy()
        register.add(a[:, k : k + 1] * w[k], a[:, k : k + 1] * w[k], k)
        pairs = zip(before[:, 0], register.value[:, 0], strict=True)
        count += sum(toggled_bits(int(old), int(new), accumulator[0]) for old, new in pairs)
    return count


def _partial_sum_toggles(a, w, rows: int, partial_sum) -> int:
    register = Register(*partial_sum, (len(a), 1))
    count = 0
    for k in range(len(w)):
        if k % rows == 0:
            register.clear()
        register.add(a[:, k : k + 1] * w[k], a[:, k : k + 1] * w[k], k)
        # The register of this k takes the sums of one pixel after another.
        count += _toggles(register.value[:, 0], partial_sum[0])
    return count
