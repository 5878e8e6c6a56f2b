"""Every field of every record explains itself."""

from __future__ import annotations

import dataclasses
from functools import cached_property

import pytest

from simulator.errors import SpecError
from simulator.records.accumulator_sweep import OutputError, SweepPoint
from simulator.records.evaluation import EvaluationRecord, EvaluationRow, UnusableSample
from simulator.records.explain import explain, explanations
from simulator.records.layer import EnergyRecord, LayerRecord
from simulator.records.overflow import FirstEvent, OverflowRecord
from simulator.records.run import RunRecord, Segmentation, TraceEvent

RECORDS = (
    *(LayerRecord, EnergyRecord, OverflowRecord, RunRecord, Segmentation, TraceEvent, SweepPoint, OutputError),
    *(EvaluationRecord, EvaluationRow, UnusableSample),
)


@pytest.mark.parametrize("record", RECORDS, ids=lambda record: record.__name__)
def test_every_field_and_property_has_an_explanation(record):
    names = {field.name for field in dataclasses.fields(record)}
    names |= {name for name, value in vars(record).items() if isinstance(value, property | cached_property)}
    told = {item.field: item for item in explanations() if item.record == record.__name__}
    assert set(told) == names
    assert [name for name, item in told.items() if len(item.text) < 5 or not item.type] == []


def test_named_tuples_are_explained_too():
    assert [item.field for item in explanations() if item.record == "FirstEvent"] == list(FirstEvent._fields)


def test_a_formula_is_told_in_one_line():
    (item,) = explain("stall_cycles")
    assert item.text == "total_cycles - compute_cycles = load_stall_cycles + store_stall_cycles: its engine waits."
    assert (item.record, item.type, item.path) == ("LayerRecord", "int", "layers[i].stall_cycles")
    assert "\n" not in explain("unique_bytes")[0].text


def test_a_name_of_several_records_is_told_for_each():
    assert {item.record for item in explain("dram_read_bytes")} == {"LayerRecord", "RunRecord"}
    assert [item.record for item in explain("RunRecord.dram_read_bytes")] == ["RunRecord"]
    assert [item.record for item in explain("overflow.events")] == ["OverflowRecord"]
    assert [item.path for item in explain("layers.overflow.first_event.k")] == ["layers[i].overflow.first_event.k"]


@pytest.mark.parametrize(
    ("typo", "hint"),
    [
        ("utilisation", "did you mean utilization"),
        ("layers.overflow.neded_bits", "did you mean needed_bits"),
        ("scratchpad", "did you mean input_scratchpad"),
        ("zzzzzz", "`bittrue explain` alone lists them all"),
    ],
)
def test_a_typo_is_told_the_nearest_name(typo, hint):
    with pytest.raises(SpecError, match=hint):
        explain(typo)
