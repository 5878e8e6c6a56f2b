"""What a measurement ran on: processor, instruction sets, load, versions."""

from __future__ import annotations

import os
import platform
from collections.abc import Iterable
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import llvmlite.binding as llvm

_INSTRUCTION_SETS = (
    *("sse4.1", "avx", "avx2", "fma", "avx512f", "avx512bw", "avx512vnni", "avxvnni", "amx-int8"),
    *("neon", "dotprod", "i8mm", "sve"),
)
"""Those that decide how fast integers are multiplied, by LLVM's names."""
_PACKAGES = ("numba", "numpy", "onnxruntime", "ai-edge-litert")


@cache
def instruction_sets() -> tuple[str, ...]:
    """Return which instruction sets of interest the processor has, as LLVM sees it."""
    features = llvm.get_host_cpu_features()
    return tuple(name for name in _INSTRUCTION_SETS if features.get(name, False))


def has_vnni(seen: Iterable[str] | None = None) -> bool:
    """Whether 8-bit products are summed in 32 bits by one instruction, which cannot saturate on the way."""
    return not {"avx512vnni", "avxvnni"}.isdisjoint(instruction_sets() if seen is None else seen)


def processor_name() -> str:
    """Return the processor's model as the operating system names it."""
    path = Path("/proc/cpuinfo")
    if path.is_file():
        for line in path.read_text(encoding="utf-8").splitlines():
            key, _, value = line.partition(":")
            if key.strip() == "model name":
                return value.strip()
    return platform.processor() or platform.machine()


def describe_machine() -> str:
    """Return the lines that stand above every table of times."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    load = ", ".join(f"{average:.1f}" for average in os.getloadavg())
    return "\n".join(
        (
            f"processor     {processor_name()} ({llvm.get_host_cpu_name()}), {cores} cores, load {load}",
            f"instructions  {' '.join(instruction_sets()) or 'none of those asked for'}",
            f"versions      python {platform.python_version()}, {', '.join(map(_versioned, _PACKAGES))}",
        )
    )


def _versioned(package: str) -> str:
    try:
        return f"{package} {version(package)}"
    except PackageNotFoundError:
        return f"{package} absent"
