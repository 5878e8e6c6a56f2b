"""Comparing runs: the first differing value by its coordinates, costs by layer, and the exit status."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from typer.testing import CliRunner

from bittrue.cli import app
from reports.compare import compare_runs
from simulator.errors import RunFolderError
from simulator.records.store import staged_folder, write_arrays, write_record
from support.small_runs import small_run


def save(folder, record=None, outputs=None, tensors=None):
    values = {"y": np.arange(24, dtype=np.int8).reshape(2, 3, 4)} if outputs is None else outputs
    with staged_folder(folder) as staged:
        write_record(staged, record or small_run(), values, tensors)
    return folder


def cli(*arguments):
    return CliRunner().invoke(app, ["compare", *map(str, arguments)])


def test_a_run_is_the_same_as_itself(tmp_path):
    result = cli(save(tmp_path / "a"), save(tmp_path / "b"))
    assert result.exit_code == 0
    assert "1 compared, 0 differ" in result.stdout
    assert result.stdout.rstrip().endswith("the same")


def test_the_first_difference_is_told_with_coordinates_and_both_values(tmp_path):
    other = np.arange(24, dtype=np.int8).reshape(2, 3, 4)
    other[0, 2, 1], other[1, 0, 0] = -100, 13
    first, second = save(tmp_path / "a"), save(tmp_path / "b", outputs={"y": other})
    (found,) = compare_runs(first, second).differences
    assert (found.name, found.coordinates, found.first, found.second) == ("y", (0, 2, 1), 9, -100)
    assert (found.differing, found.elements, found.greatest) == (2, 24, 109)
    assert [d.differing for d in compare_runs(first, second, tolerance=1).differences] == [1]
    result = cli(first, second)
    assert result.exit_code == 1
    assert "y[0, 2, 1]: 9 against -100" in result.stdout
    assert "different: values" in result.stdout


def test_tensors_come_before_outputs_and_in_the_order_of_the_network(tmp_path):
    a = {"x": np.zeros(3, np.int8), "t2": np.ones(2, np.int32), "t1": np.ones(2, np.int32)}
    b = {"x": np.zeros(3, np.int8), "t2": np.full(2, 5, np.int32), "t1": np.zeros(2, np.int32)}
    found = compare_runs(save(tmp_path / "a", tensors=a), save(tmp_path / "b", tensors=b))
    assert found.compared == "every tensor"
    assert [d.name for d in found.differences] == ["t2", "t1"]


@pytest.mark.parametrize(
    ("other", "reason"),
    [
        ({}, "missing in the second"),
        ({"y": np.zeros((2, 3), np.int8)}, r"shape [2, 3, 4] against [2, 3]"),
        ({"y": np.zeros((2, 3, 4), np.float32)}, "dtype int8 against float32"),
    ],
)
def test_what_cannot_be_compared_is_a_difference(tmp_path, other, reason):
    found = compare_runs(save(tmp_path / "a"), save(tmp_path / "b", outputs=other))
    assert [d.reason for d in found.differences] == [reason]


def test_real_numbers_are_held_to_the_tolerance(tmp_path):
    a, b = np.array([1.0, 2.0, 3.0]), np.array([1.0, 2.5, 2.25])
    first, second = save(tmp_path / "a", outputs={"y": a}), save(tmp_path / "b", outputs={"y": b})
    (found,) = compare_runs(first, second).differences
    assert (found.coordinates, found.first, found.second, found.differing, found.greatest) == ((1,), 2.0, 2.5, 2, 0.75)
    assert [d.differing for d in compare_runs(first, second, tolerance=0.5).differences] == [1]
    assert compare_runs(first, second, tolerance=0.75).differences == ()


def test_extremes_of_int64_and_no_numbers(tmp_path):
    big = np.array([np.iinfo(np.int64).max, 0]), np.array([np.iinfo(np.int64).min, 0])
    found = compare_runs(
        save(tmp_path / "a", outputs={"y": big[0], "z": np.array([np.nan, 1.0, np.nan])}),
        save(tmp_path / "b", outputs={"y": big[1], "z": np.array([np.nan, np.nan, 2.0])}),
    )
    assert [(d.name, d.differing) for d in found.differences] == [("y", 1), ("z", 2)]


def test_layers_are_sorted_by_their_change_and_held_to_the_tolerance(tmp_path):
    run = small_run()
    conv, add = run.layers[:2]
    slower = replace(add, total_cycles=add.total_cycles + 300, end_cycle=add.end_cycle + 312)
    other = replace(run, layers=(replace(conv, total_cycles=conv.total_cycles + 12), slower, *run.layers[2:]))
    first, second = save(tmp_path / "a"), save(tmp_path / "b", other)
    found = compare_runs(first, second)
    assert [(d.name, d.cycles_more) for d in found.layers] == [("add", 300), ("conv", 12)]
    assert found.totals["total_cycles"] == (run.total_cycles, run.total_cycles + 312)
    assert cli(first, second).exit_code == 1
    assert cli(first, second, "--cycles", 50).exit_code == 0
    assert "within the tolerances" in cli(first, second, "--cycles", 50).stdout


def test_a_run_is_held_to_reference_arrays(tmp_path):
    run = save(tmp_path / "a")
    good, bad = tmp_path / "good.npz", tmp_path / "bad.npz"
    write_arrays(good, {"y": np.arange(24, dtype=np.int8).reshape(2, 3, 4)})
    write_arrays(bad, {"y": np.zeros((2, 3, 4), np.int8), "z": np.zeros(1)})
    assert cli(run, good).exit_code == 0
    result = cli(run, bad)
    assert result.exit_code == 1
    assert "z: missing in the first" in result.stdout


def test_what_is_no_run_is_refused(tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(RunFolderError, match="not a run folder"):
        compare_runs(tmp_path / "empty", tmp_path / "empty")
    assert cli(tmp_path / "empty", tmp_path / "empty").exit_code == 2
