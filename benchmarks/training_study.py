"""Train every case of the study with every seed, one row of a CSV each; repeated, it goes on where it was stopped.

    python -m benchmarks.training_study [STUDY or "CASE" ...] --dataset camvid:PATH --assets DIR --work out/study
        [--seeds 0,1,2] [--csv docs/studies/camvid.csv] [--list]

Each run is a `bittrue train`, or a `benchmarks.float_training`, of its own on one thread, whose command is printed;
what it leaves lies in --work. Two of these scripts beside each other (of other studies) fill two cores. The float twin
needs the extra `torch`. `python -m benchmarks.training_tables` prints the tables of docs/training.md from the CSV.
"""

from __future__ import annotations

import argparse
import csv
import fcntl
import os
import shlex
import subprocess
import sys
from pathlib import Path

from accel_models.load import load_accelerator
from accel_models.save import save_accelerator
from benchmarks.plain_table import words
from benchmarks.training_cases import FLOAT, NETWORKS, Case, find_cases
from simulator.records.training import STEPS_FILE, VALIDATIONS_FILE, read_steps, read_validations

COLUMNS = ("case", "seed", "network", "epochs", "steps", "split", "images", "miou", "pixel_accuracy", "overflow_events")


def read_rows(path: Path) -> list[dict[str, str]]:
    """Return the rows so far."""
    if not path.is_file():
        return []
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def command(case: Case, seed: int, dataset: str, assets: Path, folder: Path) -> list[str]:
    """Return the command that trains a case."""
    protocol = NETWORKS[case.network]
    given = [protocol.network, "--dataset", dataset, "--size", protocol.size, *protocol.options]
    given += ["--pretrained", str(assets / protocol.pretrained), "--epochs", str(case.epochs), "--lr"]
    given += [f"{case.learning_rate:g}", "--validation-split", case.split, "--validate-every", "0"]
    given += ["--seed", str(seed), "--threads", "1"]
    for change in case.changes:
        given += ["--set", change]
    if case.emulated:
        given += ["--emulate", ",".join(case.emulated)]
    if case.preset == FLOAT:
        return [sys.executable, "-m", "benchmarks.float_training", *given, "-o", f"{folder}.csv"]
    if case.device:
        device = load_accelerator("paper_device").evolve(case.device)
        given += ["-a", str(save_accelerator(device, folder.with_suffix(".yaml")))]
    resume = ["--resume"] if any(folder.glob("checkpoint-*.npz")) else []
    return [sys.executable, "-m", "bittrue", "train", *given, "--preset", case.preset, "-o", str(folder), *resume]


def result(case: Case, seed: int, folder: Path) -> dict[str, object]:
    """Read what a run left."""
    row: dict[str, object] = {"case": case.name, "seed": seed, "network": NETWORKS[case.network].network}
    row |= {"epochs": case.epochs, "split": case.split}
    if case.preset == FLOAT:
        *_, last = read_rows(Path(f"{folder}.csv"))
        steps, images, scores = last["steps"], last["images"], (float(last["miou"]), float(last["pixel_accuracy"]))
    else:
        *_, validation = read_validations(folder / VALIDATIONS_FILE)
        steps, images, scores = validation.step, validation.images, (validation.miou, validation.pixel_accuracy)
        row["overflow_events"] = sum(step.overflow_events for step in read_steps(folder / STEPS_FILE))
    return row | {"steps": steps, "images": images, "miou": f"{scores[0]:.6f}", "pixel_accuracy": f"{scores[1]:.6f}"}


def append(path: Path, row: dict[str, object]) -> None:
    """Add a row; several processes may do so at once."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a", newline="") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        writer = csv.DictWriter(file, COLUMNS, restval="", lineterminator="\n")
        if file.tell() == 0:
            writer.writeheader()
        writer.writerow(row)


def main() -> None:
    """Read the command line and train what has no row yet."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("studies", nargs="*", help="all without it")
    parser.add_argument("--dataset", required=True)
    parser.add_argument("--assets", type=Path, required=True, help="folder of the pretrained backbones")
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--csv", type=Path, default=Path("docs/studies/camvid.csv"))
    parser.add_argument("--seeds", type=words, default=("0", "1", "2"))
    parser.add_argument("--list", action="store_true", help="print the commands only")
    given = parser.parse_args()
    given.work.mkdir(parents=True, exist_ok=True)
    for seed in map(int, given.seeds):
        for case in find_cases(tuple(given.studies)):
            if any((row["case"], row["seed"]) == (case.name, str(seed)) for row in read_rows(given.csv)):
                continue
            folder = given.work / f"{case.name.replace(' ', '-').replace('=', '_')}-seed{seed}"
            wanted = command(case, seed, given.dataset, given.assets, folder)
            print(shlex.join(wanted), flush=True)
            if given.list:
                continue
            # One thread for NumPy's float sums too: a run is then the same beside another.
            environment = {**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
            subprocess.run(wanted, check=True, env=environment)
            append(given.csv, result(case, seed, folder))


if __name__ == "__main__":
    main()
