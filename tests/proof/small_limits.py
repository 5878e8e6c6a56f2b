"""Limits of the product drawn small, so that small layers go the ways of large ones.

None decides a value: they say what fits a cache, when a thread or a kernel pays, how K is cut.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from types import ModuleType
from typing import Any
from unittest.mock import patch

import numpy as np

from proof.wild import pick
from simulator.execution import (
    array_filling,
    array_guarded,
    array_image,
    array_parts,
    array_tiles,
    array_watched,
    array_wide,
)
from simulator.kernels.dot_tile import GROUP_BYTES
from simulator.kernels.isa import INSTRUCTION_SETS

_PANEL_GROUPS = (2, 6, 14)
"""Groups of K of a panel's weights that a cache is said to hold."""
LIMITS: tuple[tuple[ModuleType, str, tuple[Any, ...]], ...] = (
    (array_filling, "_BYTES_WORTH_A_THREAD", (1, 300)),
    (array_filling, "_STREAMED_BYTES", (1,)),
    (array_tiles, "STREAMED_BYTES", (1,)),
    (array_tiles, "_LEAST_PIXELS", (1, 7)),
    (array_tiles, "_NEAR_BYTES", (0, 1 << 30)),
    (array_tiles, "_MOST_HEAVY", (0.0, 1.0)),
    (array_guarded, "_BLOCK", (2, 3, 8)),
    (array_guarded, "_LONG_BLOCK", (6, 17, 64)),
    (array_guarded, "_FLAG_BLOCK", (2, 5, 33)),
    (array_guarded, "_PROVED_BLOCK", (5, 40)),
    (array_guarded, "_WEIGHT_BYTES", (1, 1000)),
    (array_watched, "_CHUNK_K", ((32, 16, 8), (8,))),
    (array_watched, "_ROOM", (1, 64)),
    (array_wide, "_FILTERS_APART", (1, 1000)),
    (array_parts, "_LIMIT", (1 << 24,)),
)


@contextmanager
def small_limits(rng: np.random.Generator) -> Iterator[None]:
    """Draw some of the limits small meanwhile."""
    with ExitStack() as stack:
        for module, name, values in LIMITS:
            if rng.random() < 0.4:
                stack.enter_context(patch.object(module, name, pick(rng, *values)))
        if rng.random() < 0.5:
            groups = pick(rng, *_PANEL_GROUPS)
            sets = {
                name: replace(isa, weight_bytes=groups * GROUP_BYTES * isa.channels)
                for name, isa in INSTRUCTION_SETS.items()
            }
            stack.enter_context(patch.dict(INSTRUCTION_SETS, sets))
            stack.enter_context(patch.object(array_image, "_WHOLE_K", groups * GROUP_BYTES))
        yield
