"""Evaluations that misbehave, for tests of sweeps: chosen by the point, told about in files beside the sweep."""

from __future__ import annotations

import os
import resource
import signal
import time
from pathlib import Path

import numpy as np

from bittrue.sweeping.evaluate import Outcome
from bittrue.sweeping.evaluate import evaluate as evaluate_well
from bittrue.sweeping.points import DesignPoint

NOTES = "BITTRUE_TEST_NOTES"
"""Environment variable: folder in which every evaluation leaves a line, and which says what is to go wrong."""


def noted(point: DesignPoint) -> Outcome:
    """Evaluate, and leave a note that this point was evaluated to the end."""
    folder = Path(os.environ[NOTES])
    if (folder / "slow").exists():
        time.sleep(0.05)
    outcome = evaluate_well(point)
    with (folder / f"done-{os.getpid()}").open("a") as file:
        file.write(f"{point.key}\n")
    return outcome


def killed_once(point: DesignPoint) -> Outcome:
    """Evaluate; the first process that comes to 16 rows is killed."""
    mark = Path(os.environ[NOTES]) / "killed"
    if point.changes["array.rows"] == 16 and not mark.exists():
        mark.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return noted(point)


def crashing(point: DesignPoint) -> Outcome:
    """Evaluate; 16 rows end every process that tries them, 32 rows use up all memory."""
    if point.changes["array.rows"] == 16:
        os.kill(os.getpid(), signal.SIGSEGV)
    if point.changes["array.rows"] == 32:
        raise MemoryError("no room")
    return noted(point)


def greedy(point: DesignPoint) -> Outcome:
    """Evaluate; 16 rows take memory until there is none, 32 rows are ended as the kernel ends who takes too much."""
    if point.changes["array.rows"] == 32:
        os.kill(os.getpid(), signal.SIGKILL)
    if point.changes["array.rows"] == 16:
        pages = int(Path("/proc/self/statm").read_text().split()[0])
        before = resource.getrlimit(resource.RLIMIT_AS)
        resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + (64 << 20), before[1]))
        try:
            taken = [np.ones(1 << 20) for _ in range(1 << 10)]
        finally:
            resource.setrlimit(resource.RLIMIT_AS, before)
        raise AssertionError(f"{len(taken)} blocks of 8 MiB fitted into 64 MiB")
    return noted(point)


def faulty(point: DesignPoint) -> Outcome:
    """Evaluate as `greedy`; 32 rows are ended by a fault of segmentation."""
    if point.changes["array.rows"] == 32:
        os.kill(os.getpid(), signal.SIGSEGV)
    return greedy(point)


def evaluated_keys(folder: Path) -> list[str]:
    """Return the key of every evaluation that ended, however often."""
    return [key for note in folder.glob("done-*") for key in note.read_text().split()]
