"""The figures of docs/numerics.md show the specification as it is."""

from __future__ import annotations

import re
from pathlib import Path
from xml.etree import ElementTree

import pytest

from benchmarks.curves import BITS, FIGURES, FOLDER, PRODUCTS, rounding
from simulator.numerics import scalar
from simulator.numerics.modes import OverflowMode, RoundingMode

PAGE = Path(__file__).parents[2] / "docs" / "numerics.md"


@pytest.mark.parametrize("name", FIGURES)
def test_the_files_are_what_the_specification_draws(name):
    drawn = FIGURES[name]()
    assert (FOLDER / f"{name}.svg").read_bytes() == drawn.encode(), "run python -m benchmarks.curves"
    ElementTree.fromstring(drawn)


def _shown(page: Path) -> list[str]:
    return re.findall(r"\]\((?:\.\./)?figures/(\w+)\.svg\)", page.read_text(encoding="utf-8"))


def test_the_page_shows_every_figure_of_the_curves():
    assert sorted(_shown(PAGE)) == sorted(FIGURES)


def test_no_figure_lies_there_that_no_page_shows():
    shown = {name for page in PAGE.parent.rglob("*.md") for name in _shown(page)}
    assert shown == {path.stem for path in FOLDER.glob("*.svg")}


def test_a_change_of_the_specification_shows(monkeypatch):
    right = scalar.rounding_shift_right
    before = rounding()
    monkeypatch.setattr(
        scalar,
        "rounding_shift_right",
        lambda value, shift, mode, draw=0: right(
            value, shift, RoundingMode.TIES_POS if mode is RoundingMode.TIES_AWAY else mode, draw
        ),
    )
    assert rounding() != before


def test_every_mode_is_on_the_page():
    text = PAGE.read_text(encoding="utf-8")
    assert [mode for mode in (*RoundingMode, *OverflowMode) if f"| `{mode}` |" not in text] == []


def test_the_running_sum_tells_what_the_page_says_of_it():
    """One that wrapped is right again in the end; one that saturated is not."""
    wrapped = scalar.accumulate_output_stationary(PRODUCTS, [1] * len(PRODUCTS), 0, BITS, OverflowMode.WRAP)
    saturated = scalar.accumulate_output_stationary(PRODUCTS, [1] * len(PRODUCTS), 0, BITS, OverflowMode.SATURATE)
    assert wrapped.value == sum(PRODUCTS) != saturated.value
    assert min(wrapped.accumulator_events, saturated.accumulator_events) > 0


def test_two_roundings_are_not_one():
    assert scalar.multiply_by_quantized_multiplier(2**31 - 1, 2**30, -31) == 1
    assert scalar.rounding_shift_right(2**31 - 1, 32, RoundingMode.TIES_AWAY) == 0
