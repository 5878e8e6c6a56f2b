"""Copies of records with some fields changed."""

from __future__ import annotations

import dataclasses
from functools import cached_property

import pytest

from simulator.records.changed import changed
from simulator.records.overflow import OverflowRecord


def test_a_copy_differs_in_the_named_fields_alone():
    record = OverflowRecord(events=3, method="steps")
    new = changed(record, events=4, saturations=2)
    assert new == dataclasses.replace(record, events=4, saturations=2)
    assert record == OverflowRecord(events=3, method="steps")
    with pytest.raises(TypeError, match="OverflowRecord has no field event"):
        changed(record, event=1)


def test_cached_properties_are_no_fields_and_are_found_anew():
    """They follow from the fields, which may have changed."""

    @dataclasses.dataclass(frozen=True)
    class Sum:
        terms: tuple[int, ...]

        @cached_property
        def total(self) -> int:
            return sum(self.terms)

    record = Sum((1, 2))
    assert record.total == 3
    assert changed(record, terms=(4, 5)).total == 9
    with pytest.raises(TypeError, match="Sum has no field total"):
        changed(record, total=7)
