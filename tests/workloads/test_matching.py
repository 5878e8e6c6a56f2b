"""Classes of a network against classes of a data set."""

from __future__ import annotations

import pytest

from simulator.errors import InputError
from support.segmenter import CLASSES, IGNORE, write_dataset
from workloads.datasets import open_dataset
from workloads.datasets.matching import IGNORED, match_classes


@pytest.fixture
def dataset(tmp_path):
    return open_dataset(write_dataset(tmp_path, images=1), split="all")


def read(match):
    """Class of the network that each label of the data set reads as."""
    return match.table[: len(CLASSES)].tolist()


def test_the_same_names_in_any_order_and_spelling(dataset):
    match = match_classes(("Car", "ROAD", "sky ", "tree"), 4, dataset)
    assert (read(match), match.note) == ([2, 3, 1, 0], "")
    assert match.table[IGNORE] == IGNORED
    assert match.classes == ("Car", "ROAD", "sky ", "tree")


@pytest.mark.parametrize("names", [(), tuple(f"class {index}" for index in range(4))])
def test_numbered_classes_are_taken_in_order_and_it_is_said(dataset, names):
    match = match_classes(names, 4, dataset)
    assert (read(match), match.classes) == ([0, 1, 2, 3], CLASSES)
    assert "numbers its classes" in match.note


def test_a_mapping_decides(dataset):
    match = match_classes(("other", "Sky"), 2, dataset, {"sky": "sky", "*": "other"})
    assert read(match) == [1, 0, 0, 0]
    assert match.table[IGNORE] == IGNORED
    assert read(match_classes(("a", "b"), 2, dataset, dict(zip(CLASSES, "abab", strict=True)))) == [0, 1, 0, 1]


@pytest.mark.parametrize(
    ("names", "count", "mapping", "message"),
    [
        (
            ("sky", "tree", "road", "bus"),
            4,
            None,
            r"4 classes \(sky, tree, road, bus\) are not the 4 of folder \(sky, tree",
        ),
        ((), 21, None, r"21 classes \(class 0, .* \.\.\. class 20\) are not the 4"),
        ((), 256, None, "at most 255"),
        (("a", "b"), 2, {"sky": "c"}, "no class 'c'; it has a, b"),
        (("a", "b"), 2, {"moon": "a"}, "no class 'moon'; it has sky, tree, road, car"),
        (("a", "b"), 2, {"sky": "a", "tree": "b"}, "nothing stands for road, car"),
    ],
)
def test_classes_that_differ_are_refused_by_name(dataset, names, count, mapping, message):
    with pytest.raises(InputError, match=message):
        match_classes(names, count, dataset, mapping)
