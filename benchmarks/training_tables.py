"""Print the tables of docs/training.md from the rows of the training study, and draw the ablations.

    python -m benchmarks.training_tables [docs/studies/camvid.csv] [-o docs/figures/training_ablations.svg]

mIoU: mean over the seeds, and in brackets every seed's. gap: mean over the seeds that both have of (case - what it is
compared with), +- its standard error where there are two seeds or more. A gap of less than twice that is marked ~: it
may be chance.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import mean, stdev

from benchmarks.training_cases import STUDIES, Case
from benchmarks.training_study import read_rows
from reports.figures_style import BLUE, VERMILION, Drawing, new_axes, styled

Scores = Mapping[str, Mapping[int, float]]
"""Case -> seed -> mIoU in per cent."""


@dataclass(frozen=True)
class Gap:
    """How much a case differs from what it is compared with, in points of mIoU."""

    points: float
    error: float | None
    """Standard error of the mean; None for one seed."""

    @property
    def may_be_chance(self) -> bool:
        """Whether it is less than twice its standard error, or of one seed."""
        return self.error is None or abs(self.points) < 2 * self.error

    def __str__(self) -> str:
        spread = "one seed" if self.error is None else f"± {self.error:.2f}"
        return f"{self.points:+.2f} {spread}{' ~' if self.may_be_chance else ''}"


def gap(case: Mapping[int, float], against: Mapping[int, float]) -> Gap | None:
    """Compare seed by seed; None without a common one."""
    differences = [case[seed] - against[seed] for seed in sorted(set(case) & set(against))]
    if not differences:
        return None
    error = stdev(differences) / len(differences) ** 0.5 if len(differences) > 1 else None
    return Gap(mean(differences), error)


def table(cases: Sequence[Case], rows: Sequence[Mapping[str, str]], scores: Scores) -> list[str]:
    """Return a table in Markdown, a case a line."""
    lines = [
        "| case | epochs | mIoU % | pixel accuracy % | gap, points | overflow events |",
        "|---|---|---|---|---|---|",
    ]
    for case in cases:
        found = scores.get(case.name)
        if not found:
            continue
        own = [row for row in rows if row["case"] == case.name]
        each = ", ".join(f"{found[seed]:.2f}" for seed in sorted(found))
        accuracy = mean(100 * float(row["pixel_accuracy"]) for row in own)
        events = [int(row["overflow_events"]) for row in own if row["overflow_events"]]
        difference = gap(found, scores.get(case.against, {})) if case.against else None
        told = f"{mean(events):,.0f}" if events else "-"
        lines.append(
            f"| {case.says} | {case.epochs} | **{mean(found.values()):.2f}** ({each}) | {accuracy:.2f} "
            f"| {difference or '-'} | {told} |"
        )
    return lines


def drawing(cases: Sequence[Case], scores: Scores) -> Drawing:
    """Draw every seed of the cases and their means, one line each."""
    shown = [case for case in cases if scores.get(case.name)][::-1]
    figure, axes = new_axes(0.9 + 0.27 * len(shown))
    with styled():
        for place, case in enumerate(shown):
            found = list(scores[case.name].values())
            axes.plot(found, [place] * len(found), "o", color=BLUE, markersize=4, alpha=0.7)
            axes.plot([mean(found)], [place], "|", color=VERMILION, markersize=13, markeredgewidth=2)
        axes.set(xlabel="mIoU of the test split, %", ylim=(-0.6, len(shown) - 0.4))
        axes.set_yticks(range(len(shown)), [case.says for case in shown])
        axes.grid(axis="x")
    alt = "; ".join(f"{case.says} {mean(scores[case.name].values()):.1f}" for case in shown[::-1])
    caption = "A dot is a seed, a bar the mean of a case."
    return Drawing("training_ablations", figure, f"mIoU in per cent: {alt}", caption=caption)


def main() -> None:
    """Read the command line and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("csv", type=Path, nargs="?", default=Path("docs/studies/camvid.csv"))
    parser.add_argument("-o", "--output", type=Path, default=None, help="where to draw the ablations, .svg")
    given = parser.parse_args()
    rows = read_rows(given.csv)
    scores: dict[str, dict[int, float]] = {}
    for row in rows:
        scores.setdefault(row["case"], {})[int(row["seed"])] = 100 * float(row["miou"])
    for study, cases in STUDIES.items():
        if any(case.name in scores for case in cases):
            print(f"\n{study}\n\n" + "\n".join(table(cases, rows, scores)))
    if given.output is not None:
        given.output.write_text(drawing(STUDIES["ablations"], scores).file_text(), encoding="utf-8")


if __name__ == "__main__":
    main()
