"""Time a training step in integers beside torch in float32: the same network, batch and threads, in turn in one run.

    python -m benchmarks.training --dataset camvid:PATH [--pretrained backbone.npz] [--rounds 5] [--threads 1,2]

Half-width DeepLabv3-ResNet50 (layout compact), 180x240, batch 8. Steps are taken in turn, and medians are told, in
images a second; memory is the most that was resident in a process of its own that takes three steps. Needs the extra
`torch`.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

import torch

from accel_models.load import load_accelerator
from benchmarks.float_training import FloatNet, train_step
from benchmarks.machine import describe_machine
from benchmarks.peak_memory import MEBIBYTE, resident_bytes
from benchmarks.plain_table import PlainTable, positive_integers
from bittrue.training.plan import Plan, Request, make_plan
from simulator.kernels.threads import thread_count
from workloads.training.config import preset

_KINDS = ("paper", "e2_8", "torch float32")
_BATCH = 8


def plan(kind: str, dataset: str, pretrained: Path | None, threads: int) -> Plan:
    """Return the run that a step is taken from."""
    config = preset("paper" if kind.startswith("torch") else kind)
    device = load_accelerator("paper_device")
    size, steps = (180, 240), 1000
    network = ("deeplabv3_resnet50", dataset, config, device, {"width": 0.5}, size, _BATCH, None, steps, 0, threads)
    return make_plan(Request(*network, pretrained))


def stepper(kind: str, dataset: str, pretrained: Path | None, threads: int) -> Callable[[int], None]:
    """Return a function that does step `number` of a run."""
    made = plan(kind, dataset, pretrained, threads)
    if kind.startswith("torch"):
        net = FloatNet(made)
        given = made.about["class_weights"]
        weights = torch.tensor(given, dtype=torch.float32) / 256 if given else torch.ones(made.trainer.step.classes)

        def step(number: int) -> None:
            torch.set_num_threads(threads)
            train_step(net, made, number, weights)

        return step
    state = dict(made.first_state().arrays)

    def integer_step(number: int) -> None:
        with thread_count(threads):
            state.update(made.trainer.run_step(number, state)[0])

    return integer_step


def peak_mebibytes(kind: str, dataset: str, pretrained: Path | None, threads: int) -> float:
    """Return the most memory resident in a process that takes three steps."""
    command = [sys.executable, "-m", "benchmarks.training", "--memory-of", kind, "--dataset", dataset]
    command += ["--threads", str(threads), *(["--pretrained", str(pretrained)] if pretrained else [])]
    told = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    return int(told.split()[-1]) / MEBIBYTE


def measure(dataset: str, pretrained: Path | None, rounds: int, threads: int) -> list[list[str]]:
    """Return a row for each kind of training."""
    steps = {kind: stepper(kind, dataset, pretrained, threads) for kind in _KINDS}
    seconds: dict[str, list[float]] = {kind: [] for kind in _KINDS}
    for number in range(rounds + 1):
        for kind, step in steps.items():
            began = time.perf_counter()
            step(number)
            if number:  # the first compiles
                seconds[kind].append(time.perf_counter() - began)
    rival = median(seconds[_KINDS[-1]])
    memory = {kind: peak_mebibytes(kind, dataset, pretrained, threads) for kind in _KINDS}
    return [
        [
            kind,
            str(threads),
            f"{_BATCH / median(seconds[kind]):.2f}",
            f"{rival / median(seconds[kind]):.2f}x",
            f"{memory[kind]:.0f}",
            f"{memory[kind] / memory[_KINDS[-1]]:.2f}",
        ]
        for kind in _KINDS
    ]


def main() -> None:
    """Print the machine and a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--dataset", required=True)
    parser.add_argument("--pretrained", type=Path, default=None)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=positive_integers, default=(1, 2))
    parser.add_argument("--memory-of", default=None, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.memory_of:
        step = stepper(given.memory_of, given.dataset, given.pretrained, given.threads[0])
        for number in range(3):
            step(number)
        print(resident_bytes("VmHWM"))
        return
    print(describe_machine())
    print(f"torch {torch.__version__}")
    table = PlainTable(
        ("training", 14), ("threads", 7), ("images/s", 8), ("of torch", 8), ("peak MiB", 8), ("of torch", 8)
    )
    print(table.header())
    for threads in given.threads:
        for cells in measure(given.dataset, given.pretrained, given.rounds, threads):
            print(table.row(cells), flush=True)


if __name__ == "__main__":
    main()
