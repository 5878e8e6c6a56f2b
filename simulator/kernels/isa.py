"""Instruction sets that vector kernels are written for, and which of them this machine has.

An instruction that the CPU lacks is a fatal error inside LLVM, no exception: so a set is used only where Numba's code
generator lists its features. `BITTRUE_ISA` forces one; the bits never depend on it.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

from numba import config

PLAIN = "plain"
"""Loops that run wherever Numba does."""
VARIABLE = "BITTRUE_ISA"


@dataclass(frozen=True)
class InstructionSet:
    """Vector instructions, and the register tile that suits their register file."""

    name: str
    features: tuple[str, ...]
    """What LLVM calls them."""
    lanes: int
    """int32 lanes of a vector."""
    vectors: int
    """Vectors side by side in the register tile: lanes * vectors output channels."""
    weight_bytes: int
    """Weights of a panel that are kept in the cache while pixels pass over them."""
    has_byte_dot: bool
    """Whether four products of bytes are added to a lane in one instruction (vpdpbusd)."""
    has_pair_dot: bool
    """Whether two products of int16 are added to a lane in one instruction, saturating or not (vpdpwssd, vpdpwssds)."""
    emulated: bool = False
    """Whether its instructions are spelled out in plain IR, for tests on machines that lack them."""

    @property
    def identifier(self) -> str:
        """Name and width of the panels as part of a function's name."""
        return f"{self.name.replace('-', '_')}_{self.vectors}"

    @property
    def channels(self) -> int:
        """Output channels of a panel."""
        return self.lanes * self.vectors

    @cache  # noqa: B019 - there are few
    def fitted(self, filters: int) -> InstructionSet:
        """Return it with the panels that take least time for some output channels: narrower ones leave fewer spare.

        A group of K of a tile of v vectors takes TILE_ROWS * v dot products and TILE_ROWS + v loads, two of either at
        once. Narrow panels cost more around the tiles, so they must save a twentieth of that at least.
        """

        def half_cycles(vectors: int) -> int:
            return -(-filters // (self.lanes * vectors)) * max(TILE_ROWS * vectors, TILE_ROWS + vectors)

        narrow = min((v for v in _NARROW if v < self.vectors), key=half_cycles, default=self.vectors)
        return replace(self, vectors=narrow) if 20 * half_cycles(narrow) < 19 * half_cycles(self.vectors) else self


_NARROW = (2, 1)
"""Vectors of narrower panels."""
TILE_ROWS = 6
"""Output pixels of the register tile: 6 x 2 of 16 vector registers, or 6 x 4 of 32, hold its sums."""

_NATIVE = (
    InstructionSet("avx512vnni", ("avx512vnni", "avx512bw"), 16, 4, 320 << 10, has_byte_dot=True, has_pair_dot=True),
    InstructionSet("avxvnni", ("avxvnni", "avx2"), 8, 2, 16 << 10, has_byte_dot=True, has_pair_dot=True),
    InstructionSet("avx512bw", ("avx512bw",), 16, 4, 192 << 10, has_byte_dot=False, has_pair_dot=False),
    InstructionSet("avx2", ("avx2",), 8, 2, 16 << 10, has_byte_dot=False, has_pair_dot=False),
)
"""Fastest first."""
_EMULATED = tuple(replace(isa, name=f"emulated-{isa.name}", features=(), emulated=True) for isa in _NATIVE)
INSTRUCTION_SETS = {isa.name: isa for isa in (*_NATIVE, *_EMULATED)}


@cache
def _features() -> frozenset[str]:
    from numba.core.registry import cpu_target

    # (triple, CPU name, features): what the cache of compiled code is keyed by; NUMBA_CPU_FEATURES is honoured.
    magic: Any = cpu_target.target_context.codegen().magic_tuple()
    return frozenset(feature[1:] for feature in magic[2].split(",") if feature.startswith("+"))


def available() -> tuple[str, ...]:
    """Names of the sets that this machine has, fastest first; `plain` always, and alone where nothing is compiled."""
    return (PLAIN,) if config.DISABLE_JIT else _compiled()  # type: ignore[attr-defined]


@cache
def _compiled() -> tuple[str, ...]:
    return (*(isa.name for isa in _NATIVE if _features().issuperset(isa.features)), PLAIN)


def chosen() -> str:
    """Name of the set in force: what BITTRUE_ISA names (an emulated one too), else the fastest.

    Raises
    ------
    ValueError
        BITTRUE_ISA names a set that does not exist or that this machine lacks.

    """
    usable = available()
    wanted = os.environ.get(VARIABLE)
    if not wanted:
        return usable[0]
    emulates = usable != (PLAIN,) and wanted in {isa.name for isa in _EMULATED}
    if wanted not in usable and not emulates:
        known = wanted in INSTRUCTION_SETS
        why = "this machine lacks it" if known else "there is no such instruction set"
        raise ValueError(f"{VARIABLE}={wanted}: {why}; usable here: {', '.join(usable)}")
    return wanted
