"""On-chip memories of an accelerator."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

from pydantic import BeforeValidator, Field

from simulator.accelerator.base import Spec
from simulator.accelerator.units import parse_bytes

Bytes = Annotated[int, BeforeValidator(parse_bytes), Field(gt=0)]


class Memory(Spec):
    """An on-chip memory."""

    size: Bytes
    """Capacity, bytes."""
    banks: int = Field(default=1, ge=1)
    """Independent banks."""
    width_bits: int = Field(default=64, ge=8)
    """Width of one access, bits."""


class BankConflicts(StrEnum):
    """Whether pixels wait for banks of the input scratchpad. No choice changes a value."""

    IGNORED = "ignored"
    """Every row of the array has its activation in every cycle."""
    COUNTED = "counted"
    """Rows that want different words of one bank wait for each other."""


class InputScratchpad(Memory):
    """The scratchpad of activations."""

    bank_conflicts: BankConflicts = BankConflicts.IGNORED
    """ignored: activations arrive at full rate; counted: a pixel waits until each of the array's rows has its
    activation, of which a bank gives a word of `width_bits` a cycle. Weight stationary, layers without groups."""


class Memories(Spec):
    """On-chip memories. Both scratchpads are double-buffered: a tile may use half of one."""

    input_scratchpad: InputScratchpad
    """Activations on their way to the array."""
    weight_scratchpad: Memory
    """Weights (and biases) on their way to the array."""
    accumulator: Memory
    """Accumulators of a weight-stationary array; drain buffer of an output-stationary one. Double-buffered too."""
