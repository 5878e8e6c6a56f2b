"""What an executor is given besides the layer, and what it gives back."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from numpy.typing import NDArray

from simulator.execution.array_weights import Weights
from simulator.graph.ops import Op
from simulator.lowering.layer import Layer
from simulator.records.activity import ActivityRecord
from simulator.records.channel_ledger import ChannelLedger
from simulator.records.overflow import OverflowRecord

if TYPE_CHECKING:
    from simulator.execution.array_repeat import Repeat


@dataclass(frozen=True)
class ExecutionContext:
    """Options of a run that reach the executors."""

    exact_ledger: bool = False
    """Measure needed_bits on every array layer (step by step) instead of bounding it."""
    channel_ledger: bool = False
    """Keep a ledger of every output channel too (step by step)."""
    event_counts: bool = True
    """Count the events of layers that have some; else their outputs alone."""
    activity: bool = False
    """Count zero operands and toggled bits of every array layer."""
    seed: int = 0
    """Seed of stochastic rounding."""
    step: int = 0
    """Step counter of stochastic rounding."""
    weights: dict[Hashable, Weights] = field(default_factory=dict, compare=False, repr=False)
    """Constant weights in kernel layout, kept from run to run."""
    repeats: dict[int, Repeat] = field(default_factory=dict, compare=False, repr=False)
    """How layers ran, by identity, likewise: see `array_repeat`."""

    def __getstate__(self) -> dict[str, Any]:
        # What is kept holds addresses of kernels and knows layers by identity, which are this process's own.
        return {**vars(self), "weights": {}, "repeats": {}}

    @property
    def is_plain(self) -> bool:
        """Whether nothing is asked of a layer but its outputs and its ledger's bounds."""
        return not (self.exact_ledger or self.channel_ledger or self.activity)


@dataclass(frozen=True)
class LayerResult:
    """Output arrays of a layer in the order of layer.outputs, its ledger, and that of its channels where asked for."""

    outputs: tuple[NDArray[Any], ...]
    overflow: OverflowRecord = OverflowRecord()
    channels: ChannelLedger | None = None
    activity: ActivityRecord | None = None
    """Where asked for, on the array."""


Executor = Callable[[Layer, Sequence[NDArray[Any] | None], ExecutionContext], LayerResult]
"""(layer, arrays in the order of layer.inputs, context) -> result. Constants are among the arrays."""

ExecutorTable = Mapping[type[Op], Executor]
"""What each family module of this package exports as EXECUTORS."""
