"""What a converter sees of an operator: its values and attributes, ways to emit operators of ours, and to refuse."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from simulator.graph import ops
from simulator.graph.graph import Tensor
from simulator.graph.ops import Op
from simulator.numerics.formats import BOOL, FLOAT32, Format, IntFormat
from simulator.numerics.quant import QuantParams
from workloads.importers._onnx_draft import Draft, Layout, Value
from workloads.importers._onnx_reader import RawNode


class Refused(Exception):
    """Why an operator is not supported; the importer adds its name and lists it with the others."""


@dataclass(frozen=True)
class NodeView:
    """One operator of the file, and the draft that it is added to."""

    raw: RawNode
    values: dict[str, Value]
    draft: Draft
    opset: int
    quantized: bool = False
    """Whether the network has quantized values: what stays float32 in it is for the host."""

    # ------------------------------------------------------------ inputs

    def input(self, position: int) -> Value:
        """Return a required input; ValueError where it is absent."""
        value = self.optional(position)
        if value is None:
            raise ValueError(f"{self.raw.op} without input {position}")
        return value

    def optional(self, position: int) -> Value | None:
        """Return an input, or None where it is left out."""
        name = self.raw.inputs[position] if position < len(self.raw.inputs) else ""
        return self.values[name] if name else None

    def constant(self, position: int, what: str) -> NDArray[Any]:
        """Return the values of a constant input; Refused where they are only known when the network runs."""
        value = self.input(position)
        if value.data is None:
            raise Refused(f"{what} {value.name} is not constant; only constant ones are read")
        return value.data

    def optional_constant(self, position: int, what: str) -> NDArray[Any] | None:
        """Return the values of a constant input that may be left out."""
        return None if self.optional(position) is None else self.constant(position, what)

    def ints(self, position: int, attribute: str, default: Sequence[int] | None = None) -> tuple[int, ...] | None:
        """Return whole numbers that newer operator sets take as an input, older ones as an attribute."""
        if self.optional(position) is not None:
            return tuple(int(v) for v in self.constant(position, attribute).ravel())
        found = self.attribute(attribute, default)
        return None if found is None else tuple(int(v) for v in np.ravel(found))

    # ------------------------------------------------------------ attributes

    def attribute(self, name: str, default: Any = None) -> Any:
        """Return an attribute, or the default where it is left out."""
        return self.raw.attributes.get(name, default)

    def only(self, name: str, default: Any, *allowed: Any) -> Any:
        """Return an attribute that has to be one of `allowed` (or the default); Refused otherwise."""
        value = self.attribute(name, default)
        choices = allowed or (default,)
        if value not in choices:
            raise Refused(f"attribute {name} = {value!r}; supported: {', '.join(map(repr, choices))}")
        return value

    # ------------------------------------------------------------ outputs

    def layout(self, *values: Value) -> Layout:
        """Return the layout to compute in: IMAGE where an operand of four axes is held so."""
        found = [v for v in values if v.data is None and len(v.shape) == 4 and v.layout is Layout.IMAGE]
        return Layout.IMAGE if found else Layout.FILE

    def read(self, value: Value, layout: Layout) -> str:
        """Return our tensor that holds a value in a layout."""
        if layout is Layout.IMAGE and len(value.shape) != 4:
            raise Refused(f"{value.name} has shape {list(value.shape)}; only images of two dimensions are read")
        return self.draft.read(value, layout)

    def image(self, value: Value) -> str:
        """Return our tensor [batch, height, width, channels] that holds a value; Refused where it is no image."""
        return self.read(value, Layout.IMAGE)

    def step(
        self,
        op: Op,
        inputs: Sequence[str],
        shape: tuple[int, ...],
        format: Format,
        suffix: str,
        quant: QuantParams | None = None,
    ) -> str:
        """Emit one of several operators that make up this one, and return the name of its output."""
        name = self.draft.fresh(f"{self.raw.outputs[0]}/{suffix}")
        self.draft.emit(f"{self.raw.name}/{suffix}", op, inputs, [Tensor(name, shape, format, quant)])
        return name

    def emit(
        self,
        op: Op,
        inputs: Sequence[str],
        shape: tuple[int, ...],
        format: Format,
        layout: Layout = Layout.FILE,
        quant: QuantParams | None = None,
    ) -> None:
        """Emit the operator that writes the only output. `shape` as in the file; `quant` of the tensor as it is."""
        self.emit_many(op, inputs, [shape], format, layout, quant)

    def emit_many(
        self,
        op: Op,
        inputs: Sequence[str],
        shapes: Iterable[tuple[int, ...]],
        format: Format,
        layout: Layout = Layout.FILE,
        quant: QuantParams | None = None,
    ) -> None:
        """Emit an operator with several outputs, all of one format."""
        tensors = []
        for output, shape in zip(self.raw.outputs, shapes, strict=True):
            name = self.draft.name_of(output, layout)
            tensors.append(Tensor(name, layout.shape(shape), format, quant))
            self.bind(Value(output, shape, format, quant, held={layout: name}), output)
        self.draft.emit(self.raw.name, op, inputs, tensors)

    def bind(self, value: Value, output: str | None = None) -> None:
        """Make a value the operator's output, without an operator of ours."""
        name = self.raw.outputs[0] if output is None else output
        self.values[name] = replace(value, name=name)

    def constant_tensor(self, suffix: str, data: NDArray[Any], quant: QuantParams | None = None) -> str:
        """Declare a constant of this operator's own and return its name."""
        format = format_of_dtype(data.dtype)
        name = self.draft.fresh(f"{self.raw.outputs[0]}/{suffix}")
        self.draft.tensors[name] = Tensor(name, data.shape, format, quant, np.ascontiguousarray(data))
        return name

    def reshaped(self, tensor: str, shape: tuple[int, ...], suffix: str) -> str:
        """Emit a reshape of one of our tensors unless it has that shape."""
        source = self.draft.tensors[tensor]
        if source.shape == shape:
            return tensor
        return self.step(ops.Reshape(shape), [tensor], shape, source.format, suffix, source.quant)


Converter = Callable[[NodeView], None]


def format_of_dtype(dtype: np.dtype[Any]) -> Format:
    """Return the format of a NumPy dtype; Refused where there is none."""
    if dtype == np.float32:
        return FLOAT32
    if dtype == np.bool_:
        return BOOL
    if dtype.kind in "iu":
        return IntFormat(dtype.itemsize * 8, dtype.kind == "i")
    raise Refused(f"values of type {dtype}; read are float32, bool and integers")


def axis_of(axis: int, rank: int) -> int:
    """Return an axis counted from the front; ValueError where there is none such."""
    if not -rank <= axis < rank:
        raise ValueError(f"axis {axis} of a tensor with {rank} axes")
    return axis % rank
