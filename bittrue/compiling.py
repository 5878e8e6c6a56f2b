"""Saying why a first run takes long, on a machine that has no compiled kernels yet."""

from __future__ import annotations

from bittrue.progress import RunProgress

TIME_S = 7
"""About how long the kernels compile that tell a network's time, on the machines of docs/speed.md."""
VALUES_S = 25
"""Those that execute it, too."""
TRAINING_S = 50
"""Those that train it."""


def note_compiling(progress: RunProgress, about_s: int) -> None:
    """Say how long compiling will take, where nothing is compiled or nothing compiled can be kept."""
    from simulator.kernels import _jit

    if not _jit.KEEPS_KERNELS:
        progress.note(f"compiling kernels for this run alone (about {about_s} s): {_jit.NOT_KEPT}")
    elif _jit.is_cold(_jit.CACHE_DIRECTORY):
        progress.note(f"compiling kernels (first run, about {about_s} s); `bittrue warmup` does it ahead")
