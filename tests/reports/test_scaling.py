"""Explained speed-ups: the product is exact, every part is what it is called, other networks are refused."""

from __future__ import annotations

import csv
import json
from dataclasses import replace
from fractions import Fraction
from math import prod

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from typer.testing import CliRunner

import bittrue
from bittrue.cli import app
from reports.scaling import CAUSES, DEFINITIONS, explain_scaling
from simulator.errors import InputError

UNET = bittrue.load_network("unet", size=32, width=0.125)
BASE = bittrue.load_accelerator("edge_32x32")


def timed(network=UNET, **changes):
    accelerator = BASE.evolve({key.replace("__", "."): value for key, value in changes.items()})
    return bittrue.simulate(network, accelerator, timing_only=True).record


@settings(deadline=None, max_examples=25)
@given(
    st.sampled_from([8, 16, 64]),
    st.sampled_from([8, 32]),
    st.sampled_from(["weight_stationary", "output_stationary"]),
    st.sampled_from([50.0, 800.0, 1233.7]),
    st.sampled_from([1, 16]),
    st.integers(1, 4),
)
def test_the_factors_multiply_out_exactly(rows, cols, dataflow, clock, bandwidth, cores):
    changes = {"array__rows": rows, "array__cols": cols, "array__dataflow": dataflow, "clock_mhz": clock}
    first, second = timed(), timed(**changes, dram__bytes_per_cycle=bandwidth, cores=cores)
    found = explain_scaling(first, second)
    measured = Fraction(first.total_cycles) / Fraction(first.clock_mhz)
    measured /= Fraction(second.total_cycles) / Fraction(second.clock_mhz)
    assert prod(factor.factor for factor in found.factors) == measured == found.speedup
    assert found.ideal == Fraction(cores * rows * cols, 1024) * Fraction(clock) / 800
    for side, record in enumerate((first, second)):
        assert sum(f.times_s[side] for f in found.factors) == pytest.approx(record.total_time_s, rel=1e-12)
        assert min(f.times_s[side] for f in found.factors) >= 0
        assert sum(layer.times_s[side] for layer in found.layers) == pytest.approx(record.total_time_s, rel=1e-12)
    assert {factor.name for factor in found.factors} <= set(DEFINITIONS)


def named(found):
    return {factor.name: factor for factor in found.factors}


def test_a_product_that_fills_every_fold_loses_to_fill_and_drain_alone():
    # One fold of 32 x 32 for 64 pixels against one of 64 x 64: by hand, weight stationary, one tile op each.
    network = bittrue.networks.gemm(64, 32, 32)
    fast = {"dram__bytes_per_cycle": 10_000, "dram__latency_cycles": 0, "dma__setup_cycles": 0}
    found = explain_scaling(timed(network, **fast), timed(network, **fast, array__rows=64, array__cols=64))
    factors = named(found)
    filling = [1 + 2 * side + side + 2 for side in (32, 64)]
    computing = [64 + fill for fill in filling]
    seconds = 1 / 800e6
    assert factors["fill and drain"].times_s == pytest.approx([fill * seconds for fill in filling])
    # 64 pixels take 64 cycles on both; the larger array has a quarter of its PEs at work.
    assert factors["PEs without work"].times_s == pytest.approx([0, 48 * seconds])
    assert factors["PEs without work"].factor == Fraction(1, 4)
    after_filling = Fraction(computing[0], computing[1])
    assert factors["fill and drain"].speedup == after_filling


def test_each_cause_is_found_where_it_was_put():
    base = timed()
    assert named(explain_scaling(base, timed(dram__bytes_per_cycle=1)))["waits for DRAM reads"].factor < 0.5
    assert named(explain_scaling(base, timed(vector_unit__lanes=1)))["vector unit"].factor < 0.9
    assert named(explain_scaling(base, timed(vector_unit__lanes=1)))["PEs without work"].factor == 1
    slower = explain_scaling(base, timed(clock_mhz=400, dram__bytes_per_cycle=16, dram__latency_cycles=64))
    assert named(slower)["clock"].factor == Fraction(1, 2)
    worst = explain_scaling(base, timed(vector_unit__lanes=1)).layers[0]
    assert worst.cause == "vector unit"
    assert worst.lost_s > 0


