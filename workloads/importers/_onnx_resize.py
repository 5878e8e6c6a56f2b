"""Sizes and coordinates of Resize and Upsample."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from workloads.importers._onnx_draft import Value
from workloads.importers._onnx_node import NodeView, Refused

F = np.float32
_MODES = ("half_pixel", "pytorch_half_pixel", "align_corners", "asymmetric")


def target_size(view: NodeView, x: Value) -> tuple[int, int]:
    """Return (height, width) of the output; Refused where attributes or sizes are not supported."""
    if len(x.shape) != 4:
        raise Refused(f"{x.name} has shape {list(x.shape)}; only images of two dimensions are read")
    view.only("mode", "nearest", "nearest", "linear")
    view.only("antialias", 0)
    view.only("exclude_outside", 0)
    view.only("keep_aspect_ratio_policy", "stretch")
    axes = [int(axis) % 4 for axis in view.attribute("axes", (0, 1, 2, 3))]
    upsample = view.raw.op == "Upsample" or view.opset < 11
    sizes = None if upsample else view.optional_constant(3, "sizes")
    if sizes is not None and sizes.size:
        shape = _placed(x, axes, [int(v) for v in sizes.ravel()])
    else:
        scales = _scales(view, upsample)
        shape = _placed(x, axes, [_scaled(x.shape[a], s, x) for a, s in zip(axes, scales, strict=True)])
    if shape[:2] != x.shape[:2]:
        raise Refused(f"a resize of {list(x.shape)} to {list(shape)}; only height and width are resized")
    return shape[2], shape[3]


def _scales(view: NodeView, upsample: bool) -> list[float]:
    if upsample and view.attribute("scales") is not None:
        return [float(v) for v in view.attribute("scales")]
    found = view.optional_constant(1 if upsample else 2, "scales")
    if found is None or not found.size:
        raise ValueError("neither scales nor sizes")
    return [float(v) for v in found.ravel()]


def _scaled(size: int, scale: float, x: Value) -> int:
    exact = size * scale
    if abs(exact - round(exact)) > 1e-4 * max(1.0, exact):
        raise Refused(f"scale {scale} of {size} pixels of {x.name} gives {exact}; supported: whole sizes")
    return round(exact)


def _placed(x: Value, axes: list[int], values: list[int]) -> tuple[int, ...]:
    shape = list(x.shape)
    for axis, value in zip(axes, values, strict=True):
        shape[axis] = value
    return tuple(shape)


def _coordinates(view: NodeView) -> str:
    if view.raw.op == "Upsample" or view.opset < 11:
        return "asymmetric"
    return str(view.only("coordinate_transformation_mode", "half_pixel", *_MODES))


def tflite_flags(view: NodeView, x: Value, size: tuple[int, int]) -> tuple[bool, bool]:
    """Return (align_corners, half_pixel_centers) of a bilinear resize."""
    mode = _coordinates(view)
    if mode == "pytorch_half_pixel" and any(to == 1 < of for to, of in zip(size, x.shape[2:], strict=True)):
        raise Refused(
            f"coordinate_transformation_mode {mode!r} of {list(x.shape[2:])} to {list(size)} pixels: it takes "
            "the first pixel of one, half_pixel the middle; 'half_pixel' would work"
        )
    return mode == "align_corners", mode in ("half_pixel", "pytorch_half_pixel")


def nearest_indices(view: NodeView, size: int, count: int, axis: int) -> NDArray[np.int64]:
    """Return the pixel that each output pixel along an axis copies: upsample.h of ONNX Runtime, in float32."""
    mode = _coordinates(view)
    index, scale = np.arange(count).astype(np.float32), F(count) / F(size)
    if mode == "align_corners":
        position = index * F(size - 1) / F(count - 1) if count > 1 else np.zeros(1, np.float32)
    elif mode == "asymmetric":
        position = index / scale
    elif mode == "pytorch_half_pixel" and count == 1:
        position = np.zeros(1, np.float32)
    else:
        position = (index + F(0.5)) / scale - F(0.5)
    old = view.raw.op == "Upsample" or view.opset < 11
    how = (
        "floor"
        if old
        else view.only("nearest_mode", "round_prefer_floor", "round_prefer_floor", "round_prefer_ceil", "floor", "ceil")
    )
    rounded = {
        "floor": np.floor(position),
        "ceil": np.ceil(position),
        "round_prefer_ceil": np.floor(position + F(0.5)),
        "round_prefer_floor": np.ceil(position - F(0.5)),
    }[how]
    pixels: NDArray[np.int64] = np.clip(rounded.astype(np.int64), 0, size - 1)
    return pixels
