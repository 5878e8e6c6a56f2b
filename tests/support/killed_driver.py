"""A sweep whose driver, a process of its own, is killed in the middle."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from bittrue.sweeping.store import SweepStore
from support.sweep_evaluators import evaluated_keys

_TESTS = Path(__file__).parents[1]


def kill_driver(folder: Path, notes: Path, *, engine: str = "None", imports: str = "", seconds: float = 30) -> set[str]:
    """Sweep the small space into a folder, kill the driver when 4 points are done, and return the keys that it stored.

    `engine` is an expression, for which `imports` imports; `seconds` is how long the 4 points may take.
    """
    (notes / "slow").touch()
    code = (
        "from support.sweep_spaces import small_space\nimport bittrue\nfrom support.sweep_evaluators import noted\n"
        f"{imports}\nbittrue.sweep(small_space(), {str(folder)!r}, {engine}, evaluate=noted)"
    )
    paths = os.pathsep.join([str(_TESTS), str(_TESTS.parent)])
    driver = subprocess.Popen([sys.executable, "-c", code], env={**os.environ, "PYTHONPATH": paths})
    until = time.monotonic() + seconds
    while len(evaluated_keys(notes)) < 4 and time.monotonic() < until:
        time.sleep(0.05)
    driver.send_signal(signal.SIGKILL)
    driver.wait()
    (notes / "slow").unlink()
    with SweepStore(folder) as store:
        return {p.key for p in store.points() if p.figures is not None}