def test_cores_of_one_bandwidth_gain_little():
    slow = {"dram__bytes_per_cycle": 1}
    found = explain_scaling(timed(**slow), timed(**slow, cores=4))
    assert found.names == ("edge_32x32 with 1 core of 32 x 32 PEs", "edge_32x32 with 4 cores of 32 x 32 PEs")
    assert found.ideal == 4
    assert 1 < found.speedup < 1.5
    # What DRAM bounds is left to fewer cores, or waits on all of them.
    assert named(found)["PEs without work"].factor * named(found)["waits for DRAM reads"].factor < 0.5


def test_command_loops_have_no_closed_form_of_filling():
    gemmini = bittrue.load_accelerator("gemmini_16x16")
    record = bittrue.simulate(bittrue.networks.gemm(64, 64, 64), gemmini, timing_only=True).record
    assert named(explain_scaling(record, record)).get("fill and drain") is None
    assert explain_scaling(record, record).speedup == 1


def test_what_cannot_be_explained_is_refused():
    values = bittrue.networks.gemm(4, 4, 4)
    with pytest.raises(InputError, match=r"B of gemm.*differ: \d+ layers against 1"):
        explain_scaling(timed(), timed(values))
    with pytest.raises(InputError, match=r"layer 0 is .* \(64 MACs\) against .* \(128 MACs\)"):
        explain_scaling(timed(values), timed(bittrue.networks.gemm(8, 4, 4)))
    with pytest.raises(InputError, match="has no time"):
        explain_scaling(replace(timed(), mode="values"), timed())


def test_command_writes_what_it_prints(tmp_path):
    sides = ["--set-a", "array.rows=8", "--set-b", "array.rows=64", "--net", "size=32", "--net", "width=0.125"]
    out = tmp_path / "out"
    result = CliRunner().invoke(
        app, ["explain-scaling", "edge_32x32", "edge_32x32", "-n", "unet", *sides, "-o", str(out)]
    )
    assert result.exit_code == 0, result.output
    assert "8.00 times the peak gave" in result.stdout
    with (out / "scaling_factors.csv").open() as file:
        rows = list(csv.DictReader(file))
    whole = json.loads((out / "scaling.json").read_text())
    assert prod(Fraction(row["exact"]) for row in rows) == prod(Fraction(row["exact"]) for row in whole["factors"])
    assert float(prod(Fraction(row["exact"]) for row in rows)) == whole["speedup"]
    assert set(CAUSES) <= {row["factor"] for row in rows}
    with Image.open(out / "scaling.png") as picture:
        assert picture.width == 1350
    assert sorted(path.name for path in out.iterdir()) == sorted(
        ["scaling.json", "scaling.png", "scaling_factors.csv", "scaling_layers.csv"]
    )


def test_command_takes_saved_runs(tmp_path):
    for name, rows in (("a", 8), ("b", 32)):
        bittrue.simulate(UNET, BASE.evolve({"array.rows": rows}), timing_only=True).save(tmp_path / name)
    invoke = CliRunner().invoke
    result = invoke(app, ["explain-scaling", str(tmp_path / "a"), str(tmp_path / "b")])
    assert result.exit_code == 0, result.output
    assert "4.00 times the peak gave" in result.stdout
    refused = invoke(app, ["explain-scaling", "edge_32x32", str(tmp_path / "b")])
    assert refused.exit_code == 2
    assert "--network NAME" in refused.output
    assert invoke(app, ["explain-scaling", "a", "b", "--set-a", "array.rows=8"]).exit_code == 2
