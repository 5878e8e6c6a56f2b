"""The parameters of a network in training: which constants they are, and on which grids."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from simulator.graph import ops
from simulator.graph.graph import Graph
from workloads.training.config import TrainingConfig

BIAS_BITS = 16
"""Of a bias where it is added."""
_BIAS_EXPONENT = -11
"""Biases reach +-16: those of VGG16 exceed 5."""


class Role(StrEnum):
    """What a parameter does."""

    WEIGHT = "weight"
    BIAS = "bias"
    GAMMA = "gamma"
    BETA = "beta"


@dataclass(frozen=True)
class Parameter:
    """A constant of the forward graph that training holds as a master copy."""

    name: str
    """Of the constant in the forward graph, and of its master copy in the step graph."""
    shape: tuple[int, ...]
    role: Role
    bits: int
    """Of the copy that is computed with."""
    exponent: int
    """Step of that copy, 2^exponent."""
    master_bits: int
    master_exponent: int
    """Step of the master copy."""
    trained: bool
    """False: given at every step, never updated."""

    @property
    def master_limit(self) -> int:
        """Greatest magnitude of the master copy, in its steps."""
        return (1 << (self.master_bits - 1)) - 1


def find_parameters(
    graph: Graph, config: TrainingConfig, weight_shifts: Mapping[str, int] | None = None
) -> dict[str, Parameter]:
    """Return the parameters of a forward graph by name, in the order of their first use.

    Parameters
    ----------
    graph
        A float network.
    config
        Widths, and what is frozen.
    weight_shifts
        Weights by name that lie in +-2^-shift: their grids are as much finer. 0 where a name is absent (the paper).

    """
    found: dict[str, Parameter] = {}
    for node in graph.nodes:
        for name, role in _roles(node.op, node.inputs):
            if name and name not in found:
                shift = (weight_shifts or {}).get(name, 0) if role is Role.WEIGHT else 0
                found[name] = _parameter(graph, name, role, config, shift)
    return found


def _roles(op: ops.Op, inputs: tuple[str, ...]) -> tuple[tuple[str, Role], ...]:
    if isinstance(op, ops.Conv2D | ops.TransposeConv2D):
        return tuple(zip(inputs[1:], (Role.WEIGHT, Role.BIAS), strict=False))
    if isinstance(op, ops.BatchNorm):
        return (inputs[1], Role.GAMMA), (inputs[2], Role.BETA)
    return ()


def _parameter(graph: Graph, name: str, role: Role, config: TrainingConfig, shift: int) -> Parameter:
    update = config.update_bits
    bits, exponent, master_exponent = {
        Role.WEIGHT: (config.weight_bits, 1 - config.weight_bits - shift, 1 - update - shift),
        Role.BIAS: (BIAS_BITS, _BIAS_EXPONENT, 5 - update),
        Role.GAMMA: (config.affine_bits, 2 - config.affine_bits, 2 - update),
        Role.BETA: (config.affine_bits, 2 - config.affine_bits, 2 - update),
    }[role]
    trained = not name.startswith(config.frozen) if config.frozen else True
    return Parameter(name, graph.tensors[name].shape, role, bits, exponent, update, master_exponent, trained)
