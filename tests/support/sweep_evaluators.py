"""Evaluations that misbehave, for tests of sweeps: chosen by the point, told about in files beside the sweep."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

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


def evaluated_keys(folder: Path) -> list[str]:
    """Return the key of every evaluation that ended, however often."""
    return [key for note in folder.glob("done-*") for key in note.read_text().split()]
