"""Build SystemVerilog of rtl/ with Verilator into shared libraries, and keep them."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

import pytest

RTL = Path(__file__).parents[2] / "rtl"
Parameters = Mapping[str, int | bool]
"""Parameters of a top module, by name; truth values are single bits."""

needs_verilator = [
    pytest.mark.rtl,
    pytest.mark.skipif(shutil.which("verilator") is None, reason="needs Verilator: apt install verilator g++ make"),
]
"""Marks of tests that run the SystemVerilog; under CI=true they fail where they cannot."""


def cache_directory() -> Path:
    """Where built libraries are kept: BITTRUE_RTL_CACHE, else the user's cache folder."""
    base = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "bittrue" / "rtl"
    return Path(os.environ.get("BITTRUE_RTL_CACHE", base))


_OPTIMIZE = ("OPT_FAST=-O1", "OPT_SLOW=-O0", "OPT_GLOBAL=-O1")
_RUNTIME = cache_directory() / "runtime"
"""Objects of Verilator's own sources, half the work of a small build; for those too whose libraries a test keeps
elsewhere."""


def build(top: str, parameters: Parameters, bench: str, defines: Mapping[str, int], rtl: Path = RTL) -> Path:
    """Return a module's shared library, built where the cache, keyed by all that decides it, has none.

    Parameters
    ----------
    top, parameters
        The module.
    bench
        File in `rtl` that drives it. The parameters are macros there, and ENGINE is the verilated class.
    defines
        More macros for the bench.
    rtl
        Folder of the sources.

    """
    sources = [*_sources(top, rtl), rtl / bench]
    key = (top, dict(parameters), bench, dict(defines))
    return _kept(key, sources, ".so", lambda folder: _verilate(top, parameters, defines, sources, folder))


def _sources(top: str, rtl: Path) -> list[Path]:
    """Files of a module and of those that it is made of; a module has the name of its file."""
    modules = {path.stem for path in rtl.glob("*.sv")}
    found, wanted = set(), {top}
    while wanted:
        found |= wanted
        words = set().union(*(re.findall(r"\w+", (rtl / f"{name}.sv").read_text()) for name in wanted))
        wanted = words & modules - found
    return _packages_first(rtl / f"{name}.sv" for name in found)


def _packages_first(paths: Iterable[Path]) -> list[Path]:
    """Sort files of SystemVerilog as Verilator wants them: packages come before what uses them."""
    return sorted(paths, key=lambda path: ("\npackage " not in path.read_text(), path))


def build_bench(bench: Path, parameters: Parameters) -> Path:
    """Return the program of a test bench in SystemVerilog, whose module is called as its file; kept like `build`."""
    sources = [*_packages_first(RTL.glob("*.sv")), bench]
    command = [
        *("verilator", "--binary", "-j", "1", "-O3", "--x-assign", "fast", "--x-initial", "fast"),
        *("--top-module", bench.stem, *arguments(parameters)),
        *("-MAKEFLAGS", "OPT_FAST=-O1 OPT_SLOW=-O0 OPT_GLOBAL=-O0", "-o", "built"),
    ]
    return _kept(
        (bench.stem, dict(parameters)),
        sources,
        "",
        lambda folder: _run([*command, "--Mdir", str(folder), *map(str, sources)]),
    )


def _kept(key: object, sources: list[Path], suffix: str, make: Callable[[Path], None]) -> Path:
    """Return what `make` leaves as `built` in a folder, made once for a key, sources and version of Verilator."""
    digest = hashlib.sha256(repr((key, _version())).encode())
    headers = sorted(sources[0].parent.glob("*.h"))
    for source in [*sources, *headers, Path(__file__)]:
        digest.update(source.read_bytes())
    cache = cache_directory()
    kept = cache / f"{digest.hexdigest()[:24]}{suffix}"
    cache.mkdir(parents=True, exist_ok=True)
    with (cache / f"{kept.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # another worker may be building the same
        if not kept.exists():
            with tempfile.TemporaryDirectory(dir=cache) as folder:
                make(Path(folder))
                (Path(folder) / "built").replace(kept)
    return kept


def _verilate(top: str, parameters: Parameters, defines: Mapping[str, int], sources: list[Path], folder: Path) -> None:
    names = {"ENGINE": "Vengine", "ENGINE_HEADER": '\\"Vengine.h\\"'}
    macros = {**names, **{name: int(value) for name, value in parameters.items()}, **defines}
    flags = " ".join(["-fPIC", *(f"-D{name}={value}" for name, value in macros.items())])
    command = [
        *("verilator", "--cc", "--exe", "-O3", "--x-assign", "fast", "--x-initial", "fast"),
        *("--noassert", "--top-module", top, "--prefix", "Vengine", "--Mdir", str(folder)),
        *arguments(parameters),
        *("-CFLAGS", flags, "-LDFLAGS", "-shared"),
        *("-o", "built"),
        *map(str, sources),
    ]
    _run(command)
    kept = _RUNTIME / hashlib.sha256(repr((_version(), _OPTIMIZE)).encode()).hexdigest()[:24]
    for path in kept.glob("*.o"):  # newer than what Verilator wrote, so that make leaves them
        shutil.copy(path, folder)
    _run(["make", "-C", str(folder), "-f", "Vengine.mk", *_OPTIMIZE])
    if not kept.exists():
        _RUNTIME.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=_RUNTIME) as scratch:
            for path in folder.glob("verilated*.o"):
                shutil.copy(path, scratch)
            with contextlib.suppress(OSError):  # another worker was first
                Path(scratch).rename(kept)
                Path(scratch).mkdir()


def _version() -> str:
    return subprocess.run(["verilator", "--version"], capture_output=True, text=True, check=True).stdout


def _run(command: list[str]) -> None:
    result = subprocess.run(command, capture_output=True, text=True)
    if result.returncode:
        raise RuntimeError(f"{' '.join(command)}\n{result.stdout[-4000:]}{result.stderr[-4000:]}")


def lint(top: str, parameters: Parameters) -> str:
    """Return what `verilator --lint-only -Wall` says about a module; nothing where it is clean."""
    sources = map(str, _packages_first(RTL.glob("*.sv")))
    command = ["verilator", "--lint-only", "-Wall", "--top-module", top, *arguments(parameters), *sources]
    return subprocess.run(command, capture_output=True, text=True).stderr


def arguments(parameters: Parameters) -> list[str]:
    """Verilator's arguments that set the parameters of the top module."""
    literals = {name: f"1'b{value:d}" if isinstance(value, bool) else value for name, value in parameters.items()}
    return [f"-G{name}={literal}" for name, literal in literals.items()]
