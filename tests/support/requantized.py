"""Chosen accumulators through a device's requantizer, by the public API."""

from __future__ import annotations

import numpy as np

import bittrue
from simulator.graph.ops import FullyConnected
from simulator.numerics.quant import QuantParams
from support.accelerators import device


def requantized(accumulators, scales, requantizer, format="int8", zero_point=0, bits=32):
    """Outputs of accumulators [pixels, channels] scaled by `scales` [channels]; `requantizer` as in an accelerator.

    The layer's operands are zeros and its bias, one per output, is what the register holds.
    """
    pixels, channels = accumulators.shape
    builder = bittrue.GraphBuilder("requantizer")
    x = builder.input("x", (pixels, 1), "int8", QuantParams.per_tensor(1.0))
    per_channel = QuantParams(tuple(float(scale) for scale in scales), (0,) * channels, axis=0)
    w = builder.constant("w", np.zeros((channels, 1), np.int8), quant=per_channel)
    bias = builder.constant("bias", accumulators.astype(np.int32))
    quant = QuantParams.per_tensor(1.0, zero_point)
    y = builder.add(FullyConnected(), x, w, bias, name="y", format=format, quant=quant)
    accelerator = device(
        arithmetic__requantizer=requantizer, arithmetic__accumulator={"bits": bits, "overflow": "trap"}
    )
    run = bittrue.simulate(builder.build(), accelerator, [np.zeros((pixels, 1), np.int8)], values_only=True)
    return run.outputs[y]
