"""What a writer of one operator works with: its tensors, new ones beside them, and a way to refuse."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from simulator.graph.graph import Graph, Node, Tensor
from simulator.graph.ops import Activation, Padding
from simulator.numerics.formats import INT32, INT64, IntFormat
from workloads.exporters._tflite_file import FileOp, FileWriter, tensor_type


class Refused(Exception):
    """Why a node cannot be written; the exporter adds its name and lists it with the others."""


ACTIVATIONS = {Activation.NONE: 0, Activation.RELU: 1, Activation.RELU_N1_TO_1: 2, Activation.RELU6: 3}
"""Numbers of ActivationFunctionType in TFLite's schema.fbs."""
SAME, VALID = 0, 1
"""Numbers of Padding in the same schema."""


@dataclass
class Context:
    """The file as far as it is written."""

    graph: Graph
    writer: FileWriter
    names: set[str]
    """Names taken, the graph's among them."""

    def input(self, node: Node, position: int) -> Tensor:
        """Return a required input of a node."""
        return self.graph.tensors[node.inputs[position]]

    def optional(self, node: Node, position: int) -> Tensor | None:
        """Return an input, or None where it is absent."""
        name = node.inputs[position] if position < len(node.inputs) else ""
        return self.graph.tensors[name] if name else None

    def output(self, node: Node) -> Tensor:
        """Return the first output of a node."""
        return self.graph.tensors[node.outputs[0]]

    def fresh(self, tensor: Tensor, suffix: str, **changes: Any) -> Tensor:
        """Return a new tensor like another, under a name that nothing has."""
        name = f"{tensor.name}/{suffix}"
        while name in self.names:
            name += "_"
        self.names.add(name)
        return replace(tensor, name=name, **changes)

    def ints(self, of: str, what: str, values: ArrayLike) -> Tensor:
        """Return a new int32 constant, such as a shape or axes, named `of`/`what`."""
        data = np.asarray(values, np.int32)
        return self.fresh(Tensor(of, data.shape, INT32, None, data), what)

    def emit(
        self,
        code: str,
        inputs: Sequence[Tensor | None],
        outputs: Sequence[Tensor],
        options: str | None = None,
        **fields: int | float,
    ) -> None:
        """Write one operator; Refused where one of its tensors has no place in the format."""
        reads = tuple(-1 if tensor is None else self.writer.tensor(checked(tensor)) for tensor in inputs)
        writes = tuple(self.writer.tensor(checked(tensor)) for tensor in outputs)
        self.writer.ops.append(FileOp(code, reads, writes, options, fields))


Writer = Callable[[Context, Node], None]


def checked(tensor: Tensor) -> Tensor:
    """Return the tensor; Refused where TFLite has no such format, or no such scale."""
    if tensor_type(tensor.format) is None:
        raise Refused(f"tensor {tensor.name} is {tensor.format}, for which TFLite has no type")
    if tensor.quant is not None:
        for scale in tensor.quant.scale:
            if float(np.float32(scale)) != scale:
                raise Refused(f"tensor {tensor.name} has scale {scale!r}, which is no float32 number")
    if tensor.data is None and tensor.is_constant:
        raise Refused(f"tensor {tensor.name} has no values")
    return tensor


def weights_of(x: Tensor, weights: Tensor) -> Tensor:
    """Return weights as TFLite's kernels read them beside `x`: the same integers less the zero point, in 8 bits."""
    if weights.data is None or weights.quant is None or not isinstance(weights.format, IntFormat):
        raise Refused(f"weights {weights.name} are not constant quantized integers")
    target = IntFormat(8, signed=not isinstance(x.format, IntFormat) or x.format.signed)
    shift = 0
    if weights.format.signed != target.signed and (weights.format.bits == 8 or weights.format.signed):
        shift = -128 if target.signed else 128
    values = weights.data.astype(np.int64) + shift
    zero_points = tuple(zero + shift for zero in weights.quant.zero_point)
    least, greatest = min(values.min(), *zero_points), max(values.max(), *zero_points)
    if least < target.min or greatest > target.max:
        raise Refused(f"weights {weights.name} ({weights.format}) do not fit {target}, which stands beside {x.format}")
    if target.signed and any(zero_points):
        raise Refused(
            f"weights {weights.name} have a zero point other than 0, which TFLite's {x.format} kernels ignore"
        )
    if not target.signed and len(weights.quant.scale) > 1:
        raise Refused(f"weights {weights.name} are quantized per filter, which TFLite's uint8 kernels are not")
    quant = replace(weights.quant, zero_point=zero_points)
    return replace(weights, data=values.astype(target.dtype), format=target, quant=quant)


def bias_of(x: Tensor, weights: Tensor, bias: Tensor | None) -> Tensor:
    """Return the bias with the scale that TFLite expects of it, input times weights; zeros where there is none."""
    assert weights.quant is not None
    if bias is None:
        format = INT32 if x.format.bits == 8 else INT64
        data = np.zeros(weights.shape[0], format.dtype)
        bias = Tensor(f"{weights.name}/no_bias", data.shape, format, None, data)
    if bias.data is None or len(bias.shape) != 1:
        raise Refused(f"bias {bias.name} of shape {list(bias.shape)} is not a constant per filter")
    scales = tuple(float(np.float32(x.scale * scale)) for scale in weights.quant.scale)
    if not all(scales):
        raise Refused(f"input scale times weight scale, of {weights.name}, is below what float32 holds")
    axis = None if len(scales) == 1 else 0
    return replace(bias, quant=replace(weights.quant, scale=scales, zero_point=(0,) * len(scales), axis=axis))


def same_padding(size: int, kernel: int, stride: int, dilation: int) -> tuple[int, int]:
    """Zeros before and after an axis by TFLite's SAME (padding.h), the odd one after."""
    total = max(0, (-(-size // stride) - 1) * stride + (kernel - 1) * dilation + 1 - size)
    return total // 2, total - total // 2


def padding_scheme(
    padding: Padding,
    sizes: tuple[Sequence[int], Sequence[int]],
    kernel: Sequence[int],
    stride: Sequence[int],
    dilation: Sequence[int] = (1, 1),
) -> int | None:
    """Return SAME or VALID, whichever `padding` comes to between the sizes (input, output); None for neither."""
    before = (padding.top, padding.left)
    axes = list(zip(*sizes, before, kernel, stride, dilation, strict=True))
    if all(at == 0 and out == (n - (k - 1) * d - 1) // s + 1 for n, out, at, k, s, d in axes):
        return VALID
    if all(at == same_padding(n, k, s, d)[0] and out == -(-n // s) for n, out, at, k, s, d in axes):
        return SAME
    return None
