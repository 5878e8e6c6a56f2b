"""The command line of a proof that judges cases drawn from seeds, one after another."""

from __future__ import annotations

import argparse
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path


def prove(
    about: str,
    cases: int,
    judge: Callable[[int, Counter[str]], str | None],
    summary: Callable[[int, int, Counter[str]], list[str]],
) -> int:
    """Judge cases, print what was counted and what differs, and return the exit status.

    `about` is the module's docstring, `cases` how many without --cases; `judge` returns what differs, if anything does;
    `summary` makes the last lines from the number of those that differ, the first seed and the counts.
    """
    parser = argparse.ArgumentParser(description=about.splitlines()[0])
    parser.add_argument("--cases", type=int, default=cases)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--log", type=Path)
    arguments = parser.parse_args()
    tally: Counter[str] = Counter()
    began = time.monotonic()
    found = [judge(seed, tally) for seed in range(arguments.seed, arguments.seed + arguments.cases)]
    wrong = [text for text in found if text]
    lines = [f"{count:14,d}  {name}" for name, count in sorted(tally.items())]
    text = "\n".join([*lines, *summary(len(wrong), arguments.seed, tally), *wrong[:20]]) + "\n"
    sys.stdout.write(f"{text}{time.monotonic() - began:.0f} s\n")
    if arguments.log:
        arguments.log.write_text(text)
    return 1 if wrong else 0
