"""DesignPoint: one accelerator on one network. Enumerated or drawn from a space, always the same for the same space."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import product
from math import prod
from pathlib import Path
from typing import Any

import numpy as np

from bittrue.moved_files import digest
from bittrue.sweeping.labelled import sample_digests
from bittrue.sweeping.metrics import KNOWN_BEFORE, figures_before
from bittrue.sweeping.space import Accuracy, Space
from simulator.errors import SpecError
from simulator.kernels._jit import source_hash
from simulator.records.hashing import content_hash

_LARGEST_GRID = 1_000_000


@dataclass(frozen=True)
class DesignPoint:
    """One evaluation to be done: everything that decides its result, as plain data."""

    key: str
    """Hash of specification, network, version and kernel sources: the same point has the same key anywhere."""
    accelerator: str
    """Preset or file that is changed."""
    changes: dict[str, Any]
    """Changes of it by dotted key."""
    network: str
    """Built-in name or file."""
    keywords: dict[str, Any]
    """Keywords of a built-in network."""
    accuracy: dict[str, Any] | None = None
    """Images for accuracy_loss, see `bittrue.sweeping.space.Accuracy`; None = time alone."""

    @property
    def label(self) -> str:
        """What a person calls it."""
        return ", ".join([self.network, *(f"{key}={value}" for key, value in self.changes.items())])


@dataclass(frozen=True)
class Points:
    """All points of a space, and what was left out of it."""

    points: tuple[DesignPoint, ...]
    impossible: int
    """Accelerators that the specification refuses (e.g. a controller that wants a square array)."""
    outside: int
    """Accelerators outside a constraint that is known before."""
    refusal: str
    """Why the first impossible one is; empty where all are possible."""


class PointMaker:
    """Makes design points of a space out of changes of its accelerator, and counts what it leaves out."""

    def __init__(self, space: Space) -> None:
        self._space, self._base, self._sources = space, space.base(), source_hash()
        self._limits = {name: limit for name, limit in space.constraints.items() if name in KNOWN_BEFORE}
        self._accuracy = None if space.accuracy is None else space.accuracy.plain()
        self._networks = [(choice, _identity(choice.network)) for choice in space.networks]
        # Points without values keep the keys that they had before there were points with them.
        self._more = () if space.accuracy is None else (_without_paths(self._accuracy), _contents(space.accuracy))
        self.impossible = 0
        """Accelerators that the specification refused."""
        self.refusal = ""
        """Why the first of them was refused."""
        self.outside = 0
        """Accelerators outside a constraint that is known before."""

    def points(self, changes: dict[str, Any]) -> list[DesignPoint]:
        """Return the points of one accelerator, one a network; none where it is left out."""
        space = self._space
        try:
            accelerator = self._base.evolve(changes)
        except SpecError as error:
            self.impossible += 1
            self.refusal = self.refusal or str(error)
            return []
        figures = figures_before(accelerator)
        if not all(limit.allows(figures[name]) for name, limit in self._limits.items()):
            self.outside += 1
            return []
        spec = accelerator.model_dump(mode="json", exclude_none=True)
        together = {**space.fixed, **changes}
        return [
            DesignPoint(
                content_hash(spec, identity, choice.keywords, self._sources, *self._more),
                space.accelerator,
                together,
                choice.network,
                choice.keywords,
                self._accuracy,
            )
            for choice, identity in self._networks
        ]

    def left_out(self) -> str:
        """Say how many accelerators were left out, and why the first impossible one."""
        why = f"; {self.refusal}" if self.refusal else ""
        return f"{self.impossible} accelerators are impossible, {self.outside} outside constraints{why}"


def _identity(network: str) -> str:
    """Return what a key has of a network: a built-in name, or the digest of a file, wherever it lies."""
    return digest(Path(network)) if Path(network).is_file() else network


def _without_paths(accuracy: Mapping[str, Any] | None) -> dict[str, Any]:
    return {key: value for key, value in (accuracy or {}).items() if key != "dataset" and not isinstance(value, list)}


def _contents(accuracy: Accuracy) -> list[str]:
    if isinstance(accuracy.images, int):
        return [] if accuracy.dataset is None else sample_digests(accuracy.dataset, accuracy.split, accuracy.images)
    return [digest(Path(name)) for name in accuracy.images]


def design_points(space: Space) -> Points:
    """Return the points of a space that is no search, in their order.

    Raises
    ------
    SpecError
        More than a million points, none at all, or fewer than `points` to draw from.

    """
    maker = PointMaker(space)
    found = [point for changes in _combinations(space) for point in maker.points(changes)]
    if not found:
        raise SpecError(f"{space.name}: the space has no point: {maker.left_out()}")
    different = tuple({point.key: point for point in found}.values())
    return Points(_spread(different, space.limit), maker.impossible, maker.outside, maker.refusal)


def _spread(points: tuple[DesignPoint, ...], limit: int | None) -> tuple[DesignPoint, ...]:
    """Return at most `limit` points, the first and the last among them, as evenly apart as can be."""
    if limit is None or limit >= len(points):
        return points
    last = max(1, limit - 1)
    return tuple(points[index * (len(points) - 1) // last] for index in range(limit))


def _combinations(space: Space) -> Iterator[dict[str, Any]]:
    axes = space.axes()
    size = prod(len(axis) for axis in axes)
    if space.method == "grid":
        if size > _LARGEST_GRID:
            raise SpecError(f"{space.name}: {size:,} points are too many; draw some: method: random, points: 1000")
        for combination in product(*axes):
            yield merged(combination)
        return
    assert space.points is not None
    if space.points > size:
        raise SpecError(f"{space.name}: {space.points} points to draw, the space has {size}; method: grid takes all")
    for row in _draw(space.method, [len(axis) for axis in axes], space.points, space.seed):
        yield merged([axis[index] for axis, index in zip(axes, row, strict=True)])


def _draw(method: str, sizes: list[int], count: int, seed: int) -> list[tuple[int, ...]]:
    """Draw different combinations of indices.

    A Latin hypercube has every value of an axis equally often, or nearly; where two of its rows are the same
    combination, the second is replaced by a random one.
    """
    generator = np.random.default_rng(seed)
    found: dict[tuple[int, ...], None] = {}
    if method == "latin_hypercube":
        columns = [generator.permutation(count) * size // count for size in sizes]
        found |= dict.fromkeys(zip(*(column.tolist() for column in columns), strict=True))
    while len(found) < count:
        columns = [generator.integers(size, size=count - len(found)) for size in sizes]
        found |= dict.fromkeys(zip(*(column.tolist() for column in columns), strict=True))
    return list(found)


def merged(alternatives: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """Return one alternative of each axis as changes of an accelerator."""
    found: dict[str, Any] = {}
    for changes in alternatives:
        found |= changes
    return found
