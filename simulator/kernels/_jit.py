"""The one decorator of every kernel, and a compile cache that cannot go stale.

Numba's own cache does not notice when an imported callee changes, so the cache directory is keyed by a hash of all
kernel sources: another source, another directory.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from pathlib import Path
from types import FunctionType
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


def specialized(template: Callable[P, R], name: str, **names: Any) -> Callable[P, R]:
    """Return a function with the body of `template` in which the given globals mean something else.

    So one text serves several instruction sets: kernels take what they call (intrinsics above all) from their globals,
    since Numba keeps no compiled code of a closure over an intrinsic. `name` tells the instances apart in the cache.
    """
    assert isinstance(template, FunctionType)
    function = FunctionType(template.__code__, {**template.__globals__, **names}, name, template.__defaults__)
    function.__qualname__ = name
    function.__module__ = template.__module__
    function.__doc__ = template.__doc__
    return function  # type: ignore[return-value]
