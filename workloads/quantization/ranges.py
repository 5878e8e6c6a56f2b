"""The range that a tensor is quantized for, by each calibration method, from what was seen of it."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from simulator.numerics.formats import IntFormat
from simulator.numerics.quant import QuantParams
from workloads.quantization.calibrate import Observation
from workloads.quantization.histogram import BINS, Histogram
from workloads.quantization.options import QuantizeOptions
from workloads.quantization.scales import ActivationRule, Range, activation_rule

_SHRINKS = [step / 100 for step in range(100, 0, -1)]
"""Parts of the least and greatest value that the mean-square search tries, from all down to 1/100."""
_KL_BINS = 2048
"""Bins of magnitudes that the divergence is computed on."""
_KL_STRIDE = 8
"""The search visits every so many-th part of the number of levels."""


def choose_range(seen: Observation, format: IntFormat, options: QuantizeOptions) -> Range:
    """Return the range of values that the tensor's integers are to hold.

    Parameters
    ----------
    seen
        Extremes and, for every method but ``minmax``, the histogram.
    format
        Of the quantized tensor.
    options
        Method, percentile and scheme.

    """
    low, high = seen.low, seen.high
    if options.calibration == "minmax" or low == high:
        return low, high
    assert seen.histogram is not None
    if options.calibration == "percentile":
        return percentile_range(seen.histogram, options.percentile, (low, high))
    if options.calibration == "mse":
        return least_error_range(seen.histogram, (low, high), format, activation_rule(options))
    one_sided = options.scheme == "affine" and (low >= 0 or high <= 0) and format.bits <= 8
    threshold = divergence_threshold(seen.histogram, 1 << (format.bits if one_sided else format.bits - 1))
    return max(low, -threshold), min(high, threshold)


def percentile_range(histogram: Histogram, percentile: float, extremes: Range) -> Range:
    """Return the values that (100 - percentile) % lie below and above, within a bin by proportion."""
    total = int(histogram.counts.sum())
    tail = total * (1 - percentile / 100)
    low = _position(histogram.counts, tail) - BINS
    high = BINS - _position(histogram.counts[::-1], tail)
    return max(extremes[0], low * histogram.width), min(extremes[1], high * histogram.width)


def _position(counts: NDArray[np.int64], wanted: float) -> float:
    """Return how many bins, the last in part, hold `wanted` values."""
    sums = np.cumsum(counts)
    index = int(np.searchsorted(sums, wanted, side="right"))
    if index >= len(counts):
        return float(len(counts))
    before = int(sums[index - 1]) if index else 0
    return index + (wanted - before) / int(counts[index])


def least_error_range(histogram: Histogram, extremes: Range, format: IntFormat, rule: ActivationRule) -> Range:
    """Return the part of the range, in hundredths, whose parameters give the least mean square error.

    A tie goes to the greater range.
    """
    errors: dict[QuantParams, float] = {}
    best, least = extremes, math.inf
    for shrink in _SHRINKS:
        candidate = extremes[0] * shrink, extremes[1] * shrink
        params = rule(*candidate, format)
        if params not in errors:
            errors[params] = square_error(histogram, params, format)
        if errors[params] < least:
            best, least = candidate, errors[params]
    return best


def square_error(histogram: Histogram, params: QuantParams, format: IntFormat) -> float:
    """Return the mean square error of quantizing the histogram's values, each taken to lie in the middle of its bin.

    Where a step is less than four bins, the error inside the range is that of evenly spread values, step^2 / 12.
    """
    scale, zero_point = params.scale[0], params.zero_point[0]
    occupied = np.flatnonzero(histogram.counts)
    centres, counts = histogram.centres[occupied], histogram.counts[occupied]
    stored = np.clip(np.rint(centres / scale) + zero_point, format.min, format.max)
    squares = (scale * (stored - zero_point) - centres) ** 2
    if scale < 4 * histogram.width:
        low, high = (scale * (end - zero_point) for end in (format.min - 0.5, format.max + 0.5))
        squares[(centres >= low) & (centres <= high)] = scale**2 / 12
    return float((squares * counts).sum() / counts.sum())


def divergence_threshold(histogram: Histogram, levels: int) -> float:
    """Return the magnitude to clip at, by the least Kullback-Leibler divergence of the quantized distribution.

    For each of several thresholds: P is the distribution below it with the rest added to its last bin; Q is the one
    below it, without the rest, at `levels` levels, each spread evenly over the bins of it that are not empty. More
    levels than there are bins cannot be told apart: then the range is kept whole.

    Source: Migacz, 8-bit Inference with TensorRT, GTC 2017, slides 38 and 39; here magnitudes in 2048 bins and
    thresholds at every eighth part of `levels` bins.
    """
    magnitudes = histogram.magnitudes()
    merged = magnitudes.reshape(_KL_BINS, -1).sum(axis=1)
    width = histogram.width * (BINS // _KL_BINS)
    used = int(np.flatnonzero(merged)[-1]) + 1
    best, least = used, math.inf
    for count in range(levels, used + 1, max(1, levels // _KL_STRIDE)):
        divergence = _divergence(merged[:count].astype(np.float64), float(merged[count:].sum()), levels)
        if divergence < least:
            best, least = count, divergence
    return best * width


def _divergence(kept: NDArray[np.float64], rest: float, levels: int) -> float:
    begins = np.arange(levels) * len(kept) // levels
    reference = kept.copy()
    reference[-1] += rest
    inside = reference > 0
    mass, bins = np.add.reduceat(kept, begins), np.add.reduceat(inside.astype(np.float64), begins)
    spread = np.repeat(np.divide(mass, bins, out=np.zeros_like(mass), where=bins > 0), np.diff([*begins, len(kept)]))
    p, q = reference[inside] / reference.sum(), spread[inside]
    if not q.all():
        return math.inf  # P has mass where Q has none
    return float((p * np.log(p / (q / q.sum()))).sum())
