"""What a narrower accumulator costs: how much of each output goes wrong, by the width of the registers."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from matplotlib.patches import Rectangle

from reports.figures_style import (
    BLUE,
    GREEN,
    OCHRE,
    PINK,
    VERMILION,
    Drawing,
    legend,
    new_axes,
    printable,
    shortened,
    styled,
)
from reports.sweep import share_text, sweep_verdict
from simulator.records.accumulator_sweep import SweepPoint
from simulator.records.run import RunRecord

_HEIGHT_IN = 2.6
_LINEAR_BELOW_PERCENT = 0.01
_TICKS_PERCENT = (0, 0.01, 0.1, 1, 10, 100)
_TOP_PERCENT = 160
_MOST_TICKED = 20
_OUTPUT_COLOURS = (BLUE, GREEN, OCHRE, PINK)


def sweep(record: RunRecord) -> Drawing | None:
    """Draw the wrong share of labels and outputs against the registers' width; None without a sweep."""
    points = record.accumulator_sweep
    if not points:
        return None
    widths = [point.accumulator_bits for point in points]
    series = _series(points)
    figure, axes = new_axes(_HEIGHT_IN)
    with styled():
        for label, colour, shares in series:
            axes.plot(
                widths,
                [100 * share for share in shares],
                "o-",
                color=colour,
                markersize=4.5,
                label=label,
                clip_on=False,
            )
        axes.set_yscale("symlog", linthresh=_LINEAR_BELOW_PERCENT, linscale=0.5)
        axes.set_yticks(_TICKS_PERCENT, [f"{tick:g}" for tick in _TICKS_PERCENT])
        axes.minorticks_off()
        axes.set(ylim=(0, _TOP_PERCENT), xlim=(widths[0] - 1, widths[-1] + 1), ylabel="%", xlabel="register bits")
        if len(widths) <= _MOST_TICKED:
            axes.set_xticks(widths)
        axes.grid(axis="y")
        legend(axes)
    titles = {}
    for point, (left, right) in zip(points, _strips(widths), strict=True):
        gid = f"bits-{point.accumulator_bits}"
        strip = Rectangle((left, 0), right - left, _TOP_PERCENT, fill=False, edgecolor="none", gid=gid)
        axes.add_patch(strip)
        titles[gid] = _hover_text(point)
    left_out = len(points[0].outputs) - len(_OUTPUT_COLOURS)
    caption = f"{sweep_verdict(record)} Scale: linear below {_LINEAR_BELOW_PERCENT} %, logarithmic above."
    caption += f" Not drawn: {left_out} more outputs." if left_out > 0 else ""
    return Drawing("sweep", figure, f"Differing outputs by register width. {caption}", titles, caption)


def _series(points: Sequence[SweepPoint]) -> list[tuple[str, str, list[float]]]:
    """Return (label, colour, share at each width); an output that is itself the label map is drawn once."""
    labels = [point.label_disagreement for point in points]
    found = [share for share in labels if share is not None]
    series = [("pixels with another label", VERMILION, found)] if len(found) == len(points) else []
    for index, colour in zip(range(len(points[0].outputs)), _OUTPUT_COLOURS, strict=False):
        shares = [point.outputs[index].differing_share for point in points]
        if shares != labels:
            series.append((f"values of {shortened(points[0].outputs[index].output, 30)}", colour, shares))
    return series


def _strips(widths: Sequence[int]) -> list[tuple[float, float]]:
    """Return the interval of the axis that is nearer to each width than to any other."""
    edges = [widths[0] - 1.0, *((a + b) / 2 for a, b in pairwise(widths)), widths[-1] + 1.0]
    return list(pairwise(edges))


def _hover_text(point: SweepPoint) -> str:
    lines = [f"{point.accumulator_bits} bits"]
    if point.label_disagreement is not None:
        lines.append(f"{share_text(point.label_disagreement)} % of the pixels have another label")
    lines += [f"{printable(e.output)}: {share_text(e.differing_share)} % differ" for e in point.outputs]
    lines.append(f"{point.events:,} events in {point.layers_with_events} layers")
    return "\n".join(lines)
