"""StorePath: what a device does to results on their way from accumulator memory to DRAM."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

from pydantic import BeforeValidator, Field

from simulator.accelerator.base import Spec
from simulator.accelerator.units import parse_bytes


class Pools(StrEnum):
    """Pools that the store path does. No choice changes a value."""

    NONE = "none"
    """None: every pool is a layer of the vector unit."""
    MAX = "max"
    """Max pools of what a layer on the array has just computed."""
    MAX_AND_AVERAGE = "max_and_average"
    """Average pools too."""


class StorePath(Spec):
    """Steps between accumulator memory and DRAM. The requantizer and its clamp are on every device's."""

    pools: Pools = Pools.NONE
    """none, max or max_and_average: pools done there, so that what they read is never stored."""
    pool_buffer: Annotated[int, BeforeValidator(parse_bytes), Field(ge=0)] = 0
    """Bytes for pool windows that lie in several tiles; 0 = every window lies in one."""


class Concatenations(StrEnum):
    """How inputs of equal scale are joined. No choice changes a value."""

    COPIED = "copied"
    """The DMA reads them and writes the result."""
    IN_PLACE = "in_place"
    """Layers write them where the result has them, by descriptors with a stride, where that takes no longer."""
