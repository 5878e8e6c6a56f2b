"""Every error that bittrue raises on purpose. Each message names the place, the value, and what would work."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


class BittrueError(Exception):
    """Base class: catch this to catch every deliberate refusal of bittrue."""


class SpecError(BittrueError):
    """An accelerator, energy table or option that cannot be used as written."""


class NetworkError(BittrueError):
    """A network file or graph that is damaged, inconsistent, or not ready for what was asked."""


class PluginError(BittrueError):
    """A plugin that cannot be used; names it and its distribution."""


class InputError(BittrueError):
    """Input data whose name, shape, dtype or file does not suit the network."""


@dataclass(frozen=True)
class Unsupported:
    """One node that cannot be run, and why."""

    node: str
    """Name of the node in the network's file."""
    op: str
    """Operator name in the words of the file's format."""
    reason: str
    """What is not supported, with the offending value."""

    def __str__(self) -> str:
        return f"{self.node} ({self.op}): {self.reason}"


class UnsupportedOp(NetworkError):
    """One or more nodes that the simulator does not execute; lists every one of them."""

    def __init__(self, problems: Sequence[Unsupported], network: str = "network") -> None:
        self.problems = tuple(problems)
        lines = "\n".join(f"  {problem}" for problem in self.problems)
        noun = "node is" if len(self.problems) == 1 else "nodes are"
        super().__init__(f"{network}: {len(self.problems)} {noun} not supported:\n{lines}")


class DoesNotFit(SpecError):
    """A layer that no tiling can fit into the accelerator's memories."""

    def __init__(
        self, layer: str, resource: str, needed_bytes: int, available_bytes: int, levers: Sequence[str]
    ) -> None:
        self.layer = layer
        self.resource = resource
        self.needed_bytes = needed_bytes
        self.available_bytes = available_bytes
        self.levers = tuple(levers)
        options = "\n".join(f"  {lever}" for lever in self.levers)
        super().__init__(
            f"layer {layer}: the smallest tile needs {needed_bytes} bytes of {resource}, which has {available_bytes} "
            f"({needed_bytes - available_bytes} short). Any of these would fit it:\n{options}"
        )


class ScheduleError(BittrueError):
    """A schedule that the machine cannot run, or whose times it cannot count."""


class OverflowTrap(BittrueError):
    """An overflow in a register whose mode is TRAP."""

    def __init__(self, layer: str, output: int, k: int, register: str, bits: int) -> None:
        self.layer = layer
        self.output = output
        self.k = k
        self.register = register
        self.bits = bits
        super().__init__(
            f"layer {layer}: the {bits}-bit {register} overflowed at output {output} (flat NHWC index), k = {k}; "
            f"its overflow mode is trap. Widen it (arithmetic.{register}.bits) or use wrap or saturate."
        )


class RunFolderError(BittrueError):
    """A run folder that cannot be read, or that cannot be written where it was asked for."""
