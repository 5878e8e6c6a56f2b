"""Save a run with everything a reader may want of it: record, arrays, trace and report."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from reports.html import render
from reports.trace import write_trace
from simulator.errors import RunFolderError
from simulator.records.channel_ledger import ChannelLedger
from simulator.records.run import RunRecord
from simulator.records.store import read_run, staged_folder, write_record


def save_run(
    directory: Path,
    record: RunRecord,
    outputs: Mapping[str, NDArray[Any]],
    tensors: Mapping[str, NDArray[Any]] | None = None,
    preview: NDArray[np.uint8] | None = None,
    channels: Sequence[ChannelLedger | None] = (),
) -> Path:
    """Write the run folder, whole or not at all, and return its path.

    Raises
    ------
    RunFolderError
        `directory` exists and is no run folder, or cannot be written.

    """
    with staged_folder(directory) as folder:
        write_record(folder, record, outputs, tensors, preview, channels)
        if record.events:
            write_trace(folder / "trace.json.gz", record)
        (folder / "report.html").write_text(render(record, dict(outputs), preview), encoding="utf-8")
    return directory


def rebuild_report(directory: Path) -> Path:
    """Draw report.html of a saved run again and return its path; RunFolderError where the folder is damaged."""
    stored = read_run(directory)
    path = directory / "report.html"
    draft = directory / ".report.html.new"
    try:
        draft.write_text(render(stored.record, stored.outputs, stored.preview), encoding="utf-8")
        draft.replace(path)
    except OSError as error:
        draft.unlink(missing_ok=True)
        raise RunFolderError(f"{path} cannot be written: {error.strerror or error}") from None
    return path
