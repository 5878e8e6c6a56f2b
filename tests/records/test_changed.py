"""Copies of records with some fields changed."""

from __future__ import annotations

import dataclasses

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
