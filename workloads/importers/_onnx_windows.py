"""Windows of convolutions and pools: strides, padding, and the size that they give."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from simulator.graph.ops import Padding
from workloads.importers._onnx_draft import Value
from workloads.importers._onnx_node import NodeView, Refused


@dataclass(frozen=True)
class Window:
    """Geometry of a convolution or pool."""

    kernel: tuple[int, int]
    stride: tuple[int, int]
    dilation: tuple[int, int]
    padding: Padding
    """With what `ceil_mode` adds at the bottom and right."""
    size: tuple[int, int]
    """(height, width) of the output."""


def window_of(view: NodeView, x: Value, kernel: Sequence[int]) -> Window:
    """Read the window of an operator on image `x`; Refused where it is not of two dimensions."""
    if len(x.shape) != 4 or len(kernel) != 2:
        raise Refused(f"{x.name} has shape {list(x.shape)}; only images of two dimensions are read")
    stated = view.attribute("kernel_shape")
    if stated is not None and tuple(stated) != tuple(kernel):
        raise ValueError(f"kernel_shape {tuple(stated)} of a kernel {tuple(kernel)}")
    stride, dilation = _pair(view, "strides"), _pair(view, "dilations")
    span = [(kernel[i] - 1) * dilation[i] + 1 for i in (0, 1)]
    pads = _pads(view, x.shape[2:], span, stride)
    size, after = [], []
    for i in (0, 1):
        room = x.shape[i + 2] + pads[i] + pads[i + 2] - span[i]
        steps = -(-room // stride[i]) if view.attribute("ceil_mode", 0) else room // stride[i]
        # A window that would begin in the padding behind the image is left out.
        if view.attribute("ceil_mode", 0) and steps * stride[i] >= x.shape[i + 2] + pads[i]:
            steps -= 1
        size.append(steps + 1)
        after.append(max(pads[i + 2], pads[i + 2] + steps * stride[i] - room))
    padding = Padding(pads[0], after[0], pads[1], after[1])
    return Window((kernel[0], kernel[1]), stride, dilation, padding, (size[0], size[1]))


def _pair(view: NodeView, name: str) -> tuple[int, int]:
    values = tuple(view.attribute(name, (1, 1)))
    if len(values) != 2 or min(values) < 1:
        raise ValueError(f"{name} {values}")
    return values[0], values[1]


def _pads(view: NodeView, size: Sequence[int], span: Sequence[int], stride: Sequence[int]) -> tuple[int, ...]:
    """Rows above, columns left, rows below, columns right."""
    auto = view.only("auto_pad", "NOTSET", "NOTSET", "VALID", "SAME_UPPER", "SAME_LOWER")
    if auto == "NOTSET":
        pads = tuple(view.attribute("pads", (0, 0, 0, 0)))
        if len(pads) != 4:
            raise ValueError(f"pads {pads}")
        if min(pads) < 0:
            raise Refused(f"attribute pads = {pads}; supported: none negative")
        return pads
    if auto == "VALID":
        return (0, 0, 0, 0)
    total = [max(0, (-(-size[i] // stride[i]) - 1) * stride[i] + span[i] - size[i]) for i in (0, 1)]
    less, more = [t // 2 for t in total], [t - t // 2 for t in total]
    return (*less, *more) if auto == "SAME_UPPER" else (*more, *less)
