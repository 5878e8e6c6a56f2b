"""Hold the array's arithmetic, value by value and event by event, to code that is written apart from it.

    PYTHONPATH=tests python -m proof.prove [--macs 1e9] [--seed 0] [--minutes 30] [--isa all] [--log FILE]
    PYTHONPATH=tests python -m proof.prove --case SEED

Draws layers (tests/proof/cases.py), runs them through lowering and execution, and compares every output value and every
field of the overflow ledger with the twins in tests/support. A sixth of the work is layers of real networks, where
BITTRUE_ASSETS names them. Exit status 1 where anything differs.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path

from proof.bends import EXTRAS
from proof.cases import Case, case_of, draw
from proof.data import BASES, STARTS
from proof.judge import Outcome, Verdict, judge
from proof.real import PREFIX, assets_folder, real_case, real_cases
from simulator.kernels.isa import INSTRUCTION_SETS, available

ISA_VARIABLE = "BITTRUE_ISA"
REAL_SHARE = 6
"""Every so many-th layer is a real one."""
MOST_FAILURES = 20
PROGRESS_LAYERS = 200
ENOUGH_LINES = 6
WIDTHS = ((12, "8-12"), (16, "13-16"), (24, "17-24"), (32, "25-32"), (64, "33+"))


DATA_WORDS = (*BASES, *STARTS, *EXTRAS)
Rows = dict[tuple[str, ...], Counter[str]]


@dataclass
class Tally:
    """What was judged, and what was found."""

    layers: int = 0
    macs: int = 0
    values: int = 0
    events: int = 0
    affected_layers: int = 0
    by_register: Rows = field(default_factory=dict)
    """Counts by path, dataflow, width of the inner register, and modes."""
    by_ledger: Rows = field(default_factory=dict)
    by_data: Rows = field(default_factory=dict)
    """Counts by each word that says how the data was made."""
    failures: list[Verdict] = field(default_factory=list)

    def add(self, verdict: Verdict) -> None:
        self.layers += 1
        self.macs += verdict.macs
        self.events += verdict.events
        self.affected_layers += verdict.events > 0
        self.values += sum(outcome.values for outcome in verdict.outcomes)
        for outcome in verdict.outcomes:
            self._count(self.by_register, (outcome.path, *_kind(verdict.case)), verdict, outcome)
            self._count(self.by_ledger, (outcome.variant.ledger, outcome.path), verdict, outcome)
            for word in verdict.case.data:
                self._count(self.by_data, (word,), verdict, outcome)
        if verdict.differences:
            self.failures.append(verdict)

    @staticmethod
    def _count(rows: Rows, key: tuple[str, ...], verdict: Verdict, outcome: Outcome) -> None:
        row = rows.setdefault(key, Counter())
        row.update(runs=1, macs=verdict.macs, values=outcome.values, events=outcome.events)
        row.update(differing=bool(outcome.differences))


def _kind(case: Case) -> tuple[str, str, str]:
    """Dataflow, class of the inner register's width, and modes."""
    inner = case.partial_sum or case.accumulator
    width = next(name for most, name in WIDTHS if inner[0] <= most)
    if case.partial_sum:
        return "ws", width, f"{case.partial_sum[1]}/{case.accumulator[1]}"
    return "os", width, case.accumulator[1]


# ---------------------------------------------------------------- the run


def all_cases(seed: int) -> Iterator[Case]:
    """Drawn layers from a seed on, and real ones among them where there are any."""
    real = real_cases(seed) if assets_folder() else None
    for number in count():
        if real and number % REAL_SHARE == REAL_SHARE - 1:
            yield next(real)
        else:
            yield draw(seed + number)


def prove(macs: float, seed: int, minutes: float) -> Tally:
    """Judge layers until so many MACs, or minutes, are over, or far too many have failed."""
    tally, began = Tally(), time.monotonic()
    for case in all_cases(seed):
        if tally.macs >= macs or time.monotonic() - began > 60 * minutes or len(tally.failures) >= MOST_FAILURES:
            return tally
        verdict = judge(case)
        tally.add(verdict)
        if verdict.differences:
            sys.stderr.write(_failure(verdict) + "\n")
        if tally.layers % PROGRESS_LAYERS == 0:
            sys.stderr.write(f"{tally.layers} layers, {tally.macs:.3g} MACs, {len(tally.failures)} differ\n")
    raise AssertionError("cases never end")


def report(tally: Tally, title: str) -> str:
    """Write what was judged as tables, and what was found."""
    lines = [title, ""]
    for heads, rows in (
        (("path", "flow", "inner bits", "modes (P/A)"), tally.by_register),
        (("ledger", "path"), tally.by_ledger),
        (("data",), tally.by_data),
    ):
        lines += [*_table(heads, rows), ""]
    lines.append(
        f"{tally.layers} layers, {tally.macs} MACs, {tally.values} output values compared; "
        f"{tally.events} events in {tally.affected_layers} layers"
    )
    lines.append(f"{len(tally.failures)} layers differ" if tally.failures else "0 differences")
    lines += [_failure(verdict) for verdict in tally.failures]
    return "\n".join(lines) + "\n"


