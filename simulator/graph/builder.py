"""GraphBuilder: networks written by hand, one operator after another."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from simulator.errors import NetworkError
from simulator.graph import ops
from simulator.graph.graph import Graph, Node, Tensor
from simulator.graph.ops import Op
from simulator.graph.shapes import infer_shapes
from simulator.graph.training_ops import TrainingOp
from simulator.graph.training_shapes import training_formats
from simulator.numerics.formats import FLOAT32, INT8, INT32, Format, IntFormat, parse_format
from simulator.numerics.quant import QuantParams

_RESCALES: tuple[type[Op], ...] = (
    *(ops.Conv2D, ops.TransposeConv2D, ops.FullyConnected),
    *(ops.Add, ops.Sub, ops.Mul, ops.PRelu, ops.Logistic, ops.Tanh, ops.Softmax),
)
"""Operators whose output scale no input decides: it must be given, not guessed."""


class GraphBuilder:
    """Build a Graph: declare inputs and constants, add operators, then `build`.

    Every method that makes a tensor returns its name, which is what later calls take::

        b = GraphBuilder("tiny")
        x = b.input("image", (1, 8, 8, 3), INT8, QuantParams.per_tensor(1 / 128))
        w = b.constant("filters", np.ones((4, 3, 3, 3), np.int8), quant=QuantParams.per_tensor(0.5))
        y = b.add(Conv2D(), x, w, name="conv", quant=QuantParams.per_tensor(0.25))
        graph = b.build(outputs=[y])
    """

    def __init__(self, name: str = "network") -> None:
        self.name = name
        self._tensors: dict[str, Tensor] = {}
        self._nodes: list[Node] = []
        self._inputs: list[str] = []
        self._outputs: list[str] = []

    def input(
        self, name: str, shape: Iterable[int], format: Format | str = INT8, quant: QuantParams | None = None
    ) -> str:
        """Declare an input of the network and return its name."""
        self._inputs.append(self._declare(Tensor(name, _shape(name, shape), _format(format), quant)))
        return name

    def constant(
        self, name: str, data: ArrayLike, format: Format | str | None = None, quant: QuantParams | None = None
    ) -> str:
        """Declare a constant and return its name.

        Parameters
        ----------
        name
            A name no other tensor has.
        data
            The values; must fit the format.
        format
            None = that of the array's dtype (bool, float32 or an integer).
        quant
            Scale and zero point; None for plain numbers.

        Raises
        ------
        NetworkError
            A name twice, a dtype no format has, or a value the format does not hold.

        """
        values = np.asarray(data)
        chosen = _format_of(name, values) if format is None else _format(format)
        return self._declare(Tensor(name, values.shape, chosen, quant, _stored(name, values, chosen)))

    def placeholder(
        self, name: str, shape: Iterable[int], format: Format | str, quant: QuantParams | None = None
    ) -> str:
        """Declare a constant without values (a weightless network: shapes and time only) and return its name."""
        return self._declare(Tensor(name, _shape(name, shape), _format(format), quant, placeholder=True))

    def add(
        self,
        op: Op,
        *inputs: str | None,
        name: str | None = None,
        format: Format | str | None = None,
        quant: QuantParams | None = None,
    ) -> str:
        """Apply an operator with one output and return the output's name.

        Parameters
        ----------
        op
            The operator.
        inputs
            Names of its inputs in the operator's order; None for an absent optional one.
        name
            Name of the node and of its output; None = the operator's name and a number.
        format, quant
            Of the output; None = those of the first input, except where the operator decides (ArgMax and raw
            accumulators are int32, Dequantize gives float32, operators of training say theirs).

        Raises
        ------
        NetworkError
            Unknown inputs, shapes that do not suit, or a quantized output whose scale has to be given.

        """
        outputs = self.add_many(op, *inputs, name=name, format=format, quant=quant)
        if len(outputs) != 1:
            raise NetworkError(f"{op.kind} has {len(outputs)} outputs here: use add_many")
        return outputs[0]

    def add_many(
        self,
        op: Op,
        *inputs: str | None,
        name: str | None = None,
        format: Format | str | None = None,
        quant: QuantParams | None = None,
    ) -> tuple[str, ...]:
        """Apply an operator and return the names of all its outputs: `name`, or `name:0`, `name:1` ... of several."""
        node_name = name or self._unused(op.kind.lower())
        tensors = [self._known(node_name, given) for given in inputs]
        try:
            shapes = infer_shapes(op, [None if tensor is None else tensor.shape for tensor in tensors])
        except NetworkError as error:
            raise NetworkError(f"{self.name}: node {node_name}: {error}") from None
        first = next((tensor for tensor in tensors if tensor is not None), None)
        wanted = None if format is None else _format(format)
        if isinstance(op, TrainingOp):
            formats = training_formats(op, [None if tensor is None else tensor.format for tensor in tensors], wanted)
            chosen: list[tuple[Format, QuantParams | None]] = [(given, None) for given in formats]
        else:
            chosen = [self._output_type(node_name, op, first, wanted, quant)] * len(shapes)
        names = [node_name] if len(shapes) == 1 else [f"{node_name}:{index}" for index in range(len(shapes))]
        for output, shape, kind in zip(names, shapes, chosen, strict=True):
            self._declare(Tensor(output, shape, *kind))
        self._nodes.append(Node(node_name, op, tuple(given or "" for given in inputs), tuple(names)))
        return tuple(names)

    def output(self, name: str) -> str:
        """Make a tensor an output of the network."""
        self._known("output", name)
        self._outputs.append(name)
        return name

    def shape(self, name: str) -> tuple[int, ...]:
        """Return the shape of a tensor declared so far."""
        return self.tensor(name).shape

    def tensor(self, name: str) -> Tensor:
        """Return a tensor declared so far."""
        tensor = self._known("tensor", name)
        assert tensor is not None
        return tensor

    def build(
        self,
        outputs: Iterable[str] | None = None,
        notes: Iterable[str] = (),
        state: Iterable[tuple[str, str]] = (),
    ) -> Graph:
        """Return the graph.

        Parameters
        ----------
        outputs
            Names of the outputs; None = those marked with `output`, or else what the last node writes.
        notes
            What a user of the network should know.
        state
            (input, output) of what a run hands on to the next.

        Raises
        ------
        NetworkError
            No node, or an output that nothing writes.

        """
        if not self._nodes:
            raise NetworkError(f"{self.name}: the network has no operator; add one")
        chosen = tuple(outputs) if outputs is not None else tuple(self._outputs) or self._nodes[-1].outputs
        inputs, nodes = tuple(self._inputs), tuple(self._nodes)
        return Graph(self.name, dict(self._tensors), nodes, inputs, chosen, tuple(notes), tuple(state))

    def _declare(self, tensor: Tensor) -> str:
        if not tensor.name or tensor.name in self._tensors:
            raise NetworkError(f"{self.name}: tensor name {tensor.name!r} is empty or taken; choose another")
        self._tensors[tensor.name] = tensor
        return tensor.name

    def _known(self, node: str, name: str | None) -> Tensor | None:
        if not name:
            return None
        if name not in self._tensors:
            raise NetworkError(f"{self.name}: node {node} reads {name!r}, which is not declared")
        return self._tensors[name]

    def _unused(self, kind: str) -> str:
        number = len(self._nodes)
        while f"{kind}_{number}" in self._tensors:
            number += 1
        return f"{kind}_{number}"

    def _output_type(
        self, node: str, op: Op, first: Tensor | None, format: Format | None, quant: QuantParams | None
    ) -> tuple[Format, QuantParams | None]:
        if isinstance(op, ops.ArgMax) or getattr(op, "raw_accumulator", False):
            return format or INT32, quant
        if isinstance(op, ops.Dequantize):
            return FLOAT32, None
        if isinstance(op, ops.Cast | ops.Quantize) and format is None:
            raise NetworkError(f"{self.name}: node {node} ({op.kind}) changes the format: give format=")
        if quant is None and isinstance(op, _RESCALES) and first is not None and first.quant is not None:
            raise NetworkError(f"{self.name}: node {node} ({op.kind}) rescales its output: give quant=")
        inherited = first.quant if first is not None and not isinstance(op, ops.Cast) else None
        chosen = format or (first.format if first is not None else FLOAT32)
        return chosen, (quant or inherited) if isinstance(chosen, IntFormat) else None


def _shape(name: str, shape: Iterable[int]) -> tuple[int, ...]:
    sizes = tuple(int(size) for size in shape)
    if any(size < 1 for size in sizes):
        raise NetworkError(f"tensor {name}: sizes are at least 1, not {sizes}")
    return sizes


def _format(format: Format | str) -> Format:
    if not isinstance(format, str):
        return format
    try:
        return parse_format(format)
    except ValueError as error:
        raise NetworkError(str(error)) from None


def _format_of(name: str, values: NDArray[Any]) -> Format:
    try:
        return parse_format(values.dtype.name)
    except ValueError:
        raise NetworkError(f"constant {name}: no format has dtype {values.dtype}; give format=") from None


def _stored(name: str, values: NDArray[Any], format: Format) -> NDArray[Any]:
    if isinstance(format, IntFormat):
        whole = values.dtype.kind in "iub"
        if not whole or (values.size and (int(values.min()) < format.min or int(values.max()) > format.max)):
            raise NetworkError(f"constant {name}: values of dtype {values.dtype} do not fit {format}")
    return np.ascontiguousarray(values, format.dtype).reshape(values.shape)
