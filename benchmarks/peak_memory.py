"""Peak memory of one run of ours, measured in a process of its own, and how long a run takes, beside the estimates.

    python -m benchmarks.peak_memory NETWORK [--accelerator NAME] [--requantizer NAME] [--threads 1] [--batch N]

Prints JSON. The network is a file that takes an image; it runs on the photograph, values only. Linux only: there the
kernel keeps the high-water mark of resident memory (VmHWM) of each program. `resource.getrusage` would not do: its
ru_maxrss counts the pages of the parent process from which a child was started.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

import bittrue
from bittrue.foresight import foresee, seconds_estimate
from workloads.images import demo_photo, prepare_image

_STATUS = Path("/proc/self/status")
_CLEAR_REFS = Path("/proc/self/clear_refs")
_RESET_PEAK = "5"
MEBIBYTE = 1 << 20


@dataclass(frozen=True)
class PeakMemory:
    """Resident memory of a process that loads a network, prepares it and runs it once."""

    peak_bytes: int
    """Most that was resident during the run."""
    before_bytes: int
    """Resident when the run began: interpreter, libraries, network, what `prepare` made."""
    estimated_run_bytes: int = 0
    """What `bittrue memory` says that the run adds."""
    run_s: float = 0.0
    """The fastest of three more runs, seconds."""
    estimated_run_s: float = 0.0
    """What `bittrue memory` says that a run takes."""

    @property
    def run_bytes(self) -> int:
        """What the run added at its peak."""
        return self.peak_bytes - self.before_bytes


def resident_bytes(key: str) -> int:
    """Return VmRSS (now) or VmHWM (peak) of this process."""
    line = next(line for line in _STATUS.read_text(encoding="utf-8").splitlines() if line.startswith(f"{key}:"))
    return int(line.split()[1]) * 1024


def measure_here(network: Path, accelerator: bittrue.Accelerator, threads: int, batch: int = 1) -> PeakMemory:
    """Load, prepare and run a network in this process, the first run of all."""
    loaded = bittrue.load_network(network)
    inputs = {name: np.concatenate([v] * batch) for name, v in prepare_image(loaded, demo_photo()).items()}
    loaded = loaded.batched(batch)
    estimated = foresee(loaded).run_bytes
    prepared = bittrue.prepare(loaded, accelerator, values_only=True, threads=threads)
    _CLEAR_REFS.write_text(_RESET_PEAK, encoding="ascii")
    before = resident_bytes("VmRSS")
    prepared.run(inputs)
    peak = resident_bytes("VmHWM")
    laps = []
    for _ in range(3):
        begin = time.perf_counter()
        prepared.run(inputs)
        laps.append(time.perf_counter() - begin)
    return PeakMemory(peak, before, estimated, min(laps), seconds_estimate(loaded, accelerator, threads))


def measure_apart(network: Path, accelerator: str, requantizer: str, threads: int) -> PeakMemory | None:
    """Measure in a new process; None where the system does not keep a high-water mark."""
    if not _CLEAR_REFS.exists():
        return None
    options = ["--accelerator", accelerator, "--requantizer", requantizer, "--threads", str(threads)]
    command = [sys.executable, "-m", "benchmarks.peak_memory", str(network), *options]
    result = subprocess.run(command, check=True, capture_output=True, text=True)
    return PeakMemory(**json.loads(result.stdout))


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("network", type=Path)
    parser.add_argument("--accelerator", default="edge_16x16_os")
    parser.add_argument("--requantizer", default="fixed_point_double")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--batch", type=int, default=1)
    options = parser.parse_args(arguments)
    accelerator = bittrue.load_accelerator(options.accelerator).evolve({"arithmetic.requantizer": options.requantizer})
    print(json.dumps(asdict(measure_here(options.network, accelerator, options.threads, options.batch))))


if __name__ == "__main__":
    main()
