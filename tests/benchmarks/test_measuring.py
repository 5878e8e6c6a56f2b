"""What the benchmarks share: clocks, turns, tables, the machine, parts of a run."""

from __future__ import annotations

import argparse
import sys

import numpy as np
import pytest

import bittrue
from benchmarks import timing
from benchmarks.breakdown import BOOKKEEPING, PARTS, break_down
from benchmarks.machine import describe_machine, has_vnni
from benchmarks.narrow import narrow_points
from benchmarks.peak_memory import MEBIBYTE, measure_apart
from benchmarks.plain_table import PlainTable, positive_integers, words
from simulator.execution import execute
from workloads.images import demo_photo


def test_contenders_run_by_turns_and_the_median_counts(monkeypatch):
    now, order = [0.0], []
    costs = {"a": iter([9, 1, 5, 2]), "b": iter([9, 30, 10, 20])}

    def contender(name):
        def run():
            order.append(name)
            now[0] += next(costs[name])

        return run

    monkeypatch.setattr(timing, "clock", lambda threads: lambda: now[0])
    seconds = timing.interleave({name: contender(name) for name in costs}, 3, 1)
    assert "".join(order) == "abababab"
    assert seconds == {"a": 2, "b": 20}


@pytest.mark.parametrize(
    ("seen", "expected"), [(("avx2", "fma"), False), (("avx2", "avxvnni"), True), (("avx512vnni",), True)]
)
def test_vnni_is_known_by_its_names(seen, expected):
    assert has_vnni(seen) is expected


def test_the_machine_is_described():
    lines = describe_machine().splitlines()
    assert [line.split()[0] for line in lines] == ["processor", "instructions", "versions"]
    assert "numba" in lines[2]


def test_columns_line_up():
    table = PlainTable(("shape", 6), ("ms", 5))
    assert table.header() == "shape      ms"
    assert table.row(["3x3", "1.25"]) == "3x3      1.25"


def test_lists_are_read_from_options():
    assert positive_integers("1,2") == (1, 2)
    assert words("a,b,") == ("a", "b")
    for bad in ("", "0", "1,x"):
        with pytest.raises(argparse.ArgumentTypeError, match="whole numbers"):
            positive_integers(bad)


def test_parts_of_a_run_sum_up_and_nothing_stays_patched():
    layer = bittrue.networks.conv2d(8, 8, 4, 4, 3).with_weights(np.ones((4, 3, 3, 4), np.int8))
    prepared = bittrue.prepare(layer, bittrue.load_accelerator("edge_16x16_os"), values_only=True, threads=1)
    original = execute.run_layer
    parts = break_down(lambda: prepared.run([np.ones((1, 8, 8, 4), np.int8)]), 3, 1)
    assert set(parts) == {*PARTS.values(), BOOKKEEPING}
    assert parts["array"] > 0
    assert parts["vector"] == 0
    assert execute.run_layer is original


def test_a_run_without_layers_is_no_breakdown():
    with pytest.raises(RuntimeError, match="run_layer"):
        break_down(lambda: None, 1, 1)


def test_narrow_accelerators_cover_both_dataflows_and_modes():
    points = list(narrow_points((20, 12), (16,), (16, 32)))
    assert [(p.bits, p.mode, p.dataflow, p.targets) for p in points] == [
        (20, "saturate", "os", (2.5, 6.0)),
        (20, "wrap", "os", (2.5, 6.0)),
        (12, "saturate", "os", (None, None)),
        (12, "wrap", "os", (None, None)),
        (16, "saturate", "ws R=16", (None, None)),
        (16, "wrap", "ws R=16", (None, None)),
        (16, "saturate", "ws R=32", (1.8, 1.8)),
        (16, "wrap", "ws R=32", (1.8, 1.8)),
    ]
    assert [p.accelerator.arithmetic.accumulator.bits for p in points] == [p.bits for p in points]
    assert points[-1].accelerator.array.rows == 32


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="only Linux keeps a high-water mark that can be reset")
def test_peak_memory_is_that_of_the_run(tmp_path):
    net = bittrue.load_network("fcn_vgg16", size=64, width=0.0625, weights="seeded").quantize(demo_photo())
    memory = measure_apart(net.save(tmp_path / "net.npz"), "edge_16x16_os", "float32", 1)
    assert memory.peak_bytes >= memory.before_bytes > 10 * MEBIBYTE
    assert 0 <= memory.run_bytes < 500 * MEBIBYTE
