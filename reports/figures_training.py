"""How a training went: loss of every step, and mIoU of every validation."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from numpy.typing import NDArray

from reports.figures_style import BLUE, VERMILION, Drawing, legend, new_axes, styled
from simulator.records.training import StepRow, ValidationRow

_HEIGHT_IN = 3.4
_SMOOTH = 0.9
"""Weight of the past in the smoothed loss."""
_DPI = 150


def training_curves(steps: Sequence[StepRow], validations: Sequence[ValidationRow]) -> Drawing | None:
    """Draw loss and mIoU against the step; None where there is no step."""
    if not steps:
        return None
    figure, axes = new_axes(_HEIGHT_IN)
    with styled():
        numbers, losses = [row.step for row in steps], np.array([row.loss for row in steps])
        axes.plot(numbers, losses, color=BLUE, alpha=0.25, linewidth=0.8)
        axes.plot(numbers, _smoothed(losses), color=BLUE, label="loss, smoothed")
        axes.set(xlabel="step", ylabel="loss", xlim=(0, max(numbers)))
        axes.set_ylim(bottom=0)
        if validations:
            right = axes.twinx()
            places, scores = [row.step for row in validations], [100 * row.miou for row in validations]
            (line,) = right.plot(places, scores, "o-", color=VERMILION, markersize=3.5, clip_on=False)
            right.set(ylabel="mIoU, %", ylim=(0, None))
            line.set_label("mIoU, %")
            axes.plot([], [], "o-", color=VERMILION, markersize=3.5, label="mIoU of the validation split")
        legend(axes)
    best = f", mIoU {100 * max(row.miou for row in validations):.1f} % at best" if validations else ""
    alt = f"Loss of {len(steps)} steps, {losses[0]:.2f} at first and {losses[-1]:.2f} at last{best}"
    return Drawing("training", figure, alt)


def save_curves(path: Path, steps: Sequence[StepRow], validations: Sequence[ValidationRow]) -> None:
    """Write the curves as a PNG, the same bytes for the same rows; nothing where there is no step."""
    drawing = training_curves(steps, validations)
    if drawing is None:
        return
    buffer = io.BytesIO()
    with styled():
        FigureCanvasAgg(drawing.figure)
        drawing.figure.savefig(buffer, format="png", dpi=_DPI, metadata={"Software": None})
    staged = path.with_name(f".{path.name}.tmp")
    staged.write_bytes(buffer.getvalue())
    staged.replace(path)


def _smoothed(values: NDArray[np.float64]) -> NDArray[np.float64]:
    smooth, total, weight = np.empty_like(values), 0.0, 0.0
    for index, value in enumerate(values):
        total, weight = _SMOOTH * total + (1 - _SMOOTH) * value, _SMOOTH * weight + (1 - _SMOOTH)
        smooth[index] = total / weight
    return smooth
