"""The graph while it is imported: each value of the file, and the tensors of ours that hold it.

The file's images are [batch, channels, height, width], ours [batch, height, width, channels]. A value of four axes
may be held in either layout, or both; an operator asks for the one it needs, and a transposition is made once.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from enum import Enum
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from simulator.errors import NetworkError
from simulator.graph import ops
from simulator.graph.graph import Node, Tensor
from simulator.graph.ops import Op
from simulator.graph.shapes import infer_shapes
from simulator.numerics.formats import Format
from simulator.numerics.quant import QuantParams

TO_IMAGE = (0, 2, 3, 1)
TO_FILE = (0, 3, 1, 2)
_IMAGE_AXIS = (0, 3, 1, 2)
"""Our axis of each axis of the file."""


class Layout(Enum):
    """Order of a value's axes."""

    FILE = "as in the file"
    IMAGE = "[batch, height, width, channels]"

    def shape(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """Return the shape of a value that has `shape` in the file."""
        return shape if self is Layout.FILE else tuple(shape[axis] for axis in TO_IMAGE)

    def axis(self, axis: int) -> int:
        """Return where axis `axis` of the file is; not negative."""
        return axis if self is Layout.FILE else _IMAGE_AXIS[axis]


@dataclass(frozen=True)
class Value:
    """A value of the file."""

    name: str
    shape: tuple[int, ...]
    """As in the file."""
    format: Format
    quant: QuantParams | None = None
    """Axis of per-channel parameters as in the file."""
    data: NDArray[Any] | None = None
    """Where it is known now, as in the file."""
    held: dict[Layout, str] = field(default_factory=dict)
    """Our tensors that hold it."""

    @property
    def layout(self) -> Layout:
        """A layout in which it is held, IMAGE if in both."""
        return Layout.IMAGE if Layout.IMAGE in self.held else Layout.FILE


@dataclass
class Draft:
    """Tensors and nodes of the graph so far."""

    outputs: frozenset[str]
    """Names of the network's outputs, kept for the tensors in the file's layout."""
    tensors: dict[str, Tensor] = field(default_factory=dict)
    nodes: list[Node] = field(default_factory=list)
    constants: dict[tuple[str, Layout, QuantParams | None, tuple[int, ...]], str] = field(default_factory=dict)
    node_names: set[str] = field(default_factory=set)
    reserved: set[str] = field(default_factory=set)
    """Names of the file's values: none of ours may take one."""

    def read(self, value: Value, layout: Layout) -> str:
        """Return our tensor that holds a value in a layout; made now where there is none."""
        if value.data is not None:
            return self.constant(value, layout)
        if layout not in value.held:
            (other,) = value.held
            value.held[layout] = self._turn(value, other, layout)
        return value.held[layout]

    def constant(self, value: Value, layout: Layout) -> str:
        """Declare a constant in a layout and return its name."""
        assert value.data is not None
        key = (value.name, layout, value.quant, value.shape)
        if key not in self.constants:
            image = layout is Layout.IMAGE
            data = np.ascontiguousarray(value.data.transpose(TO_IMAGE) if image else value.data, value.format.dtype)
            data = data.reshape(layout.shape(value.shape))
            quant = turned(value.quant, layout)
            name = value.name if value.name not in self.tensors else self.fresh(f"{value.name}/constant")
            self.tensors[name] = Tensor(name, data.shape, value.format, quant, data)
            self.constants[key] = name
        return self.constants[key]

    def emit(self, node: str, op: Op, inputs: Sequence[str], outputs: Sequence[Tensor]) -> None:
        """Add an operator; NetworkError where its outputs do not have the shapes that it gives."""
        shapes = infer_shapes(op, [self.tensors[name].shape if name else None for name in inputs])
        declared = tuple(tensor.shape for tensor in outputs)
        if shapes != declared:
            raise NetworkError(f"{op.kind} gives {shapes} where {declared} is expected")
        for tensor in outputs:
            if tensor.name in self.tensors:
                raise NetworkError(f"two operators write {tensor.name}")
            self.tensors[tensor.name] = tensor
        self.nodes.append(Node(self._node_name(node), op, tuple(inputs), tuple(tensor.name for tensor in outputs)))

    def name_of(self, output: str, layout: Layout) -> str:
        """Return the name of the tensor that an operator writes for a value of the file."""
        if layout is Layout.IMAGE and output in self.outputs:
            return self.fresh(f"{output}/nhwc")
        return output

    def fresh(self, name: str) -> str:
        """Return `name`, lengthened until no tensor has it."""
        while name in self.tensors or name in self.reserved:
            name += "_"
        return name

    def finish(self, value: Value, name: str) -> None:
        """Make the tensor of a network's output: in the file's layout and by its name."""
        if Layout.FILE not in value.held and value.data is None:
            value.held[Layout.FILE] = self._turn(value, Layout.IMAGE, Layout.FILE, name)
        source = self.read(value, Layout.FILE)
        if source != name:
            copy = replace(self.tensors[source], name=name, data=None)
            self.emit(f"{name}/copy", ops.Reshape(value.shape), [source], [copy])

    def _turn(self, value: Value, source: Layout, target: Layout, name: str = "") -> str:
        shape, tensor = target.shape(value.shape), self.tensors[value.held[source]]
        suffix = "nhwc" if target is Layout.IMAGE else "nchw"
        output = name or self.fresh(f"{value.name}/{suffix}")
        # One channel, or one pixel: the same bytes in both layouts.
        same = value.shape[1] == 1 or prod(value.shape[2:]) == 1
        op = ops.Reshape(shape) if same else ops.Transpose(TO_IMAGE if target is Layout.IMAGE else TO_FILE)
        result = Tensor(output, shape, tensor.format, turned(value.quant, target))
        self.emit(f"{value.name}/{suffix}", op, [tensor.name], [result])
        return output

    def _node_name(self, name: str) -> str:
        while name in self.node_names:
            name += "_"
        self.node_names.add(name)
        return name


def turned(quant: QuantParams | None, layout: Layout) -> QuantParams | None:
    """Return parameters stated for the file's axes as those of a tensor in a layout."""
    if quant is None or quant.axis is None:
        return quant
    return replace(quant, axis=layout.axis(quant.axis))
