"""Draw the figures of docs/numerics.md from the specification, `simulator.numerics.scalar`.

    python -m benchmarks.curves

Plain SVG text of our own, no plotting library: the same bytes on every machine, which a test holds the files to.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

from simulator.numerics import scalar
from simulator.numerics.modes import OverflowMode, RoundingMode

FOLDER = Path(__file__).parents[1] / "docs" / "figures"
STYLE = """
text { font: 13px 'DejaVu Sans', Verdana, sans-serif; fill: var(--ink) }
.title { font: bold 14px 'DejaVu Sans Mono', Menlo, monospace }
.faint { fill: var(--faint) }
.grid { stroke: var(--grid) }
.axis { stroke: var(--faint) }
.ideal { stroke: var(--faint); stroke-dasharray: 3 4; fill: none }
.curve { stroke: #2b7bba; stroke-width: 3.2; fill: none; stroke-linejoin: round }
.event { stroke: #d95f02; stroke-width: 3.2; fill: none; stroke-linejoin: round }
.jump { stroke: #d95f02; stroke-dasharray: 1.5 3; fill: none }
.range { fill: #2b7bba; opacity: 0.11 }
.share { fill: #2b7bba }
.mean { stroke: #d95f02; stroke-width: 1.6; fill: none }
.tie { fill: #d95f02; stroke: #d95f02; stroke-width: 1.6 }
.whole { fill: #2b7bba; stroke: #2b7bba; stroke-width: 1.6 }
.open { fill: var(--page) }
.exact { stroke: var(--ink); stroke-width: 1.6; stroke-dasharray: 6 4; fill: none }
.wrap { stroke: #2b7bba; stroke-width: 2.2; fill: none; stroke-linejoin: round }
.saturate { stroke: #1a9e77; stroke-width: 2.2; fill: none; stroke-linejoin: round }
.of-wrap { fill: #2b7bba }
.of-saturate { fill: #1a9e77 }
svg { --ink: #1c2127; --faint: #69707b; --grid: #d5d9e0; --page: #ffffff; background: var(--page) }
@media (prefers-color-scheme: dark) {
  svg { --ink: #e6e9ee; --faint: #99a1ac; --grid: #343b45; --page: #0d1117 }
}
"""


def number(value: float) -> str:
    """Write a coordinate: at most two decimals, so that rounding of floats never shows."""
    text = f"{value:.2f}".rstrip("0").rstrip(".")
    return "0" if text == "-0" else text


def shown(value: float) -> str:
    """Write a value for readers: with a true minus sign."""
    return number(value).replace("-", "\N{MINUS SIGN}")


@dataclass
class Panel:
    """Axes at a place of the picture, in the data's units."""

    left: float
    top: float
    width: float
    height: float
    x_range: tuple[float, float]
    y_range: tuple[float, float]
    parts: list[str] = field(default_factory=list)

    def x(self, value: float) -> float:
        """Pixel column of a value."""
        low, high = self.x_range
        return self.left + (value - low) / (high - low) * self.width

    def y(self, value: float) -> float:
        """Pixel row of a value."""
        low, high = self.y_range
        return self.top + (high - value) / (high - low) * self.height

    def line(self, kind: str, points: Iterable[tuple[float, float]]) -> None:
        """Draw a polyline."""
        text = " ".join(f"{number(self.x(x))},{number(self.y(y))}" for x, y in points)
        self.parts.append(f'<polyline class="{kind}" points="{text}"/>')

    def dot(self, kind: str, x: float, y: float, radius: float = 4) -> None:
        """Draw a disc, or a ring with kind `... open`."""
        place = f'cx="{number(self.x(x))}" cy="{number(self.y(y))}"'
        self.parts.append(f'<circle class="{kind}" {place} r="{number(radius)}"/>')

    def box(self, kind: str, low: tuple[float, float], high: tuple[float, float], opacity: float = 1) -> None:
        """Fill the rectangle between two corners."""
        left, top, right, bottom = self.x(low[0]), self.y(high[1]), self.x(high[0]), self.y(low[1])
        size = f'x="{number(left)}" y="{number(top)}" width="{number(right - left)}" height="{number(bottom - top)}"'
        faded = "" if opacity == 1 else f' fill-opacity="{number(opacity)}"'
        self.parts.append(f'<rect class="{kind}" {size}{faded}/>')

    def text(self, content: str, x: float, y: float, kind: str = "", anchor: str = "start") -> None:
        """Write at pixels relative to the panel's upper left corner."""
        named = f' class="{kind}"' if kind else ""
        place = f'x="{number(self.left + x)}" y="{number(self.top + y)}" text-anchor="{anchor}"'
        self.parts.append(f"<text{named} {place}>{content}</text>")

    def grid(self, x_ticks: Sequence[float], y_ticks: Sequence[float]) -> None:
        """Draw grid lines at the ticks, the axes through 0, and the ticks' values below and to the left."""
        for tick in x_ticks:
            self.line("grid" if tick else "axis", [(tick, self.y_range[0]), (tick, self.y_range[1])])
            self.text(shown(tick), self.x(tick) - self.left, self.height + 17, "faint", "middle")
        for tick in y_ticks:
            self.line("grid" if tick else "axis", [(self.x_range[0], tick), (self.x_range[1], tick)])
            self.text(shown(tick), -7, self.y(tick) - self.top + 4.5, "faint", "end")


def picture(width: int, height: int, label: str, panels: Iterable[Panel]) -> str:
    """Return the SVG of some panels; `label` is what it shows, for those who do not see it."""
    body = "\n".join(part for panel in panels for part in panel.parts)
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" role="img" aria-label="{label}">'
    return f"{head}\n<style>{STYLE}</style>\n{body}\n</svg>\n"


# ---------------------------------------------------------------- rounding

SHIFT = 4
UNIT = 1 << SHIFT
"""Inputs of one output step."""
REACH = 2.75
CAPTIONS = {
    RoundingMode.TIES_AWAY: "nearest, a tie away from 0",
    RoundingMode.TIES_EVEN: "nearest, a tie to the even one",
    RoundingMode.TIES_POS: "nearest, a tie up",
    RoundingMode.TO_NEG: "down",
    RoundingMode.TO_ZERO: "towards 0",
    RoundingMode.STOCHASTIC: "up as often as the fraction says",
}


def rounding() -> str:
    """Draw what each rounding mode makes of values in sixteenths."""
    panels = [
        _rounding_panel(mode, 45 + 285 * (index % 3), 50 + 300 * (index // 3))
        for index, mode in enumerate(RoundingMode)
    ]
    key = Panel(45, 612, 800, 20, (0, 800), (0, 20))
    key.dot("tie", 6, 15)
    key.text("where a tie goes", 16, 9.5)
    key.dot("tie open", 146, 15)
    key.text("where it does not", 156, 9.5)
    key.dot("whole", 290, 15)
    key.text("jump at a whole number", 300, 9.5)
    key.box("share", (478, 10), (500, 20), 0.5)
    key.text("the paler, the rarer", 508, 9.5)
    key.line("mean", [(654, 15), (676, 15)])
    key.text("mean of all draws", 684, 9.5)
    return picture(890, 645, "Transfer curves of the six rounding modes", [*panels, key])


def _rounding_panel(mode: RoundingMode, left: float, top: float) -> Panel:
    panel = Panel(left, top, 240, 216, (-REACH, REACH), (-3.3, 3.3))
    panel.text(mode.value, 0, -26, "title")
    panel.text(CAPTIONS[mode], 0, -9, "faint")
    panel.grid(range(-2, 3), range(-3, 4))
    panel.line("ideal", [(-REACH, -REACH), (REACH, REACH)])
    inputs = range(int(-REACH * UNIT), int(REACH * UNIT) + 1)
    if mode is RoundingMode.STOCHASTIC:
        _draw_shares(panel, inputs)
    else:
        _draw_stairs(panel, inputs, lambda value: scalar.rounding_shift_right(value, SHIFT, mode))
    return panel


def _draw_stairs(panel: Panel, inputs: Sequence[int], function: Callable[[int], int]) -> None:
    """Draw flat steps; of two neighbours with different outputs, the jump is at the multiple of a half."""
    jumps = [(a, b) for a, b in pairwise(inputs) if function(a) != function(b)]
    at = [next(value for value in jump if value % (UNIT // 2) == 0) for jump in jumps]
    ends = [inputs[0], *at, inputs[-1]]
    levels = [function(inputs[0]), *(function(b) for _, b in jumps)]
    for level, (begin, end) in zip(levels, pairwise(ends), strict=True):
        panel.line("curve", [(begin / UNIT, level), (end / UNIT, level)])
    for place, jump in zip(at, jumps, strict=True):
        kind = "whole" if place % UNIT == 0 else "tie"
        for value in jump:
            panel.dot(kind if value == place else f"{kind} open", place / UNIT, function(value))


def _draw_shares(panel: Panel, inputs: Sequence[int]) -> None:
    """Draw each output as strongly as it is frequent among all draws, and the mean of them."""
    means = []
    for value in inputs:
        outputs = [scalar.rounding_shift_right(value, SHIFT, RoundingMode.STOCHASTIC, draw) for draw in range(UNIT)]
        x = value / UNIT
        for level in sorted(set(outputs)):
            corners = (max(x - 0.5 / UNIT, -REACH), level - 0.09), (min(x + 0.5 / UNIT, REACH), level + 0.09)
            panel.box("share", *corners, opacity=outputs.count(level) / UNIT)
        means.append((x, sum(outputs) / UNIT))
    panel.line("mean", means)


# ---------------------------------------------------------------- overflow

BITS = 8
LOW, HIGH = -(1 << (BITS - 1)), (1 << (BITS - 1)) - 1


def overflow() -> str:
    """Draw what a register of eight bits holds after one addition whose exact sum is given."""
    panels = [
        _overflow_panel(OverflowMode.WRAP, "the low bits stay: off by a multiple of 256", 55),
        _overflow_panel(OverflowMode.SATURATE, "stays at the nearer end", 490),
    ]
    key = Panel(55, 304, 800, 20, (0, 800), (0, 20))
    key.line("curve", [(0, 10), (22, 10)])
    key.text("the sum fits", 30, 14.5)
    key.line("event", [(150, 10), (172, 10)])
    key.text("an event; a register that traps stops here", 180, 14.5)
    key.text(f"horizontal: exact sum, vertical: the register ({BITS} bits)", 800, 14.5, "faint", "end")
    return picture(890, 335, "Transfer curves of a wrapping and a saturating register", [*panels, key])


def _overflow_panel(mode: OverflowMode, caption: str, left: float) -> Panel:
    panel = Panel(left, 55, 375, 215, (-400, 400), (-160, 160))
    panel.text(mode.value, 0, -28, "title")
    panel.text(caption, 0, -11, "faint")
    panel.box("range", (LOW, -160), (HIGH, 160))
    panel.grid([-384, -256, LOW, 0, HIGH, 256, 384], [LOW, 0, HIGH])
    panel.line("ideal", [(-160, -160), (160, 160)])
    pieces: list[tuple[bool, list[tuple[float, float]]]] = []
    for total in range(-400, 401):
        value, event = scalar.load(total, BITS, mode)
        kind, points = pieces[-1] if pieces else (None, [])
        if kind is not event or abs(value - points[-1][1]) > 1:
            pieces.append((event, []))
        pieces[-1][1].append((total, value))
    for (_, before), (_, after) in pairwise(pieces):
        if abs(before[-1][1] - after[0][1]) > 1:
            panel.line("jump", [before[-1], after[0]])
    for event, points in pieces:
        panel.line("event" if event else "curve", [points[0], points[-1]])
    return panel


# ---------------------------------------------------------------- a running sum

PRODUCTS = (
    *(9, 17, 23, -6, 28, 31, 12, 34, 25, -9, 30, 22, 16, -12, 27, 20, 11, 24, -14, 18),
    *(-21, 6, -30, -18, 4, -33, -25, -10, -36, 8, -28, -15, -21, 5, -12, -7, -18, 10, -12, 7),
)


def running_sum() -> str:
    """Draw one sum, addition by addition: as it is, in a wrapping and in a saturating register."""
    panel = Panel(55, 20, 640, 280, (-1, len(PRODUCTS) - 1), (-150, 340))
    panel.box("range", (-1, LOW), (len(PRODUCTS) - 1, HIGH))
    panel.grid(range(0, len(PRODUCTS), 5), [LOW, 0, HIGH, 256])
    exact = _trace(OverflowMode.WRAP, 64)
    traces = {mode: _trace(mode, BITS) for mode in (OverflowMode.SATURATE, OverflowMode.WRAP)}
    panel.line("exact", [(k - 1, value) for k, (value, _) in enumerate(exact)])
    labels = [(exact[-1][0], "exact", "", "")]
    for mode, trace in traces.items():
        panel.line(mode.value, [(k - 1, value) for k, (value, _) in enumerate(trace)])
        for k, (value, event) in enumerate(trace):
            if event:
                panel.dot("tie", k - 1, value, 3.4)
        count = sum(event for _, event in trace)
        labels.append((trace[-1][0], mode.value, f", {count} events", f"of-{mode.value}"))
    row = 0.0
    for value, name, events, kind in sorted(labels, key=lambda label: (-label[0], label[1])):
        row = max(panel.y(value) - panel.top + 4.5, row + 18)
        panel.text(f"{name} {shown(value)}{events}", panel.width + 10, row, kind)
    panel.dot("tie", 1, 322, 3.4)
    panel.text("an event", panel.x(1) - panel.left + 10, panel.y(322) - panel.top + 4.5)
    panel.text("k, the number of the addition", panel.width, panel.height + 36, "faint", "end")
    return picture(890, 345, "A sum that leaves the range of its register and comes back", [panel])


def _trace(mode: OverflowMode, bits: int) -> list[tuple[int, bool]]:
    """Return what the register holds before the first and after each addition, and whether that was an event."""
    trace = [(0, False)]
    for product in PRODUCTS:
        trace.append(scalar.add(trace[-1][0], product, bits, mode))
    return trace


FIGURES = {"rounding": rounding, "overflow": overflow, "running_sum": running_sum}


def main() -> None:
    """Write docs/figures."""
    FOLDER.mkdir(exist_ok=True)
    for name, draw in FIGURES.items():
        path = FOLDER / f"{name}.svg"
        path.write_text(draw(), encoding="utf-8", newline="\n")
        print(path)


if __name__ == "__main__":
    main()
