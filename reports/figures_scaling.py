"""The waterfall of a speed-up: from what more PEs promise to what was measured, a step a cause."""

from __future__ import annotations

import io
from textwrap import fill

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.ticker import FuncFormatter, NullFormatter

from reports.figures_style import BLUE, FAINT, GREEN, GREY, INK, VERMILION, Drawing, new_axes, styled
from reports.scaling import IDEAL, Scaling
from reports.units import three_digits

_HEIGHT_IN = 4.4
_DPI = 150


def waterfall(found: Scaling) -> Drawing:
    """Draw the factors of a speed-up as steps on a logarithmic axis, where equal heights are equal factors."""
    figure, axes = new_axes(_HEIGHT_IN)
    names = [factor.name for factor in found.factors]
    ends = [float(factor.speedup) for factor in found.factors]
    begins = [1.0, *ends[:-1]]
    with styled():
        for index, (begin, end) in enumerate(zip(begins, ends, strict=True)):
            ideal = found.factors[index].name in IDEAL
            colour = BLUE if ideal else VERMILION if end < begin else GREEN
            low, high = min(begin, end), max(begin, end)
            axes.bar(index, high - low, bottom=low, width=0.62, color=colour)
            axes.plot([index - 0.31, index + 1.31], [end, end], color=FAINT, linewidth=0.8)
            text = f"x {three_digits(float(found.factors[index].factor))}"
            axes.annotate(text, (index, high), (0, 3), textcoords="offset points", ha="center", va="bottom", color=INK)
        last = len(names)
        measured = ends[-1]
        axes.bar(last, measured - 1, bottom=1, width=0.62, color=GREY)
        axes.annotate(
            f"{three_digits(measured)} x",
            (last, max(1.0, measured)),
            (0, 3),
            textcoords="offset points",
            ha="center",
            va="bottom",
            color=INK,
            fontweight="bold",
        )
        axes.axhline(1, color=FAINT, linewidth=0.8)
        axes.set_yscale("log", base=2)
        low, high = min(1.0, *ends), max(1.0, *ends)
        axes.set_ylim(low / 1.15, high * 1.25)
        axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        axes.yaxis.set_minor_formatter(NullFormatter())
        axes.set_xticks(range(last + 1), [fill(name, 10) for name in [*names, "measured"]])
        axes.set_xlim(-0.6, last + 0.6)
        axes.set_ylabel("speed-up")
        axes.grid(visible=True, axis="y")
    figure.suptitle(_title(found), x=0.01, ha="left", fontsize=10.5)
    lost = [f"{factor.name} x {three_digits(float(factor.factor))}" for factor in found.factors]
    alt = f"Speed-up of {found.names[1]} over {found.names[0]} on {found.network}: {', '.join(lost)}."
    return Drawing("scaling", figure, alt, {}, alt)


def _title(found: Scaling) -> str:
    ideal, measured = three_digits(float(found.ideal)), three_digits(float(found.speedup))
    return f"{found.network}: {found.names[1]} against {found.names[0]}, {ideal} x the peak, {measured} x the speed"


def png(drawing: Drawing) -> bytes:
    """Return a drawing as a PNG: the same bytes every time."""
    buffer = io.BytesIO()
    with styled():
        FigureCanvasAgg(drawing.figure)
        drawing.figure.savefig(buffer, format="png", dpi=_DPI, metadata={"Software": None})
    return buffer.getvalue()