def _table(heads: tuple[str, ...], rows: Rows) -> list[str]:
    lines = [_line(heads, ("runs", "MMACs", "values", "events", "differing"))]
    for key in sorted(rows):
        row = rows[key]
        counts = (row["runs"], f"{row['macs'] / 1e6:.1f}", row["values"], row["events"], row["differing"])
        lines.append(_line(key, tuple(map(str, counts))))
    return lines


def _line(key: tuple[str, ...], counts: tuple[str, ...]) -> str:
    words = "".join(cell.ljust(20) for cell in key[:1]) + "".join(cell.ljust(12) for cell in key[1:])
    return words.ljust(66) + "".join(cell.rjust(12) for cell in counts)


def _failure(verdict: Verdict) -> str:
    differences = verdict.differences
    more = [f"... and {len(differences) - ENOUGH_LINES} more"] if len(differences) > ENOUGH_LINES else []
    lines = [str(verdict.case), *differences[:ENOUGH_LINES], *more, f"replay: --case {verdict.case.name}"]
    return "\n    ".join(lines)


# ---------------------------------------------------------------- the program


def _arguments(given: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--macs", type=float, default=1e9, help="stop after so many (default 1e9)")
    parser.add_argument("--minutes", type=float, default=60.0, help="stop after so long (default 60)")
    parser.add_argument("--seed", type=int, default=0, help="seed of the first layer; each next one adds 1")
    parser.add_argument("--case", help="judge this one alone: SEED, SEED/MACS or real:MODEL:LAYER:SEED")
    parser.add_argument(
        "--isa", default="", help=f"a value of {ISA_VARIABLE}, or all: what this machine has, and the rest emulated"
    )
    parser.add_argument("--log", type=Path, help="write the report there too")
    return parser.parse_args(given)


def instruction_sets() -> tuple[str, ...]:
    """Return the sets that this machine has, then the others emulated."""
    native = available()
    return (*native, *(name for name in INSTRUCTION_SETS if name.startswith("emulated-") and name[9:] not in native))


def _judge_one(name: str) -> int:
    case = real_case(name) if name.startswith(PREFIX) else case_of(name)
    verdict = judge(case)
    sys.stdout.write(f"{case}\n{verdict.macs} MACs, {verdict.events} events\n")
    for outcome in verdict.outcomes:
        found = "; ".join(outcome.differences) or "0 differences"
        sys.stdout.write(f"    {outcome.variant} {outcome.path}: {found}\n")
    return bool(verdict.differences)


def _each_isa(arguments: argparse.Namespace, given: list[str]) -> int:
    """Run this program once for each instruction set, each in an interpreter of its own."""
    status, texts = 0, []
    for isa in instruction_sets() if arguments.isa == "all" else (arguments.isa,):
        environment = {**os.environ, **({ISA_VARIABLE: isa} if isa else {})}
        command = [sys.executable, "-m", "proof.prove", *given, "--isa", ""]
        run = subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True, check=False)
        sys.stdout.write(run.stdout)
        sys.stdout.flush()
        texts.append(run.stdout)
        status |= run.returncode
    if arguments.log:
        arguments.log.parent.mkdir(parents=True, exist_ok=True)
        arguments.log.write_text("\n".join(texts))
    return status


def main(given: list[str] | None = None) -> int:
    """Judge, and report."""
    given = sys.argv[1:] if given is None else given
    arguments = _arguments(given)
    if arguments.isa or arguments.log:
        return _each_isa(arguments, _without_log(given))
    if arguments.case:
        return _judge_one(arguments.case)
    began = time.monotonic()
    tally = prove(arguments.macs, arguments.seed, arguments.minutes)
    isa = os.environ.get(ISA_VARIABLE) or "the machine's own"
    real = "" if assets_folder() else "; no real networks: BITTRUE_ASSETS names no folder that holds assets/"
    sys.stdout.write(report(tally, f"instruction set: {isa}; layers from seed {arguments.seed}{real}"))
    sys.stdout.flush()
    seconds = time.monotonic() - began
    sys.stderr.write(f"{seconds:.0f} s, {tally.macs / 1e6 / seconds:.1f} MMAC/s\n")
    return bool(tally.failures)


def _without_log(given: list[str]) -> list[str]:
    kept, skip = [], False
    for word in given:
        if not skip and word != "--log" and not word.startswith("--log="):
            kept.append(word)
        skip = word == "--log"
    return kept


if __name__ == "__main__":
    sys.exit(main())
