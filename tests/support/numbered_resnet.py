"""Three stages of a ResNet-50 in NumPy, straight from the arrays `convNN.w`, `convNN.b` of a Caffe model's file."""

from __future__ import annotations

import numpy as np


def numbered_resnet(arrays, image):
    """Features after the third stage: image [1, height, width, 3] in red, green, blue -> [1, h, w, channels]."""
    numbers = iter(range(53))

    def conv(x, stride=1):
        number = next(numbers)
        w, b = (arrays[f"conv{number:02d}.{part}"].astype(np.float32) for part in "wb")
        pad = w.shape[2] // 2
        padded = np.pad(x, ((0, 0), (pad, pad), (pad, pad), (0, 0)))
        windows = np.lib.stride_tricks.sliding_window_view(padded, w.shape[2:], (1, 2))[:, ::stride, ::stride]
        return np.einsum("nhwcij,fcij->nhwf", windows, w, optimize=True) + b

    x = np.maximum(conv(image[..., ::-1], 2), 0)
    padded = np.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)), constant_values=-np.inf)
    x = np.lib.stride_tricks.sliding_window_view(padded, (3, 3), (1, 2))[:, ::2, ::2].max(axis=(4, 5))
    for stage, blocks in enumerate((3, 4, 6)):
        for block in range(blocks):
            stride = 2 if stage and block == 0 else 1
            shortcut = conv(x, stride) if block == 0 else x
            y = np.maximum(conv(x, stride), 0)
            y = np.maximum(conv(y), 0)
            x = np.maximum(conv(y) + shortcut, 0)
    return x
