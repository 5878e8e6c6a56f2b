"""Tables that are printed row by row while a benchmark runs."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

_GAP = "  "


class PlainTable:
    """Columns of fixed width: the first to the left, the others to the right; longer cells push their row."""

    def __init__(self, first: tuple[str, int], *others: tuple[str, int]) -> None:
        self._widths = [max(len(header), width) for header, width in (first, *others)]
        self._headers = [header for header, _ in (first, *others)]

    def header(self) -> str:
        """Return the line of headers."""
        return self.row(self._headers)

    def row(self, cells: Sequence[str]) -> str:
        """Return a line; one cell for each column."""
        first, *others = zip(cells, self._widths, strict=True)
        return _GAP.join([first[0].ljust(first[1]), *(cell.rjust(width) for cell, width in others)]).rstrip()


def positive_integers(text: str) -> tuple[int, ...]:
    """Read a comma-separated option such as ``1,2``."""
    try:
        values = tuple(int(part) for part in text.split(",") if part)
    except ValueError:
        values = ()
    if not values or min(values) < 1:
        raise argparse.ArgumentTypeError(f"whole numbers from 1, separated by commas, not {text!r}")
    return values


def words(text: str) -> tuple[str, ...]:
    """Read a comma-separated option of names."""
    return tuple(part for part in text.split(",") if part)
