"""The shape of a lowering function; each family module of this package exports a table of them as LOWERERS."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from simulator.accelerator.spec import Accelerator
from simulator.graph.graph import Node, Tensor
from simulator.graph.ops import Op
from simulator.lowering.layer import Layer

Lowerer = Callable[[Node, tuple[Tensor | None, ...], tuple[Tensor, ...], Accelerator], Layer]
"""(node, inputs, outputs, accelerator) -> layer. Raises NetworkError or UnsupportedOp, naming the node."""

LowererTable = Mapping[type[Op], Lowerer]
