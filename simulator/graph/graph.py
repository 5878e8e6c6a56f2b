"""Tensor, Node and Graph: one representation for float, quantized and training networks."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from math import prod
from typing import Any

from numpy.typing import NDArray

from simulator.errors import NetworkError
from simulator.graph.ops import Op
from simulator.numerics.formats import Format, storage_bytes
from simulator.numerics.quant import QuantParams


@dataclass(frozen=True, eq=False)
class Tensor:
    """A value of the network: an input, an output, an intermediate, or a constant."""

    name: str
    shape: tuple[int, ...]
    format: Format
    quant: QuantParams | None = None
    """Scale and zero point; None for plain integers and floats."""
    data: NDArray[Any] | None = None
    """The constant's values, dtype `format.dtype`, or None."""
    placeholder: bool = False
    """A constant whose values are not given (a weightless network): enough for shapes and time."""

    def __post_init__(self) -> None:
        if self.data is not None and tuple(self.data.shape) != self.shape:
            raise NetworkError(f"tensor {self.name}: data of shape {self.data.shape}, declared {self.shape}")

    @property
    def elements(self) -> int:
        """Number of values."""
        return prod(self.shape)

    @property
    def bytes(self) -> int:
        """Size in memory, bytes."""
        return storage_bytes(self.format, self.elements)

    @property
    def is_constant(self) -> bool:
        """Whether the values are part of the network."""
        return self.data is not None or self.placeholder

    @property
    def scale(self) -> float:
        """Per-tensor scale; NetworkError where there is none."""
        return self._single().scale[0]

    @property
    def zero_point(self) -> int:
        """Per-tensor zero point; 0 where the tensor is not quantized."""
        return 0 if self.quant is None else self._single().zero_point[0]

    def _single(self) -> QuantParams:
        if self.quant is None:
            raise NetworkError(f"tensor {self.name} ({self.format}) has no quantization parameters")
        if len(self.quant.scale) != 1:
            raise NetworkError(f"tensor {self.name} is quantized per channel where one scale is needed")
        return self.quant


@dataclass(frozen=True)
class Node:
    """One operator applied to named tensors. An absent optional input is ''."""

    name: str
    op: Op
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class Graph:
    """A network: nodes in topological order, each tensor assigned once."""

    name: str
    tensors: Mapping[str, Tensor]
    nodes: tuple[Node, ...]
    inputs: tuple[str, ...]
    """Names of the inputs, in the file's order."""
    outputs: tuple[str, ...]
    """Names of the outputs, in the file's order."""
    notes: tuple[str, ...] = field(default=())
    """What an importer or quantizer wants the user to know, e.g. recognised space-to-batch groups."""
    state: tuple[tuple[str, str], ...] = ()
    """(input, output): on the next run the input takes the value that the output had, e.g. weights in training."""

    def __post_init__(self) -> None:
        known = set(self.inputs) | {t.name for t in self.tensors.values() if t.is_constant}
        for node in self.nodes:
            for name in filter(None, node.inputs):
                if name not in known:
                    raise NetworkError(f"{self.name}: node {node.name} reads tensor {name!r} before anything writes it")
            for name in node.outputs:
                if name in known:
                    raise NetworkError(
                        f"{self.name}: node {node.name} writes tensor {name!r}, which already has a value"
                    )
                known.add(name)
        missing = [name for name in self.outputs if name not in known]
        if missing:
            raise NetworkError(f"{self.name}: nothing writes output {missing[0]!r}")
        self._check_state()
        absent = known - set(self.tensors)
        if absent:
            raise NetworkError(f"{self.name}: tensor {sorted(absent)[0]!r} is used but not declared")

    def _check_state(self) -> None:
        for source, target in self.state:
            if source not in self.inputs or target not in self.outputs:
                raise NetworkError(f"{self.name}: state {source!r} <- {target!r} is no pair of an input and an output")
            before, after = self.tensors[source], self.tensors[target]
            if (before.shape, before.format) != (after.shape, after.format):
                raise NetworkError(
                    f"{self.name}: state {source} is {before.format} {before.shape}, its new value {target} "
                    f"{after.format} {after.shape}"
                )

    def tensors_of(self, names: Iterable[str]) -> tuple[Tensor | None, ...]:
        """Tensors by name; None for an absent optional input ('')."""
        return tuple(self.tensors[name] if name else None for name in names)

    @property
    def input_tensors(self) -> tuple[Tensor, ...]:
        """Input tensors in the file's order."""
        return tuple(self.tensors[name] for name in self.inputs)

    @property
    def output_tensors(self) -> tuple[Tensor, ...]:
        """Output tensors in the file's order."""
        return tuple(self.tensors[name] for name in self.outputs)
