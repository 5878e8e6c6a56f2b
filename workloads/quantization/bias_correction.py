"""Bias correction: the mean error that quantized weights make in each output channel, taken off its bias.

Source: Nagel, van Baalen, Blankevoort, Welling, Data-Free Quantization Through Weight Equalization and Bias Correction,
ICCV 2019, section 4.2, eq. 16; E[x] comes from the calibration images.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from simulator.graph import ops
from simulator.graph.graph import Node, Tensor
from workloads.counting import ARRAY_OPS


def corrected_bias(
    node: Node, weights: Tensor, stored: NDArray[np.float64], bias: Tensor | None, means: NDArray[np.float64]
) -> NDArray[np.float32]:
    """Return b - sum over taps and channels of (quantized weight - weight) * E[x of that channel].

    Parameters
    ----------
    node
        A convolution, transposed convolution or product. Padding is not accounted for: every tap is taken to see the
        channel's mean. Of a transposed convolution each output sees the taps of one phase: 1 / stride^2 of them.
    weights
        Float weights [filters, ..., channels per group].
    stored
        The same after quantization, as real numbers.
    bias
        Float bias [filters], or None.
    means
        Mean of every input channel, [channels of all groups].

    """
    assert isinstance(node.op, ARRAY_OPS)
    assert weights.data is not None
    error = stored - weights.data
    filters, channels = error.shape[0], error.shape[-1]
    by_channel = error.reshape(filters, -1, channels).sum(axis=1)
    groups = getattr(node.op, "groups", 1)
    mean = np.repeat(means.reshape(groups, channels), filters // groups, axis=0)
    shift = (by_channel * mean).sum(axis=1)
    if isinstance(node.op, ops.TransposeConv2D):
        shift /= node.op.stride[0] * node.op.stride[1]
    before = 0.0 if bias is None or bias.data is None else bias.data.astype(np.float64)
    return np.asarray(before - shift, np.float32)
