"""What rtl/im2col_feed.sv offers the array for each pixel of a convolution, and how many cycles its banks take."""

from __future__ import annotations

from typing import Any

import numpy as np

from simulator.kernels._jit import kernel

GEOMETRY = np.dtype(
    [
        (name, np.int64)
        for name in (
            *("height", "width", "channels", "kernel_height", "kernel_width", "stride_y", "stride_x"),
            *("dilation_y", "dilation_x", "insertion_y", "insertion_x", "padding_top", "padding_left"),
            *("out_height", "out_width", "pitch"),
        )
    ]
)
"""A convolution over a feature map of which neighbours lie `insertion` places apart, with zeros between them. `pitch`:
elements from the begin of a row of the map to that of the next."""


@kernel(inline=True)
def _element(geometry: Any, k: Any, pixel: Any) -> Any:
    """Address of the element that the k-th weight meets at a pixel; -1 where that is padding or a woven zero."""
    channel = k % geometry["channels"]
    tap_y, tap_x = divmod(k // geometry["channels"], geometry["kernel_width"])
    out_y, out_x = divmod(pixel, geometry["out_width"])
    y = out_y * geometry["stride_y"] + tap_y * geometry["dilation_y"] - geometry["padding_top"]
    x = out_x * geometry["stride_x"] + tap_x * geometry["dilation_x"] - geometry["padding_left"]
    if tap_y >= geometry["kernel_height"] or y % geometry["insertion_y"] or x % geometry["insertion_x"]:
        return -1
    y, x = y // geometry["insertion_y"], x // geometry["insertion_x"]
    if not (0 <= y < geometry["height"] and 0 <= x < geometry["width"]):
        return -1
    return y * geometry["pitch"] + x * geometry["channels"] + channel


@kernel()
def fetch(
    feature_map: Any,
    geometry: Any,
    banks: Any,
    word_elements: Any,
    zero_point: Any,
    first_k: Any,
    operands: Any,
    cycles: Any,
) -> None:
    """Fill in the operands of each k fold and pixel, and the cycles that the busiest bank takes for them.

    Parameters
    ----------
    feature_map
        int64 [elements], rows of width x channels.
    geometry
        Record of dtype GEOMETRY.
    banks, word_elements
        Words of `word_elements` elements lie in the banks in turn; a bank reads one a cycle, for every row that wants
        something of it.
    zero_point
        Operand where nothing is read.
    first_k
        Of the first operand.
    operands
        int64 [k_folds * pixels, R], written.
    cycles
        int64 [k_folds * pixels], written; at least 1.

    """
    pixels, rows = geometry["out_height"] * geometry["out_width"], operands.shape[1]
    words, loads = np.empty(rows, np.int64), np.empty(banks, np.int64)
    for offered in range(operands.shape[0]):
        fold, pixel = divmod(offered, pixels)
        loads[:] = 0
        for r in range(rows):
            address = _element(geometry, first_k + fold * rows + r, pixel)
            words[r] = address // word_elements if address >= 0 else -1
            operands[offered, r] = feature_map[address] if address >= 0 else zero_point
            is_new = address >= 0
            for earlier in range(r):
                is_new = is_new and words[earlier] != words[r]
            if is_new:
                loads[words[r] % banks] += 1
        cycles[offered] = max(1, loads.max())
