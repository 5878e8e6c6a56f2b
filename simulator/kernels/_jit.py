"""The one decorator of every kernel, and a compile cache that cannot go stale.

Numba's own cache does not notice when an imported callee changes, so the cache directory is keyed by a hash of all
kernel sources: another source, another directory.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

import numba
from numba import config


def source_hash() -> str:
    """First 16 hex digits of the SHA-256 over every source file that kernels are compiled from."""
    digest = hashlib.sha256()
    here = Path(__file__).parent
    for path in sorted([*here.glob("*.py"), *(here.parent / "numerics").glob("*.py")]):
        digest.update(path.name.encode())
        digest.update(path.read_bytes())
    return digest.hexdigest()[:16]


def cache_directory() -> Path:
    """Where compiled kernels are kept: NUMBA_CACHE_DIR, else the user's cache folder, plus the source hash."""
    base = os.environ.get("NUMBA_CACHE_DIR")
    root = Path(base) if base else Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "bittrue"
    return root / f"kernels-{source_hash()}"


config.CACHE_DIR = str(cache_directory())  # type: ignore[attr-defined]

P = ParamSpec("P")
R = TypeVar("R")


def kernel(*, parallel: bool = False, inline: bool = False) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Compile a function with Numba: nopython, cached, releasing the GIL, never fastmath.

    Parameters
    ----------
    parallel
        Split `numba.prange` loops over threads. Only where iterations write disjoint data.
    inline
        Mark as a small helper for other kernels; LLVM inlines it.

    """
    options: dict[str, Any] = {"cache": True, "nogil": True, "error_model": "numpy"}
    if parallel:
        options["parallel"] = True
    if inline:
        options["forceinline"] = True
    decorate: Callable[[Callable[P, R]], Callable[P, R]] = numba.njit(**options)
    return decorate
