"""Judge layers whose every array lies beside a page that may not be touched: no kernel reads or writes past an end.

    PYTHONPATH=tests python -m proof.guarded [--cases 1000] [--seed 0] [--macs 400000] [--isa all]

Layers are those of `proof.cases`, kept small. They run in an interpreter of their own, so that a crash is reported with
the layer it came of, and the rest go on. Exit status 1 where any layer crashed, or differs from the twins.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import zlib
from dataclasses import replace
from typing import Any
from unittest.mock import patch

import numpy as np

from proof import judge as judging
from proof.cases import Case, draw
from proof.prove import ISA_VARIABLE, instruction_sets
from proof.small_limits import small_limits
from simulator.execution import array_guarded, array_phase_tiles, array_tiles
from support.guarded_memory import END, FRONT, guarded_arrays

BEGUN = "begun "
CHILD = "--child"


def differences(case: Case, side: str) -> list[str]:
    """Run a layer on arrays beside such pages; say in what it differs from the twins, and what it wrote elsewhere."""
    twin = judging.twin_of(case)
    found = []
    with guarded_arrays(side) as memory:
        copies = {name: np.copy(getattr(case, name)) for name in ("x", "weights")}
        own = replace(case, **copies, bias=None if case.bias is None else case.bias.copy())
        with small_limits(np.random.default_rng(zlib.crc32(case.name.encode()))):
            for variant in judging.variants(case):
                outcome = judging._outcome(own, variant, twin)
                found += [f"{variant}: {line}" for line in outcome.differences]
        del own, copies
    return found + memory.overwritten


def _tight_zeros(shape: tuple[int, ...], dtype: type[Any]) -> np.ndarray:
    """Stand in for `aligned_zeros`, whose whole cache lines would be room to go astray in."""
    return np.zeros(shape, dtype)


def _child(seed: int, cases: int, macs: int) -> None:
    """Judge, and say what is being judged before it is: this may be the last that is heard of it."""
    with (
        patch.multiple(array_tiles, aligned_zeros=_tight_zeros),
        patch.multiple(array_phase_tiles, aligned_zeros=_tight_zeros),
        patch.multiple(array_guarded, aligned_zeros=_tight_zeros),
    ):
        for number in range(seed, seed + cases):
            case = draw(number, macs)
            for side in (END, FRONT):
                print(f"{BEGUN}{number} {side} {case}", flush=True)  # noqa: T201
                for line in differences(case, side):
                    print(f"    {line}", flush=True)  # noqa: T201


def judge_cases(seed: int, cases: int, macs: int, isa: str = "") -> list[str]:
    """Return what was found, each layer that differs or crashes with what it is."""
    environment = {**os.environ, **({ISA_VARIABLE: isa} if isa else {})}
    found, end = [], seed + cases
    while seed < end:
        command = [sys.executable, "-m", "proof.guarded", CHILD, f"--seed={seed}", f"--cases={end - seed}"]
        run = subprocess.run(
            [*command, f"--macs={macs}"], env=environment, stdout=subprocess.PIPE, text=True, check=False
        )
        begun = ""
        for line in run.stdout.splitlines():
            begun = line if line.startswith(BEGUN) else begun
            found += [] if line is begun else [f"{isa} {begun}: {line}"]
        if not run.returncode:
            return found
        found.append(f"{isa} {begun}: ended with {run.returncode}")
        seed = int(begun.split()[1]) + 1 if begun else end
    return found


def main() -> int:
    """Judge, and report."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--cases", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--macs", type=int, default=400_000, help="of a layer, at most, about")
    parser.add_argument("--isa", default="", help=f"a value of {ISA_VARIABLE}, or all")
    parser.add_argument(CHILD, action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.child:
        _child(given.seed, given.cases, given.macs)
        return 0
    sets = instruction_sets() if given.isa == "all" else (given.isa,)
    found = [line for isa in sets for line in judge_cases(given.seed, given.cases, given.macs, isa)]
    lines = [
        *found[:20],
        f"{given.cases} layers from seed {given.seed} on {len(sets)} instruction sets: {len(found)} faults",
    ]
    sys.stdout.write("\n".join(lines) + "\n")
    return bool(found)


if __name__ == "__main__":
    sys.exit(main())
