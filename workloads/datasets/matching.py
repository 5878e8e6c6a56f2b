"""Which class of a network stands for which class of a data set."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from simulator.errors import InputError
from workloads.datasets.dataset import Dataset

IGNORED = 255
"""In a table: pixels that do not count."""

_NUMBERED = re.compile(r"class \d+")
_ALL_OTHERS = "*"
_LISTED = 6


@dataclass(frozen=True, eq=False)
class ClassMatch:
    """How the labels of a data set read in the classes of a network."""

    classes: tuple[str, ...]
    """Name of each class of the network; the data set's where the network only numbers them."""
    table: NDArray[np.uint8]
    """uint8 [256]: label of the data set -> class of the network, or IGNORED."""
    note: str = ""
    """What was assumed, or empty."""


def match_classes(
    names: tuple[str, ...], count: int, dataset: Dataset, mapping: Mapping[str, str] | None = None
) -> ClassMatch:
    """Match a network's classes with a data set's.

    Parameters
    ----------
    names
        Names of the network's classes; empty or "class 0", "class 1" ... where it only numbers them.
    count
        How many classes the network tells apart.
    dataset
        The data set.
    mapping
        {class of the data set: class of the network}; ``"*"`` stands for all classes not named. Without it the names
        must be the same but for order, capitals and punctuation; numbered classes are taken in the data set's order.

    Raises
    ------
    InputError
        Classes that differ, with both lists; a name in `mapping` that does not exist, or a class that it leaves out.

    """
    if count > IGNORED:
        raise InputError(f"the network tells {count} classes apart; at most {IGNORED} can be evaluated")
    numbered = not names or all(_NUMBERED.fullmatch(name) for name in names)
    own = names or tuple(f"class {index}" for index in range(count))
    if mapping:
        return ClassMatch(own, _table(dataset, _by_mapping(own, dataset, mapping)))
    if numbered:
        if count != len(dataset.classes):
            raise InputError(_differ(own, dataset))
        note = f"the network numbers its classes; they are taken to be those of {dataset.name} in its order"
        return ClassMatch(dataset.classes, _table(dataset, list(range(count))), note)
    places = {_plain(name): index for index, name in enumerate(own)}
    if len(own) != len(dataset.classes) or set(places) != {_plain(name) for name in dataset.classes}:
        raise InputError(_differ(own, dataset))
    return ClassMatch(own, _table(dataset, [places[_plain(name)] for name in dataset.classes]))


def _plain(name: str) -> str:
    return "".join(letter for letter in name.lower() if letter.isalnum())


def _table(dataset: Dataset, classes: list[int]) -> NDArray[np.uint8]:
    table = np.full(256, IGNORED, np.uint8)
    table[: len(classes)] = classes
    table[dataset.ignore_label] = IGNORED
    return table


def _by_mapping(own: tuple[str, ...], dataset: Dataset, mapping: Mapping[str, str]) -> list[int]:
    theirs = {_plain(name): index for index, name in enumerate(dataset.classes)}
    places = {_plain(name): index for index, name in enumerate(own)}
    found: dict[int, int] = {}
    rest: int | None = None
    for source, target in mapping.items():
        if _plain(target) not in places:
            raise InputError(f"map {source}={target}: the network has no class {target!r}; it has {_few(own)}")
        if source == _ALL_OTHERS:
            rest = places[_plain(target)]
        elif _plain(source) not in theirs:
            raise InputError(
                f"map {source}={target}: {dataset.name} has no class {source!r}; it has {_few(dataset.classes)}"
            )
        else:
            found[theirs[_plain(source)]] = places[_plain(target)]
    missing = [name for label, name in enumerate(dataset.classes) if label not in found]
    if missing and rest is None:
        raise InputError(f"map: nothing stands for {_few(tuple(missing))} of {dataset.name}; *=CLASS takes all others")
    assert rest is not None or not missing
    return [found[label] if label in found else int(rest or 0) for label in range(len(dataset.classes))]


def _differ(own: tuple[str, ...], dataset: Dataset) -> str:
    return (
        f"the network's {len(own)} classes ({_few(own)}) are not the {len(dataset.classes)} of {dataset.name} "
        f"({_few(dataset.classes)}); give a mapping, e.g. {dataset.classes[0]}={own[0]}, *={own[-1]}"
    )


def _few(names: tuple[str, ...]) -> str:
    more = f" ... {names[-1]}" if len(names) > _LISTED + 1 else ""
    return ", ".join(names[: _LISTED if more else None]) + more
