"""Tape: the step graph while it is written, and what each forward tensor has become in it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from simulator.graph import ops
from simulator.graph import training_ops as t
from simulator.graph.builder import GraphBuilder
from simulator.graph.graph import Graph, Node
from simulator.graph.ops import Op
from simulator.numerics.formats import INT64, IntFormat
from simulator.numerics.modes import RoundingMode
from workloads.training.config import TrainingConfig
from workloads.training.parameters import Parameter

IMAGE, LABELS, LEARNING_RATE, KEY, LOSS = "image", "labels", "learning_rate", "key", "loss"
"""Names in the step graph: image int16, labels uint8, exponent int64 [1], (seed, step) int64 [2]; loss int64 [3]."""


@dataclass(frozen=True)
class Scaled:
    """Names of an integer tensor and of its scale."""

    value: str
    scale: str


@dataclass(frozen=True)
class Normalized:
    """What a batch norm leaves for its affine map, forward and backward."""

    x_hat: Scaled
    extremes: str
    gamma: str
    beta: str
    deviation: str


@dataclass(eq=False)
class Tape:
    """Writes a step (or evaluation) graph; the rules of forward and backward call it."""

    forward: Graph
    config: TrainingConfig
    parameters: Mapping[str, Parameter]
    training: bool
    builder: GraphBuilder
    values: dict[str, Scaled] = field(default_factory=dict)
    """Forward tensor -> its integers, wide or narrow."""
    norms: dict[str, Normalized] = field(default_factory=dict)
    """Output of a batch norm -> what is kept of it."""
    layers: dict[str, tuple[Node, Scaled, Scaled]] = field(default_factory=dict)
    """Forward convolution -> (its node in the step graph, its operand, its weights)."""
    masks: dict[str, str] = field(default_factory=dict)
    """Forward tensor -> dropout mask, or position of the winner of a max pool."""
    gradients: dict[str, Scaled] = field(default_factory=dict)
    """Parameter -> its gradient, wide."""
    states: list[tuple[str, str]] = field(default_factory=list)
    """(input, output) of all that lives from step to step."""

    def __post_init__(self) -> None:
        self._errors: defaultdict[str, list[Scaled]] = defaultdict(list)
        self._narrow: dict[tuple[str, int], Scaled] = {}
        self._grids: dict[str, Scaled] = {}
        self._readers: defaultdict[str, list[Op]] = defaultdict(list)
        for node in self.forward.nodes:
            for name in filter(None, node.inputs):
                self._readers[name].append(node.op)
        self.has_norm = any(isinstance(node.op, ops.BatchNorm) for node in self.forward.nodes)
        self.trains = _trained_tensors(self.forward, self.parameters)
        self.scores = _score_tensors(self.forward)

    # ------------------------------------------------------------ what is there

    def bits(self, name: str) -> int:
        """Bits of an integer tensor."""
        format = self.builder.tensor(name).format
        assert isinstance(format, IntFormat)
        return format.bits

    def only_reader(self, tensor: str, kind: type[Op]) -> bool:
        """Whether exactly one node reads a forward tensor, and is of this kind."""
        readers = self._readers[tensor]
        return len(readers) == 1 and isinstance(readers[0], kind) and tensor not in self.forward.outputs

    # ------------------------------------------------------------ writing

    def add(self, op: Op, *inputs: str, name: str, **keywords: Any) -> str:
        """Add a node of one output."""
        return self.builder.add(op, *inputs, name=name, **keywords)

    def scaled(self, op: Op, *inputs: str, name: str, **keywords: Any) -> Scaled:
        """Add a node whose first two outputs are a tensor and its scale."""
        value, scale, *_ = self.builder.add_many(op, *inputs, name=name, **keywords)
        return Scaled(value, scale)

    def power(self, exponent: int) -> str:
        """Return the constant scale 2^exponent."""
        return self.constant(f"scale.2^{exponent}", [1, exponent])

    def constant(self, name: str, values: list[int]) -> str:
        """Return a constant of int64, declared once."""
        if name not in self._grids:
            self.builder.constant(name, np.array(values, np.int64), INT64)
            self._grids[name] = Scaled(name, name)
        return name

    def product(self, a: str, b: str, name: str) -> str:
        """Scale of products of two tensors."""
        return self.add(t.CombineScales(), a, b, name=name)

    def parameter(self, name: str) -> Scaled:
        """Return a parameter on the grid that is computed with, quantized from its master once."""
        if name not in self._grids:
            given = self.parameters[name]
            narrow = t.FixedQuantize(given.bits, given.exponent)
            value = self.add(narrow, name, self.power(given.master_exponent), name=f"{name}.q")
            self._grids[name] = Scaled(value, self.power(given.exponent))
        return self._grids[name]

    def quantize(self, x: Scaled, bits: int, name: str, *, relu: bool = False) -> Scaled:
        """Quantize by the greatest magnitude, to nearest."""
        op = t.ScaleQuantize(bits, self.config.scale, relu=relu)
        return self.scaled(op, x.value, x.scale, name=name)

    def narrow(self, tensor: str, bits: int | None = None) -> Scaled:
        """Return a forward tensor as an operand of at most `bits` bits (None: those of activations)."""
        limit = bits or self.config.activation_bits
        value = self.values[tensor]
        if self.bits(value.value) <= limit:
            return value
        if (tensor, limit) not in self._narrow:
            self._narrow[tensor, limit] = self.quantize(value, limit, f"{tensor}.a{limit}")
        return self._narrow[tensor, limit]

    # ------------------------------------------------------------ errors, against the stream

    def push(self, tensor: str, error: Scaled) -> None:
        """Note an error that flows back to a forward tensor; dropped where nothing before it is trained."""
        if tensor in self.trains:
            self._errors[tensor].append(error)

    def pull(self, tensor: str) -> Scaled | None:
        """Return the sum of all errors of a forward tensor; None where there is none."""
        errors = self._errors.pop(tensor, [])
        if not errors:
            return None
        total = errors[0]
        if len(errors) > 1:
            pairs = [name for error in errors for name in (error.value, error.scale)]
            total = self.scaled(t.AlignedAdd(), *pairs, name=f"{tensor}.error")
        if tensor in self.config.dropout:
            value = self.add(t.ReluGradient(), total.value, self.masks[tensor], name=f"{tensor}.dropped_error")
            total = Scaled(value, self.product(total.scale, self.power(1), f"{tensor}.dropped_error.scale"))
        return total

    def narrow_error(self, tensor: str, error: Scaled, bits: int) -> Scaled:
        """Quantize an error that is wider than `bits`."""
        if self.bits(error.value) <= bits:
            return error
        return self.quantize(error, bits, f"{tensor}.e{bits}")

    def stochastic(self, x: Scaled, name: str) -> Scaled:
        """Quantize a gradient (RQ), its magnitude kept or dropped."""
        config = self.config
        op = t.ScaleQuantize(
            config.gradient_bits,
            config.scale,
            RoundingMode.STOCHASTIC if config.stochastic else RoundingMode.TIES_POS,
            config.random,
            keep_scale=config.gradient_rule == "kept",
            dropped_exponent=config.dropped_exponent,
        )
        return self.scaled(op, x.value, x.scale, *([KEY] if config.stochastic else []), name=name)


def _trained_tensors(graph: Graph, parameters: Mapping[str, Parameter]) -> frozenset[str]:
    """Tensors that depend on a trained parameter."""
    found: set[str] = {name for name, parameter in parameters.items() if parameter.trained}
    for node in graph.nodes:
        if any(name in found for name in node.inputs):
            found.update(node.outputs)
    return frozenset(found)


def _score_tensors(graph: Graph) -> frozenset[str]:
    """Tensors between the last convolution and the labels."""
    makers = {name: node for node in graph.nodes for name in node.outputs}
    found: set[str] = set()
    for node in graph.nodes:
        if isinstance(node.op, ops.ArgMax):
            name = node.inputs[0]
            found.add(name)
            while name in makers and isinstance(makers[name].op, ops.ResizeBilinear):
                name = makers[name].inputs[0]
                found.add(name)
    return frozenset(found)
