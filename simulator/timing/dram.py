"""What engines share, as a SimPy resource that is granted in a defined order."""

from __future__ import annotations

from heapq import heappop, heappush
from typing import Any

import simpy


class _EndOfCycle(simpy.Event):
    """Fires after everything else that happens in the present cycle."""

    def __init__(self, env: simpy.Environment) -> None:
        super().__init__(env)
        self._ok = True
        self._value: Any = None
        env.schedule(self, priority=2)  # type: ignore[arg-type]


class Arbiter:
    """One holder at a time; requests are granted by (cycle of the request, engine id, sequence).

    Requests of one cycle are all known before any is granted, so the order does not depend on how SimPy happens to
    order events within a cycle.
    """

    def __init__(self, env: simpy.Environment) -> None:
        self._env = env
        self._waiting: list[tuple[int, int, int, simpy.Event]] = []
        self._sequence = 0
        self._busy = False
        self._arbiter: _EndOfCycle | None = None

    def request(self, engine_id: int) -> simpy.Event:
        """Event that fires when it is the caller's."""
        grant = self._env.event()
        heappush(self._waiting, (int(self._env.now), engine_id, self._sequence, grant))
        self._sequence += 1
        self._arbitrate_later()
        return grant

    def release(self) -> None:
        """Give it back."""
        self._busy = False
        self._arbitrate_later()

    def _arbitrate_later(self) -> None:
        if self._arbiter is None and not self._busy and self._waiting:
            self._arbiter = _EndOfCycle(self._env)
            assert self._arbiter.callbacks is not None
            self._arbiter.callbacks.append(self._grant)

    def _grant(self, _: simpy.Event) -> None:
        self._arbiter = None
        if not self._busy and self._waiting:
            self._busy = True
            heappop(self._waiting)[3].succeed()
