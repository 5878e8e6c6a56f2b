from __future__ import annotations

from dataclasses import replace

import pytest

from reports.summary import bottleneck, widest_layer
from reports.sums import summed
from reports.tables import FIELDS, headers, layer_rows, summary_rows
from reports.units import binary_bytes, si, three_digits
from simulator.records.explain import explain
from support.small_runs import small_run


def test_every_column_shows_a_field_that_is_explained():
    assert all(explain(field) for field in FIELDS.values())


def test_cells_are_in_the_units_of_their_headers():
    conv, add = layer_rows(small_run())
    assert conv["MMACs"] == "0.0"
    assert conv["kcycles"] == "1.0"
    assert conv["DRAM KiB"] == "1"
    assert (conv["bits needed"], conv["overflows"], conv["outputs hit"], conv["clipped"]) == ("21", "7", "2", "9")
    assert (add["MMACs"], add["bits needed"], add["overflows"]) == ("-", "-", "-")


@pytest.mark.parametrize(("mode", "absent"), [("timing", "overflows"), ("values", "kcycles")])
def test_what_was_not_computed_has_no_column(mode, absent):
    run = small_run(mode)
    assert absent not in headers(run)
    assert set(layer_rows(run)[0]) == set(headers(run))


def test_the_bottleneck_is_named_with_its_share():
    assert bottleneck(small_run()) == (
        "memory bound: 41.7 % of all cycles are waiting for DRAM loads, most of all in conv (41.7 %)"
    )


def test_totals_say_what_overflowed():
    rows = dict(summary_rows(small_run()))
    assert rows["overflow"] == "7 events hit 2 outputs in 1 layers; conv needs the most: 21 bits"
    assert rows["ledger"] == "1 layers by steps"
    assert rows["cycles"] == "1,200 at 1000 MHz"
    assert rows["energy"] == "500 pJ"
    assert widest_layer(small_run()).name == "conv"


@pytest.mark.parametrize(
    ("value", "text"),
    [(0, "0 s"), (0.0123, "12.3 ms"), (1.5e9, "1.50 Gs"), (999.7, "1000 s"), (3e-15, "0.00 ps"), (-0.02, "-20.0 ms")],
)
def test_si(value, text):
    assert si(value, "s") == text


def test_binary_bytes_and_digits():
    assert binary_bytes(1536) == "1.50 KiB"
    assert binary_bytes(12) == "12 B"
    assert [three_digits(v) for v in (0, 1.234, 12.34, 123.4, 12345.6, 9.996)] == [
        "0",
        "1.23",
        "12.3",
        "123",
        "12346",
        "10.0",
    ]


def test_the_layer_at_which_most_is_alive_has_a_star():
    run = small_run()
    assert "alive KiB" not in headers(run)
    assert "tensors alive" not in dict(summary_rows(run))
    conv, add = run.layers
    run = replace(run, layers=(replace(conv, live_bytes=512), replace(add, live_bytes=1536)))
    assert [row["alive KiB"] for row in layer_rows(run)] == ["0.5", "1.5 *"]
    assert dict(summary_rows(run))["tensors alive"] == "at most 1.50 KiB, at add"
    assert summed("both", run.layers, 1).live_bytes == 1536
