"""ledger="affected" through the public API: what it leaves out, and that nothing else changes."""

from __future__ import annotations

import csv
import json
from dataclasses import replace

import pytest

import bittrue
from reports.html import render
from reports.markdown import markdown
from reports.sums import summed
from reports.tables import summary_rows
from simulator.errors import InputError
from simulator.records.store import read_run
from support.accelerators import device
from support.conv_chain import chain_input, conv_chain

NARROW = {"arithmetic__accumulator": {"bits": 13, "overflow": "saturate"}, "array__dataflow": "output_stationary"}
COUNTS = ("events", "partial_sum_events", "accumulator_events")


@pytest.fixture(scope="module")
def runs():
    return {
        name: bittrue.simulate(conv_chain(), device(**NARROW), [chain_input()], ledger=name)
        for name in ("fast", "affected")
    }


def test_all_but_the_counts_is_as_ever(runs):
    affected = 0
    for counted, found in zip(runs["fast"].layers, runs["affected"].layers, strict=True):
        hit = counted.overflow.affected_outputs > 0
        affected += hit
        without = dict.fromkeys(COUNTS) if hit else {}
        assert found == replace(counted, overflow=replace(counted.overflow, **without))
        assert hit == (counted.overflow.events > 0)
    assert 0 < affected < len(runs["fast"].layers)
    for name, value in runs["fast"].outputs.items():
        assert (runs["affected"].outputs[name] == value).all()


def test_a_sum_over_layers_is_not_known_then(runs):
    record = runs["affected"].record
    assert record.overflow_events is None
    assert runs["fast"].record.overflow_events > 0
    whole = summed("all", record.layers, 1).overflow
    assert (whole.events, whole.accumulator_events) == (None, None)
    assert whole.affected_outputs == summed("all", runs["fast"].layers, 1).overflow.affected_outputs
    clear = [layer for layer in record.layers if not layer.overflow.affected_outputs]
    assert summed("clear", clear, 1).overflow.events == 0


def test_the_saved_run_and_its_report_say_so(runs, tmp_path):
    folder = runs["affected"].save(tmp_path / "run")
    with (folder / "layers.csv").open() as file:
        rows = list(csv.DictReader(file))
    for layer, row in zip(runs["affected"].layers, rows, strict=True):
        cell = "" if layer.overflow.affected_outputs else "0"
        assert [row[f"overflow.{name}"] for name in COUNTS] == [cell] * 3
    assert json.loads((folder / "run.json").read_text())["totals"]["overflow_events"] is None
    assert read_run(folder).record == runs["affected"].record
    assert dict(summary_rows(runs["affected"].record))["overflow"].startswith("uncounted events hit ")
    for text in (markdown(runs["affected"].record), render(runs["affected"].record, {}, None)):
        assert "uncounted" in text
    page = render(runs["affected"].record, {}, None)
    first_events = [layer.overflow.first_event for layer in runs["affected"].layers]
    for first in filter(None, first_events):
        assert f"output {first.output}, k = {first.k}, accumulator" in page
    for text in (markdown(runs["fast"].record), render(runs["fast"].record, {}, None)):
        assert "uncounted" not in text


def test_the_saturating_sums_keep_their_activity(runs):
    """Toggles of a register follow its trajectory, whether its events were counted or not."""
    found = [
        bittrue.simulate(conv_chain(), device(**NARROW), [chain_input()], ledger=name, activity=True)
        for name in ("fast", "affected")
    ]
    assert [layer.activity for layer in found[0].layers] == [layer.activity for layer in found[1].layers]


def test_a_sweep_of_widths_tells_of_events():
    with pytest.raises(InputError, match="accumulator_sweep tells of them"):
        bittrue.simulate(conv_chain(), device(), [chain_input()], ledger="affected", accumulator_sweep=[16])
