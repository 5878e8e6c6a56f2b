"""Which constants of an accelerator are free to be fitted, and between which values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from typing import Any

from simulator.accelerator.spec import Accelerator
from simulator.errors import InputError, SpecError

_LATENCY = "dram.latency_cycles"
_PLAIN = ("dma.setup_cycles", _LATENCY, "vector_unit.startup_cycles")
"""Free by default: whole cycles that no data sheet tells."""


@dataclass(frozen=True)
class FreeConstant:
    """A whole-number field of the accelerator, and the least and greatest value to try."""

    key: str
    low: int
    high: int
    start: int
    """Its value before."""


def free_constants(
    accelerator: Accelerator, bounds: Mapping[str, tuple[int, int]] | None, fixed: Sequence[str] = ()
) -> tuple[FreeConstant, ...]:
    """Return the free constants.

    Parameters
    ----------
    bounds
        (least, greatest) by dotted key; None = the default: setup, latency and start-up cycles, and the latencies of a
        controller, each from 0 (or 1) to ten times what it is, and 100 at least.
    fixed
        Keys that rows give themselves; those are not free.

    Raises
    ------
    InputError
        A key that is no whole number of this accelerator, empty bounds, or nothing free.

    """
    data = accelerator.model_dump()
    chosen = dict(bounds) if bounds is not None else {key: None for key in _default_keys(accelerator)}
    found = []
    for key, span in chosen.items():
        if key in fixed:
            continue
        start = accelerator.dram_latency_cycles if key == _LATENCY else _value(data, key)
        if isinstance(start, bool) or not isinstance(start, int):
            raise InputError(f"{accelerator.name}: {key} is {start!r}, no whole number; only those can be fitted")
        low, high = span or (_least(accelerator, key), max(100, 10 * start))
        if low > high:
            raise InputError(f"{key}: from {low} to {high} there is nothing")
        found.append(FreeConstant(key, low, high, min(max(start, low), high)))
    if not found:
        raise InputError(f"{accelerator.name}: nothing is free; name constants, e.g. dma.setup_cycles=0..200")
    return tuple(found)


def _default_keys(accelerator: Accelerator) -> list[str]:
    if accelerator.controller is None:
        return list(_PLAIN)
    cycles = [name for name in type(accelerator.controller).model_fields if name.endswith("_cycles")]
    return [f"controller.{name}" for name in cycles]


def _value(data: Mapping[str, Any], key: str) -> Any:
    def inner(node: Any, part: str) -> Any:
        if not isinstance(node, Mapping) or part not in node:
            raise InputError(f"{key}: the accelerator has no such field")
        return node[part]

    return reduce(inner, key.split("."), data)


def _least(accelerator: Accelerator, key: str) -> int:
    """Least value that the specification takes: 0, or 1."""
    try:
        accelerator.evolve({key: 0})
    except SpecError:
        return 1
    return 0
