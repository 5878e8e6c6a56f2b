"""What narrower registers cost on a data set: mIoU against the width of the accumulator, for one network or several."""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.axes import Axes

from reports.figures_style import (
    BLUE,
    FAINT,
    GREEN,
    OCHRE,
    PINK,
    VERMILION,
    Drawing,
    legend,
    new_axes,
    shortened,
    styled,
)
from simulator.records.evaluation import REGISTERS, EvaluationRecord, EvaluationRow

_HEIGHT_IN = 3.6
_COLOURS = (BLUE, VERMILION, GREEN, OCHRE, PINK)
_LEAST_WIDTHS = 2


def miou_by_width(records: Sequence[EvaluationRecord]) -> Drawing | None:
    """Draw one line a record, its float score dashed; None where no record has two widths. Widths are evenly spaced.

    Records are named by their network, and by what else tells them apart. Those past the fifth are left out, which the
    caption says.
    """
    drawn = [record for record in records if len(_swept(record)) >= _LEAST_WIDTHS][: len(_COLOURS)]
    if not drawn:
        return None
    figure, axes = new_axes(_HEIGHT_IN)
    widths = sorted({row.accumulator_bits or 0 for record in drawn for row in _swept(record)})
    with styled():
        for record, colour in zip(drawn, _COLOURS, strict=False):
            rows = _swept(record)
            axes.plot(
                [widths.index(row.accumulator_bits or 0) for row in rows],
                [100 * row.miou for row in rows],
                "o-",
                color=colour,
                markersize=4.5,
                label=_label(record, drawn),
                clip_on=False,
            )
            if record.float_row is not None:
                _float_line(axes, 100 * record.float_row.miou, colour)
        axes.set(xlabel="bits of accumulator and partial sums", ylabel="mIoU, %")
        axes.set_xticks(range(len(widths)), [str(width) for width in widths])
        axes.set_ylim(bottom=0)
        axes.grid(axis="y")
        legend(axes, columns=1)
    left_out = len([record for record in records if len(_swept(record)) >= _LEAST_WIDTHS]) - len(drawn)
    caption = "; ".join(f"{_label(record, drawn)}: {_place(record)}" for record in drawn) + "."
    caption += f" Not drawn: {left_out} more." if left_out else ""
    words = (_in_words(record, _label(record, drawn)) for record in drawn)
    alt = f"Mean intersection over union against the width of the registers. {' '.join(words)}"
    return Drawing("miou", figure, alt, {}, caption)


def _swept(record: EvaluationRecord) -> list[EvaluationRow]:
    return [row for row in record.rows if row.machine == REGISTERS]


def _label(record: EvaluationRecord, drawn: Sequence[EvaluationRecord]) -> str:
    name = shortened(record.network, 40)
    twins = [other for other in drawn if other.network == record.network]
    apart = [
        text
        for text, values in (
            (f"on {record.accelerator}", {twin.accelerator for twin in twins}),
            (f"registers that {record.overflow}", {twin.overflow for twin in twins}),
            (f"{record.dataset} {record.split}", {(twin.dataset, twin.split) for twin in twins}),
        )
        if len(values) > 1
    ]
    return ", ".join([name, *apart])


def _place(record: EvaluationRecord) -> str:
    return f"{record.dataset} {record.split}, {record.images:,} images, {record.accelerator}"


def _in_words(record: EvaluationRecord, label: str) -> str:
    points = ", ".join(f"{row.accumulator_bits} bits {100 * row.miou:.1f} %" for row in _swept(record))
    return f"{label}: {points}."


def _float_line(axes: Axes, value: float, colour: str) -> None:
    axes.axhline(value, color=colour, linestyle="--", linewidth=1)
    axes.annotate(
        f"float {value:.1f}", (1, value), xycoords=("axes fraction", "data"), ha="right", va="bottom", color=FAINT
    )
