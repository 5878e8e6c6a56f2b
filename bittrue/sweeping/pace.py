"""How long the rest of a sweep will take, said once it is known: from the pace of its first points."""

from __future__ import annotations

import time
from collections.abc import Callable

from bittrue.sweeping.run import Progress

WARM_UP_S = 5
"""From the first result on nothing is counted for so long: little is shared yet, and points take longest."""
AFTER_S = 5
"""How long points are then counted before anything is said."""
WORTH_SAYING_S = 10
"""A rest that is shorter is not announced."""


class Pace:
    """Hands progress on, and says once what is left."""

    def __init__(self, update: Progress, note: Callable[[str], None]) -> None:
        self._update, self._note = update, note
        self._warm_s: float | None = None
        self._first: tuple[float, int] | None = None
        self._known: int | None = None
        self._told = False

    def update(self, done: int, total: int, label: str) -> None:
        """Take a step: points done, those that the store knew among them, and points in all."""
        self._update(done, total, label)
        if self._known is None:
            self._known = done
        if self._told or done == self._known:
            return
        now = time.monotonic()
        if self._warm_s is None:
            self._warm_s = now + WARM_UP_S
        if now < self._warm_s:
            return
        if self._first is None:
            self._first = now, done
        seconds, found = now - self._first[0], done - self._first[1]
        if seconds >= AFTER_S and found:
            self._told = True
            left_s = (total - done) * seconds / found
            if left_s >= WORTH_SAYING_S:
                self._note(
                    f"{done:,} of {total:,} points, {found / seconds:.3g} a second: at this pace {_told(left_s)} more"
                )


def _told(seconds: float) -> str:
    """Return a duration to one or two figures: no more of it is known."""
    if seconds < 100:
        return f"about {seconds:.0f} s"
    return f"about {seconds / 60:.0f} min" if seconds < 6000 else f"about {seconds / 3600:.0f} h"
