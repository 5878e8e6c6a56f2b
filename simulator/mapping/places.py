"""Where a tensor lies that is part of a larger one: a part of a concatenation, written where the result has it."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Place:
    """Runs of a tensor, evenly spaced in the larger one. All in elements."""

    run: int
    """Elements that lie together: those of one position of the axes outside the joined one."""
    pitch: int
    """From the beginning of a run to that of the next."""
    offset: int
    """Of the first run."""

    @classmethod
    def joined(cls, part: tuple[int, ...], whole: tuple[int, ...], axis: int, before: int) -> Place:
        """Return the place of a part in a concatenation along `axis`, `before` positions after its beginning."""
        inside = prod(whole[axis + 1 :])
        return cls(part[axis] * inside, whole[axis] * inside, before * inside)

    def within(self, larger: Place) -> Place | None:
        """Return the place in what `larger` is part of; None where that is no even spacing."""
        if larger.run != self.pitch:
            return None
        return Place(self.run, larger.pitch, larger.offset + self.offset)

    def address(self, element: Ints) -> Ints:
        """Return where elements lie that stand at the flat indices `element` of the part."""
        return np.asarray(element // self.run * self.pitch + self.offset + element % self.run, np.int64)

    def box(self, first: Ints, end: Ints) -> tuple[Ints, Ints]:
        """Return first element and the one behind the last, likewise, of boxes from `first` to before `end`."""
        return self.address(first), self.address(end - 1) + 1
