"""Colours, units and SVG output common to all figures."""

from __future__ import annotations

import io
import re
import warnings
from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from html import escape
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from matplotlib.transforms import blended_transform_factory

from reports.units import short_name, three_digits

INK = "#1c2127"
FAINT = "#69707b"
GRID = "#d5d9e0"
_THEMED = {INK: "currentColor", FAINT: "var(--faint, #69707b)", GRID: "var(--grid, #d5d9e0)"}
"""Colours that follow the page, light or dark; a file of its own has those of `_PAGE`."""
_PAGE = """<style>
svg { color: #1c2127; --faint: #69707b; --grid: #d5d9e0; background: #ffffff }
@media (prefers-color-scheme: dark) { svg { color: #e6e9ee; --faint: #99a1ac; --grid: #343b45; background: #0d1117 } }
</style>"""
"""Ground and ink of a file of its own: an image takes none from the page that shows it, dark or light."""

BLUE, SKY, GREEN, MINT = "#2b7bba", "#85bde6", "#1a9e77", "#84d1b7"
OCHRE, VERMILION, PINK, VIOLET, GREY = "#c9a400", "#d95f02", "#cc79a7", "#8f6fc9", "#959ba5"
"""After Okabe and Ito: told apart with any colour vision; each has contrast on white and on near-black."""

COMPONENTS = {
    "mac_pj": ("MAC", BLUE),
    "idle_pe_pj": ("idle PE", SKY),
    "input_scratchpad_pj": ("input scratchpad", GREEN),
    "weight_scratchpad_pj": ("weight scratchpad", MINT),
    "accumulator_pj": ("accumulator", OCHRE),
    "dram_pj": ("DRAM", VERMILION),
    "vector_pj": ("vector unit", PINK),
    "host_pj": ("host", VIOLET),
    "leakage_pj": ("leakage", GREY),
}
"""Field of EnergyRecord -> what figures call the component, and its colour."""

WIDTH_IN = 9.0
HALF_WIDTH_IN = 4.5
"""Width of a figure that stands beside others, and fits a telephone whole."""
_RC: dict[Any, Any] = {
    "svg.fonttype": "none",  # text stays text: small, sharp, searchable
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans"],
    "font.size": 9.5,
    "axes.edgecolor": FAINT,
    "axes.labelcolor": INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "axes.unicode_minus": False,
    "grid.color": GRID,
    "grid.linewidth": 0.7,
    "text.color": INK,
    "text.parse_math": False,  # a layer may be called $x$
    "xtick.color": FAINT,
    "ytick.color": FAINT,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "legend.frameon": False,
    "path.simplify": False,
}


@dataclass(frozen=True)
class Drawing:
    """A figure, what it shows in words, and what the reader is told on pointing at a part of it."""

    name: str
    """Short name, the prefix of all ids in the SVG."""
    figure: Figure
    """The figure itself."""
    alt: str
    """What the figure shows, for those who do not see it."""
    titles: Mapping[str, str] = field(default_factory=dict)
    """Text to show on pointing at a part, by the part's gid."""
    caption: str = ""
    """What must be known to read the figure: what is left out, what is largest."""

    def svg(self) -> str:
        """Return the figure as an `<svg>` element, to stand in an HTML page: the same bytes every time."""
        buffer = io.StringIO()
        with mpl.rc_context({**_RC, "svg.hashsalt": self.name}), warnings.catch_warnings():
            # Names in scripts that the measuring font lacks are drawn by the reader's own fonts all the same.
            warnings.filterwarnings("ignore", message=r"Glyph .* missing from font", category=UserWarning)
            FigureCanvasSVG(self.figure)
            self.figure.savefig(buffer, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
        text = buffer.getvalue()
        return self._finish(text[text.index("<svg") :].strip())

    def file_text(self) -> str:
        """Return the figure as an SVG file, with a ground of its own, light or dark as the reader's."""
        head, _, body = self.svg().partition(">")
        return f"{head}>{_PAGE}{body}\n"

    def _finish(self, svg: str) -> str:
        svg = re.sub(r"<!--.*?-->|<metadata>.*?</metadata>", "", svg, flags=re.DOTALL)
        svg = re.sub(r"<[^<>!?][^<>]*>", self._finish_tag, svg)
        head, _, body = svg.partition(">")
        head = re.sub(r' (?:width|height)="[^"]*pt"', "", head)
        return f'{head} role="img" aria-label="{escape(self.alt)}">{body}'

    def _finish_tag(self, match: re.Match[str]) -> str:
        """Make ids unique within the page, let colours follow it, and add the text that pointing shows."""
        tag = match.group()
        for colour, themed in _THEMED.items():
            tag = tag.replace(colour, themed)
        name = re.search(r' id="([^"]*)"', tag)
        lines = self.titles.get(name.group(1), "").split("\n") if name else []
        title = "\n".join(map(printable, lines))
        tag = re.sub(r' id="', f' id="{self.name}-', tag)
        tag = tag.replace("url(#", f"url(#{self.name}-").replace('href="#', f'href="#{self.name}-')
        if not title:
            return tag
        return f'{tag[:-1]} style="pointer-events: all"><title>{escape(title)}</title>'


def new_axes(height_in: float, width_in: float = WIDTH_IN) -> tuple[Figure, Axes]:
    """Return a figure, of the common width where no other is given, and its axes, in the common style."""
    with mpl.rc_context(_RC):
        figure = Figure(figsize=(width_in, height_in), layout="constrained")
        return figure, figure.add_subplot()


def styled() -> AbstractContextManager[None]:
    """Context in which artists made after the axes take the common style."""
    return mpl.rc_context(_RC)


def legend(axes: Axes, columns: int = 5) -> None:
    """Put the legend above the axes, where it hides nothing, from the figure's left edge on, where it has most room."""
    figure = axes.get_figure(root=True)
    assert figure is not None
    axes.legend(
        loc="lower left",
        bbox_to_anchor=(0.01, 1),
        bbox_transform=blended_transform_factory(figure.transFigure, axes.transAxes),
        ncols=columns,
        borderaxespad=0.2,
        handlelength=1.1,
        columnspacing=1.4,
    )


def scaled(largest: float, unit: str) -> tuple[float, str]:
    """Return the divisor and the unit in which `largest` is a handy number.

    `unit` is pJ, B or the name of countable things, e.g. cycles, which then reads "thousand cycles".
    """
    base = 1024.0 if unit == "B" else 1000.0
    steps = {"pJ": ("pJ", "nJ", "µJ", "mJ", "J"), "B": ("B", "KiB", "MiB", "GiB")}.get(
        unit, (unit, f"thousand {unit}", f"million {unit}", f"billion {unit}")
    )
    step = 0
    while step < len(steps) - 1 and largest >= base ** (step + 1):
        step += 1
    return base**step, steps[step]


def quantity(value: float, unit: str) -> str:
    """Write a value with three digits and a fitting unit; see `scaled`."""
    divisor, name = scaled(abs(value), unit)
    return f"{three_digits(value / divisor) if divisor > 1 else f'{value:.4g}'} {name}"


def printable(name: str) -> str:
    """Replace what no font draws and XML does not allow."""
    return "".join(char if char.isprintable() else "\N{REPLACEMENT CHARACTER}" for char in name)


def shortened(name: str, length: int = 42) -> str:
    """Return a layer's first name with the middle cut out where it is long: its ends tell most."""
    name = printable(short_name(name))
    if len(name) <= length:
        return name
    head = (length - 1) // 3
    return f"{name[:head]}…{name[len(name) - (length - 1 - head) :]}"
