"""What a converter sees of an operator: its tensors, its options, and a way to refuse."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from simulator.graph.graph import Tensor
from simulator.graph.ops import Activation, Op, Padding
from simulator.numerics.formats import Float32, Format, IntFormat
from workloads.importers._tflite_reader import RawNode, schema
from workloads.importers._tflite_tensors import TensorTable

_ACTIVATIONS = {
    "NONE": Activation.NONE,
    "RELU": Activation.RELU,
    "RELU6": Activation.RELU6,
    "RELU_N1_TO_1": Activation.RELU_N1_TO_1,
}


class Refused(Exception):
    """Why an operator is not supported; the importer adds its name and lists it with the others."""


@dataclass(frozen=True)
class Converted:
    """An operator of the graph, with the constants that only it needs."""

    op: Op
    inputs: tuple[str, ...]
    constants: tuple[Tensor, ...] = ()


@dataclass(frozen=True)
class NodeView:
    """One operator of the file."""

    raw: RawNode
    tensors: TensorTable

    @property
    def inputs(self) -> tuple[Tensor | None, ...]:
        """Inputs in the file's order; None where one is left out."""
        return tuple(None if index < 0 else self.tensors[index] for index in self.raw.inputs)

    @property
    def outputs(self) -> tuple[Tensor, ...]:
        """Outputs in the file's order."""
        return tuple(self.tensors[index] for index in self.raw.outputs)

    def input(self, position: int) -> Tensor:
        """Return a required input; ValueError where it is absent."""
        tensor = self.optional(position)
        if tensor is None:
            raise ValueError(f"{self.raw.code} without input {position}")
        return tensor

    def optional(self, position: int) -> Tensor | None:
        """Return an input, or None where it is absent."""
        return self.inputs[position] if position < len(self.raw.inputs) else None

    def output(self, position: int = 0) -> Tensor:
        """Return an output; IndexError where it is absent."""
        return self.outputs[position]

    def options(self, kind: str) -> Any:
        """Return the accessor of required options, such as Conv2DOptions; ValueError where they are absent."""
        found = self.optional_options(kind)
        if found is None:
            raise ValueError(f"{self.raw.code} without {kind}")
        return found

    def optional_options(self, kind: str) -> Any:
        """Return the accessor of options that a file may leave out, or None; ValueError on options of another kind."""
        tflite = schema()
        table, stored = self.raw.table.BuiltinOptions(), self.raw.table.BuiltinOptionsType()
        if table is None or stored == 0:
            return None
        if stored != getattr(tflite.BuiltinOptions, kind):
            raise ValueError(f"its options are of kind {stored}, not {kind}")
        accessor = getattr(tflite, kind)()
        accessor.Init(table.Bytes, table.Pos)
        return accessor

    def ints(self, position: int, what: str) -> tuple[int, ...]:
        """Values of a constant input, flat; Refused where they are only known when the network runs."""
        tensor = self.input(position)
        if tensor.data is None:
            raise Refused(f"{what} {tensor.name} is not constant")
        if not isinstance(tensor.format, IntFormat):
            raise ValueError(f"{what} {tensor.name} is {tensor.format}, not an integer")
        return tuple(int(value) for value in tensor.data.ravel())

    def pairs(self, position: int, what: str) -> tuple[tuple[int, int], ...]:
        """Return rows (before, after) of a constant input of shape [axes, 2]."""
        flat = self.ints(position, what)
        if len(flat) % 2:
            raise ValueError(f"{what} holds {len(flat)} values, not pairs")
        return tuple(zip(flat[::2], flat[1::2], strict=True))

    def check_type(self, stored: int) -> None:
        """Compare the output type that options state with that of the output; ValueError where they differ."""
        wanted = getattr(schema().TensorType, str(self.output().format).upper())
        if stored != wanted:
            raise ValueError(f"its options state output type {stored}, tensor {self.output().name} has type {wanted}")

    def check_count(self, stored: int, found: int) -> None:
        """Compare a number of operands that options state with the operands; ValueError where they differ."""
        if stored != found:
            raise ValueError(f"its options state {stored} operands, it has {found}")


Converter = Callable[[NodeView], Converted]


def activation(options: Any) -> Activation:
    """Return the fused activation of an operator's options; Refused where the simulator has none such."""
    if options is None:
        return Activation.NONE
    code = options.FusedActivationFunction()
    names = {value: name for name, value in vars(schema().ActivationFunctionType).items() if isinstance(value, int)}
    name = names.get(code, f"number {code}")
    if name not in _ACTIVATIONS:
        raise Refused(f"fused activation {name}; supported are {', '.join(_ACTIVATIONS)}")
    return _ACTIVATIONS[name]


def padding(
    options: Any,
    size: tuple[int, ...],
    kernel: tuple[int, ...],
    stride: tuple[int, int],
    dilation: tuple[int, int] = (1, 1),
) -> Padding:
    """Make SAME or VALID explicit, the odd row or column at the bottom and right (TFLite padding.h)."""
    tflite = schema()
    scheme = options.Padding()
    if scheme == tflite.Padding.VALID:
        return Padding()
    if min(*kernel, *stride, *dilation) < 1:
        raise ValueError(f"kernel {kernel}, stride {stride}, dilation {dilation}: all are at least 1")
    if scheme != tflite.Padding.SAME:
        raise ValueError(f"padding scheme {scheme}")
    top, bottom = same_padding(size[0], kernel[0], stride[0], dilation[0])
    left, right = same_padding(size[1], kernel[1], stride[1], dilation[1])
    return Padding(top, bottom, left, right)


def same_padding(size: int, kernel: int, stride: int, dilation: int) -> tuple[int, int]:
    """Zeros before and after one axis, so that the output has ceil(size / stride) positions."""
    total = max(0, (-(-size // stride) - 1) * stride + (kernel - 1) * dilation + 1 - size)
    return total // 2, total - total // 2


def refuse_mixed(*tensors: Tensor | None) -> None:
    """Refuse float activations with integer weights (dynamic-range quantization), and the reverse."""
    kinds = {isinstance(tensor.format, Float32) for tensor in tensors if tensor is not None}
    if len(kinds) > 1:
        named = ", ".join(f"{tensor.name} {tensor.format}" for tensor in tensors if tensor is not None)
        raise Refused(f"float and integer operands together (dynamic-range quantization): {named}")


def is_float(format: Format) -> bool:
    """Whether values are float32."""
    return isinstance(format, Float32)
