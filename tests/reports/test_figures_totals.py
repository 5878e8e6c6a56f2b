"""Totals and the timeline: bars and lanes against sums formed here, layer by layer and cycle by cycle."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from reports import figures
from reports.figures_totals import latency_causes
from simulator.records.run import TraceEvent
from support.records import run_record
from support.small_runs import small_run


def bars(drawing: figures.Drawing) -> dict[str, tuple[float, str]]:
    """Length and text of each bar, by its label."""
    (axes,) = drawing.figure.axes
    labels = [tick.get_text() for tick in axes.get_yticklabels()]
    lengths = [patch.get_width() for patch in axes.patches if patch.get_gid() is None]
    return dict(zip(labels, zip(lengths, [t.get_text() for t in axes.texts], strict=True), strict=True))


def test_causes_of_the_small_run_are_its_fields_and_add_up():
    causes = {name: cycles for name, (_, cycles) in latency_causes(small_run()).items()}
    assert causes == {
        "array computing": 400,
        "vector unit computing": 150,
        "host computing": 0,
        "waiting for loads": 500,
        "waiting for stores": 100,
        "waiting otherwise": 50,
    }
    assert sum(causes.values()) == small_run().total_cycles


def test_bars_of_time_bear_their_share_of_all_cycles():
    found = bars(figures.time(small_run()))
    assert found["waiting for loads"] == (500, "41.7 %")
    assert "host computing" not in found


def test_components_stand_largest_first():
    record = run_record(6)
    expected = {"DRAM": "dram_pj", "MAC": "mac_pj", "host": "host_pj", "idle PE": "idle_pe_pj"}
    found = bars(figures.components(record))
    lengths = [length for length, _ in found.values()]
    assert lengths == sorted(lengths, reverse=True)
    for label, field in expected.items():
        total = sum(getattr(layer.energy, field) for layer in record.layers)
        assert found[label][1] == f"{100 * total / record.total_energy_pj:.1f} %"


def test_every_memory_has_what_is_read_and_what_is_written():
    layers = tuple(
        replace(layer, accumulator_read_bytes=3 * 2**20, weight_scratchpad_write_bytes=2**20)
        for layer in run_record(2).layers
    )
    found = bars(figures.memories(replace(run_record(2), layers=layers)))
    assert len(found) == 8
    assert found["accumulator read"] == (pytest.approx(6.0), "6.00 MiB")
    assert found["weight scratchpad written"] == (pytest.approx(2.0), "2.00 MiB")


def lanes(drawing: figures.Drawing, strip: int) -> dict[str, np.ndarray]:
    """Opacity of every stretch of one strip, by engine."""
    axes = drawing.figure.axes[strip]
    (image,) = axes.images
    names = [label.get_text() for label in axes.get_yticklabels()]
    return dict(zip(names, np.asarray(image.get_array())[..., 3], strict=True))


def test_the_first_strip_is_the_run_and_the_others_its_longest_layers():
    record = run_record(30)
    drawing = figures.timeline(record)
    longest = sorted(record.layers, key=lambda layer: -layer.total_cycles)[:6]
    heads = [axes.get_title(loc="left") for axes in drawing.figure.axes]
    assert heads[0].startswith("whole run")
    assert [int(head.split()[0]) for head in heads[1:]] == [layer.index for layer in longest]


def test_lanes_are_filled_where_their_engine_works():
    events = (TraceEvent("load dma", "conv", 0, 500, 0), TraceEvent("array", "conv", 250, 750, 0))
    record = replace(small_run(), events=events)
    layer = lanes(figures.timeline(record), 1)  # conv, cycles 0 to 1000 in 480 stretches
    assert layer["load dma"] == pytest.approx(np.repeat([1, 0], [240, 240]))
    assert layer["array"] == pytest.approx(np.repeat([0, 1], [120, 360]))


def test_a_lane_tells_how_much_of_the_time_it_works():
    events = (TraceEvent("array", "conv", 0, 250, 0),)
    titles = figures.timeline(replace(small_run(), events=events)).titles
    assert titles["layer-0-lane-0"] == "array for conv: works 25.0 % of the time"
    assert titles["run-lane-0"] == "array: works 20.8 % of the time"


def test_without_events_there_is_no_timeline():
    assert figures.timeline(replace(small_run(), events=())) is None
