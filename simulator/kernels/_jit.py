"""What every kernel is compiled by, and a compile cache that cannot go stale.

Numba's own cache does not notice when an imported callee changes, so the cache directory is keyed by a hash of all
kernel sources and of what compiles them: another source, another directory. (The CPU is part of Numba's own key.)
"""

from __future__ import annotations

import hashlib
import os
import shutil
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FunctionType
from typing import Any, ParamSpec, TypeVar

import llvmlite
import numba
import numpy as np
from numba import config
from numba.core.caching import UserProvidedCacheLocator
from numba.core.ccallback import CFunc
from numba.core.options import DefaultOptions

UNUSED_DAYS = 30
"""After so many days without use a cache directory of other sources or compilers is removed."""
_DAY_SECONDS = 86_400


def compilers() -> tuple[object, ...]:
    """Return everything beside the sources that decides what they compile to."""
    settings = (config.BOUNDSCHECK, config.OPT, config.LOOP_VECTORIZE, config.SLP_VECTORIZE)  # type: ignore[attr-defined]
    return numba.__version__, llvmlite.__version__, np.__version__, sys.implementation.cache_tag, *settings


def source_hash() -> str:
    """First 16 hex digits of the SHA-256 over every source file that kernels are compiled from, and `compilers`."""
    digest = hashlib.sha256(repr(compilers()).encode())
    here = Path(__file__).parent
    for path in sorted([*here.glob("*.py"), *(here.parent / "numerics").glob("*.py")]):
        digest.update(path.name.encode())
        digest.update(path.read_bytes())
    return digest.hexdigest()[:16]


def cache_directory() -> Path:
    """Where compiled kernels are kept: NUMBA_CACHE_DIR, else the user's cache folder, plus the source hash."""
    base = os.environ.get("NUMBA_CACHE_DIR")
    root = Path(base) if base else Path(os.environ.get("XDG_CACHE_HOME") or _home() / ".cache") / "bittrue"
    return root / f"kernels-{source_hash()}"


def _home() -> Path:
    try:
        return Path.home()
    except RuntimeError:  # a user without one, as in some containers: a folder that cannot be made
        return Path(os.devnull)


def can_keep(directory: Path) -> bool:
    """Whether compiled kernels can be written to a cache directory, which is there where anybody may make it."""
    return directory.is_dir() and os.access(directory, os.W_OK | os.X_OK)


def is_cold(directory: Path) -> bool:
    """Whether a cache directory holds no compiled kernel yet."""
    return next(directory.glob("*/*.nbc"), None) is None


def mark_used(directory: Path, now: float) -> None:
    """Note that a cache directory is in use, in its time of change; where it is new, remove siblings long unused.

    Parameters
    ----------
    directory
        The one in use; made where it is missing.
    now
        Seconds since the epoch.

    Processes may do this at the same time, and one may lose its directory to another: Numba then compiles again. What
    the file system refuses is left as it is: a cache is a convenience.
    """
    try:
        is_new = not directory.exists()
        directory.mkdir(parents=True, exist_ok=True)
        if now - directory.stat().st_mtime > _DAY_SECONDS:
            os.utime(directory, (now, now))
        for sibling in directory.parent.glob("kernels-*") if is_new else ():
            if sibling != directory and now - sibling.stat().st_mtime > UNUSED_DAYS * _DAY_SECONDS:
                shutil.rmtree(sibling, ignore_errors=True)
    except OSError:
        return


CACHE_DIRECTORY = cache_directory()
"""The one in use."""
mark_used(CACHE_DIRECTORY, time.time())

KEEPS_KERNELS = can_keep(CACHE_DIRECTORY)
"""False (a home that is read-only, say): every process compiles for itself."""
NOT_KEPT = f"{CACHE_DIRECTORY.parent} cannot be written; NUMBA_CACHE_DIR=FOLDER names another place"
"""What to tell where they are not."""

# Read when Numba loads OpenMP, whose threads otherwise wait busily for milliseconds after a parallel loop, on the CPUs
# that the threads of `workers` are then to run on.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")

_COUNTS_REFERENCES = "_nrt"
"""Numba's option; not a documented one. Without it kernels are right, and slower."""
_OPTIONS: dict[str, Any] = {"cache": KEEPS_KERNELS, "nogil": True, "error_model": "numpy"}

P = ParamSpec("P")
R = TypeVar("R")


class KernelCacheLocator(UserProvidedCacheLocator):
    """Where Numba keeps the compiled code of a kernel: the same place for every checkout of the same sources.

    Numba's own locators name the folder after the path of the source, so that each clone would compile anew; the hash
    of all sources in `CACHE_DIRECTORY` says already whose code it is.
    """

    def __init__(self, py_func: FunctionType, py_file: str) -> None:
        super().__init__(py_func, py_file)  # type: ignore[no-untyped-call]
        self._cache_path = str(CACHE_DIRECTORY / Path(py_file).parent.name)

    @classmethod
    def from_function(cls, py_func: FunctionType, py_file: str) -> KernelCacheLocator:
        """Return the locator of a function. Numba asks where kernels can be kept only."""
        locator = cls(py_func, py_file)
        locator.ensure_cache_path()  # type: ignore[no-untyped-call]
        return locator


_LOCATORS = f"{__name__}.{KernelCacheLocator.__name__}"
"""No other: Numba's own do not notice when an imported callee changes."""


def kernel(
    *, parallel: bool = False, inline: bool = False, allocates: bool = True
) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Compile a function with Numba: nopython, cached, releasing the GIL, never fastmath.

    Parameters
    ----------
    parallel
        Split `numba.prange` loops over threads. Only where iterations write disjoint data.
    inline
        Mark as a small helper for other kernels; LLVM inlines it.
    allocates
        False: it makes no array, nor returns one. Numba then counts no references to its arguments, each an atomic
        instruction, of which a small helper with many arrays otherwise does little else.

    """
    options: dict[str, Any] = {**_OPTIONS, "no_cfunc_wrapper": True}
    if parallel:
        options["parallel"] = True
    if inline:
        options["forceinline"] = True
    if _COUNTS_REFERENCES in vars(DefaultOptions):
        # Said of every kernel: one that does not say takes it over from whoever compiles it first.
        options[_COUNTS_REFERENCES] = allocates
    return lambda function: _decorate(function, options)


def _decorate(function: Callable[P, R], options: dict[str, Any]) -> Callable[P, R]:
    with _own_cache():
        compiled: Callable[P, R] = numba.njit(**options)(function)
    return compiled


def c_function(function: Callable[P, R], signature: Any) -> CFunc:
    """Compile a function of that signature for callers that have its address alone, with the options of `kernel`."""
    with _own_cache():
        return numba.cfunc(signature, **_OPTIONS)(function)


@contextmanager
def _own_cache() -> Iterator[None]:
    """Have what Numba decorates meanwhile kept in CACHE_DIRECTORY; all else a process compiles, where its user says."""
    users = config.CACHE_LOCATOR_CLASSES  # type: ignore[attr-defined]
    config.CACHE_LOCATOR_CLASSES = _LOCATORS  # type: ignore[attr-defined]
    try:
        yield
    finally:
        config.CACHE_LOCATOR_CLASSES = users  # type: ignore[attr-defined]


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
    return function
