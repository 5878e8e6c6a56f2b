"""Tables fit the page they are drawn on."""

from __future__ import annotations

import io

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from bittrue.tables import draw, fit, shorten

ROWS = [
    {"layer": "backbone/stage1/block2/conv1", "op": "Conv2D", "MACs [M]": "1.5", "DRAM traffic [KiB]": "12", "x": "-"},
    {"layer": "add", "op": "Add", "MACs [M]": "1200", "DRAM traffic [KiB]": "3.25", "x": "7"},
]


def _drawn(width, **options):
    file = io.StringIO()
    draw(Console(file=file, width=width, highlight=False, markup=False), ROWS, **options)
    return file.getvalue().splitlines()


def test_a_wide_page_shows_everything_aligned():
    assert _drawn(200) == [
        "                                               DRAM",
        "                                      MACs  traffic",
        "layer                         op       [M]    [KiB]  x",
        "------------------------------------------------------",
        "backbone/stage1/block2/conv1  Conv2D   1.5       12  -",
        "add                           Add     1200     3.25  7",
    ]


@pytest.mark.parametrize("width", range(46, 70))
def test_no_line_is_longer_than_the_page(width):
    lines = _drawn(width, flexible=("layer",), spare=("x",))
    assert max(map(len, lines)) <= width
    assert len(lines) <= 7


def test_names_are_shortened_before_columns_are_left_out():
    assert [c.header for c in fit(ROWS, 48, ("layer",), ("op",)).columns] == list(ROWS[0])
    narrow = fit(ROWS, 35, ("layer",), ("op", "x"))
    assert narrow.left_out == ("op", "x")
    assert [(c.header, c.width) for c in narrow.columns] == [("layer", 20), ("MACs [M]", 4), ("DRAM traffic [KiB]", 7)]


def test_what_is_left_out_is_told():
    assert _drawn(35, flexible=("layer",), spare=("x", "op"))[-1] == "(left out for lack of room: x, op)"


def test_brackets_are_not_markup():
    file = io.StringIO()
    draw(Console(file=file, width=80), [{"name [bold]": "[red]x[/red]"}])
    assert "[red]x[/red]" in file.getvalue()
    assert "[bold]" in file.getvalue()


def test_shortening_keeps_the_end():
    assert shorten("backbone/stage1/block2/conv1", 16) == "..1/block2/conv1"
    assert shorten("short", 16) == "short"


@given(st.text(max_size=60), st.integers(14, 40))
def test_shortened_text_has_the_width_and_the_end(text, width):
    short = shorten(text, width)
    if len(text) <= width:
        assert short == text
    else:
        assert (len(short), short[-12:]) == (width, text[-12:])
