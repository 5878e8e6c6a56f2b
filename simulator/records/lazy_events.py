"""Events of a timeline that are made when somebody looks at them: most runs of a sweep are never looked at."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import overload

from simulator.records.run import TraceEvent


class LazyEvents(Sequence[TraceEvent]):
    """A sequence equal to the tuple that `make` returns, which is called once, at the first look."""

    def __init__(self, make: Callable[[], tuple[TraceEvent, ...]]) -> None:
        self._make = make
        self._made: tuple[TraceEvent, ...] | None = None

    def _events(self) -> tuple[TraceEvent, ...]:
        if self._made is None:
            self._made = self._make()
        return self._made

    @overload
    def __getitem__(self, index: int) -> TraceEvent: ...
    @overload
    def __getitem__(self, index: slice) -> tuple[TraceEvent, ...]: ...
    def __getitem__(self, index: int | slice) -> TraceEvent | tuple[TraceEvent, ...]:
        return self._events()[index]

    def __len__(self) -> int:
        return len(self._events())

    def __eq__(self, other: object) -> bool:
        return tuple(other) == self._events() if isinstance(other, LazyEvents | tuple) else NotImplemented

    def __hash__(self) -> int:
        return hash(self._events())
