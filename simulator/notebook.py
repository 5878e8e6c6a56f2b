"""Tables for notebooks: small, in the colours of the page, light or dark."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape

_TABLE = "color:inherit;border-collapse:collapse;font-size:90%;font-variant-numeric:tabular-nums"
_LABEL = "text-align:left;padding:1px 1.5em 1px 0;font-weight:normal;opacity:.7"
_TEXT = "text-align:left;padding:1px 1em 1px 0"
_NUMBER = "text-align:right;padding:1px 1em 1px 0"


def facts_table(title: str, facts: Sequence[tuple[str, str]]) -> str:
    """Return a heading and a table of (label, value) lines, as HTML."""
    lines = "".join(
        f'<tr style="background:none"><th style="{_LABEL}">{escape(label)}</th>'
        f'<td style="{_TEXT}">{escape(value)}</td></tr>'
        for label, value in facts
    )
    return f'<div><b>{escape(title)}</b><table style="{_TABLE}">{lines}</table></div>'


def folded_table(summary: str, rows: Sequence[Mapping[str, str]], text_columns: int) -> str:
    """Return a table that opens on a click, one line a row; all but the first `text_columns` stand to the right."""
    if not rows:
        return ""

    def line(cells: Sequence[str], tag: str) -> str:
        styles = [_TEXT if place < text_columns else _NUMBER for place in range(len(cells))]
        found = (f'<{tag} style="{style}">{escape(cell)}</{tag}>' for cell, style in zip(cells, styles, strict=True))
        return f'<tr style="background:none">{"".join(found)}</tr>'

    body = "".join(line(list(row.values()), "td") for row in rows)
    table = f'<table style="{_TABLE}">{line(list(rows[0]), "th")}{body}</table>'
    return f'<details><summary>{escape(summary)}</summary><div style="overflow-x:auto">{table}</div></details>'
