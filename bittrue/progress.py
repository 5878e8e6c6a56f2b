"""Progress of a run on standard error: a bar on a terminal, one line a phase elsewhere."""

from __future__ import annotations

from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from bittrue.tables import shorten

_LABEL_WIDTH = 32
_PHASES = {"calibrate": "calibrate", "values": "execute", "time": "time"}
"""What steps are labelled by those who do them -> the phase they belong to."""


class RunProgress:
    """Shows what a run is doing. Enter it, name each `phase`, and hand `update` to whoever reports steps."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._phase = ""
        self._bar: Progress | None = None
        self._task: TaskID | None = None
        if console.is_terminal:
            self._bar = Progress(
                TextColumn("{task.fields[phase]:<9}"),
                BarColumn(bar_width=30),
                MofNCompleteColumn(),
                TimeElapsedColumn(),
                TextColumn("{task.description}"),
                console=console,
                transient=True,
            )

    def __enter__(self) -> Self:
        if self._bar is not None:
            self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bar is not None:
            self._bar.stop()

    def phase(self, name: str, what: str = "") -> None:
        """Begin a phase: load, calibrate, lower, execute, time or save."""
        if name == self._phase:
            return
        self._phase = name
        if self._bar is None:
            self._console.print(f"{name} {what}".rstrip())
            return
        if self._task is not None:
            self._bar.remove_task(self._task)
        self._task = self._bar.add_task(shorten(what, _LABEL_WIDTH), total=None, phase=name)

    def note(self, text: str) -> None:
        """Write a line that stays, above the bar."""
        self._console.print(text)

    def update(self, done: int, total: int, label: str) -> None:
        """Show a step; a label such as ``values: conv1`` names its phase."""
        kind, _, what = label.partition(": ")
        if kind in _PHASES:
            self.phase(_PHASES[kind])
        else:
            what = label
        if self._bar is not None and self._task is not None:
            self._bar.update(self._task, completed=done, total=total, description=shorten(what, _LABEL_WIDTH))
