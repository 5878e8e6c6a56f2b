"""A saved run in another format: for a pull request, a table, a timeline or a viewer of networks."""

from __future__ import annotations

from collections.abc import Callable

from reports.html import render
from reports.markdown import markdown
from reports.model_explorer import node_data_text
from reports.parquet import parquet
from reports.trace import trace_bytes
from simulator.errors import InputError
from simulator.records.store import StoredRun, layers_csv

_MAKERS: dict[str, Callable[[StoredRun, str], bytes | str]] = {
    "html": lambda stored, _: render(stored.record, stored.outputs, stored.preview),
    "md": lambda stored, _: markdown(stored.record),
    "csv": lambda stored, _: layers_csv(stored.record),
    "parquet": lambda stored, _: parquet(stored.record),
    "trace": lambda stored, _: _trace(stored),
    "model-explorer": lambda stored, field: node_data_text(stored.record, field),
}

FORMATS = tuple(_MAKERS)
"""Names of the formats."""
BINARY = ("parquet", "trace")
"""Those that are no text."""


def made(stored: StoredRun, name: str, field: str) -> bytes:
    """Return a saved run in one of FORMATS, the same bytes for the same run.

    Parameters
    ----------
    stored
        The run.
    name
        One of FORMATS.
    field
        What `model-explorer` shows of each layer.

    Raises
    ------
    InputError
        The run has nothing of the kind, or an extra is missing.

    """
    content = _MAKERS[name](stored, field)
    return content.encode() if isinstance(content, str) else content


def _trace(stored: StoredRun) -> bytes:
    if not stored.record.events:
        raise InputError(f"this run of {stored.record.network} has no timeline: no time was computed")
    return trace_bytes(stored.record)
