"""Draw rows of text as a table that fits the page: names shortened first, then the least needed columns left out."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from rich.cells import cell_len
from rich.console import Console
from rich.text import Text

Row = Mapping[str, str]

_GAP = 2
_SHORTEST_NAME = 20
_NUMERIC = re.compile(r"[-+<>~=]*\.?[0-9][0-9.,]*( ?[A-Za-z%/]{0,6})?|-?")


@dataclass(frozen=True)
class Column:
    """One column as it will be drawn."""

    header: str
    width: int
    numeric: bool


@dataclass(frozen=True)
class Layout:
    """The columns that fit, and the headers of those that do not."""

    columns: tuple[Column, ...]
    left_out: tuple[str, ...]


def fit(rows: Sequence[Row], width: int, flexible: Sequence[str] = (), spare: Sequence[str] = ()) -> Layout:
    """Choose the columns of a table.

    Parameters
    ----------
    rows
        {header: cell}, the same headers in every row.
    width
        Characters that a line may have.
    flexible
        Headers of columns whose cells may be shortened, to 20 characters at the least.
    spare
        Headers of columns that may be left out, the first to go first.

    """
    columns = [_natural(header, [row[header] for row in rows]) for header in rows[0]] if rows else []
    left_out: list[str] = []
    while (excess := _total(columns) - width) > 0:
        reducible = [column for column in columns if column.header in flexible and column.width > _SHORTEST_NAME]
        if sum(column.width - _SHORTEST_NAME for column in reducible) >= excess:
            columns = _shorten(columns, reducible, excess)
            break
        gone = next((header for header in spare if any(column.header == header for column in columns)), None)
        if gone is None:
            columns = _shorten(columns, reducible, excess)
            break
        columns = [column for column in columns if column.header != gone]
        left_out.append(gone)
    return Layout(tuple(columns), tuple(left_out))


def shorten(text: str, width: int) -> str:
    """Cut the beginning off a long text: the layers of a network share it, the end tells them apart."""
    return text if len(text) <= width else f"..{text[len(text) - (width - 2) :]}"


def draw(console: Console, rows: Sequence[Row], *, flexible: Sequence[str] = (), spare: Sequence[str] = ()) -> None:
    """Print rows as a table fitted to the console; see `fit`."""
    if not rows:
        return
    layout = fit(rows, console.width, flexible, spare)
    for line in _heading(layout.columns):
        console.print(Text(line, style="bold"))
    console.print("-" * _total(layout.columns))
    for row in rows:
        console.print(Text(_line(layout.columns, row)))
    if layout.left_out:
        console.print(Text(f"(left out for lack of room: {', '.join(layout.left_out)})"))


def _heading(columns: Sequence[Column]) -> list[str]:
    wrapped = [textwrap.wrap(column.header, column.width, break_long_words=False) for column in columns]
    height = max(len(lines) for lines in wrapped)
    padded = [[""] * (height - len(lines)) + lines for lines in wrapped]  # headers stand on the rule
    rows = [{c.header: lines[i] for c, lines in zip(columns, padded, strict=True)} for i in range(height)]
    return [_line(columns, row) for row in rows]


def _line(columns: Sequence[Column], row: Row) -> str:
    cells = [_padded(column, shorten(row[column.header], column.width)) for column in columns]
    return (" " * _GAP).join(cells).rstrip()


def _padded(column: Column, text: str) -> str:
    space = " " * (column.width - cell_len(text))
    return space + text if column.numeric else text + space


def _natural(header: str, cells: Sequence[str]) -> Column:
    longest_word = max((len(word) for word in header.split()), default=1)
    width = max([longest_word, *(cell_len(cell) for cell in cells)])
    return Column(header, width, all(_NUMERIC.fullmatch(cell) for cell in cells))


def _total(columns: Sequence[Column]) -> int:
    return sum(column.width + _GAP for column in columns) - _GAP


def _shorten(columns: Sequence[Column], reducible: Sequence[Column], excess: int) -> list[Column]:
    widths = {column.header: column.width for column in reducible}
    for _ in range(excess):
        widest = max(widths, key=lambda header: widths[header], default=None)
        if widest is None or widths[widest] <= _SHORTEST_NAME:
            break
        widths[widest] -= 1
    return [Column(c.header, widths.get(c.header, c.width), c.numeric) for c in columns]
