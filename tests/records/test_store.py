from __future__ import annotations

import csv
import hashlib
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from simulator.errors import RunFolderError
from simulator.records.explain import explain
from simulator.records.serialize import record_from_json, record_to_json
from simulator.records.store import (
    check_replaceable,
    layer_columns,
    read_run,
    staged_folder,
    write_arrays,
    write_record,
)
from support.small_runs import small_run

ARRAYS = {"labels": np.arange(6, dtype=np.uint8).reshape(1, 2, 3), "a/b": np.float32([1.5])}


def digests(folder):
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(folder.iterdir())}


def write(folder, run=None, arrays=ARRAYS):
    with staged_folder(folder) as staging:
        write_record(staging, run or small_run(), arrays, None, np.zeros((2, 3, 3), np.uint8))


def write_half(folder):
    with staged_folder(folder) as staging:
        (staging / "run.json").write_text("half")
        raise ZeroDivisionError


@pytest.mark.parametrize("mode", ["both", "timing", "values"])
def test_a_record_comes_back_equal(mode):
    run = small_run(mode)
    assert record_from_json(record_to_json(run), "here") == run


def test_a_record_from_before_there_were_sweeps_is_read():
    data = json.loads(record_to_json(small_run()))
    assert data["accumulator_sweep"][0]["outputs"][1]["max_difference"] is None
    del data["accumulator_sweep"]
    assert record_from_json(json.dumps(data), "here") == replace(small_run(), accumulator_sweep=())


def test_a_run_folder_comes_back_equal(tmp_path):
    write(tmp_path / "run")
    stored = read_run(tmp_path / "run")
    assert stored.record == small_run()
    assert list(stored.outputs) == list(ARRAYS)
    for name, array in ARRAYS.items():
        np.testing.assert_array_equal(stored.outputs[name], array)
        assert stored.outputs[name].dtype == array.dtype
    assert stored.preview.shape == (2, 3, 3)


def test_totals_are_written_for_readers_without_the_tool(tmp_path):
    write(tmp_path / "run")
    data = json.loads((tmp_path / "run" / "run.json").read_text())
    assert data["totals"]["total_cycles"] == 1200
    assert data["totals"]["total_energy_pj"] == 500.5
    assert data["layers"][0]["energy_pj"] == 500.5


def test_layers_csv_has_every_field_of_every_layer(tmp_path):
    write(tmp_path / "run")
    with (tmp_path / "run" / "layers.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["name"] for row in rows] == ["conv", "add"]
    assert list(rows[0]) == list(layer_columns(small_run().layers[0]))
    assert rows[0]["overflow.first_event.k"] == "31"
    assert rows[0]["overflow.headroom_bits"] == "-1"
    assert rows[0]["energy_pj"] == "500.5"
    assert rows[0]["output_shape"] == "1x8x8x4"
    assert rows[1]["overflow.needed_bits"] == ""


def test_every_column_of_layers_csv_is_explained():
    assert all(explain(name) for name in layer_columns(small_run().layers[0]))


def test_pandas_reads_layers_csv_as_numbers(tmp_path):
    pandas = pytest.importorskip("pandas", reason="needs the extra `data`")
    write(tmp_path / "run")
    table = pandas.read_csv(tmp_path / "run" / "layers.csv")
    assert table["total_cycles"].sum() == small_run().total_cycles
    assert table["energy.dram_pj"].sum() == 400.5
    assert table["overflow.events"].sum() == small_run().overflow_events
    assert table["overflow.needed_bits"].isna().tolist() == [False, True]


def test_same_run_same_bytes(tmp_path):
    write(tmp_path / "one")
    write(tmp_path / "two")
    assert digests(tmp_path / "one") == digests(tmp_path / "two")


def test_arrays_of_every_kind_are_read_by_numpy(tmp_path):
    arrays = {"scalar": np.int64(3) * np.ones((), np.int64), "fortran": np.asfortranarray(np.arange(6).reshape(2, 3))}
    write_arrays(tmp_path / "x.npz", arrays)
    with np.load(tmp_path / "x.npz") as back:
        assert back["scalar"].shape == ()
        np.testing.assert_array_equal(back["fortran"], arrays["fortran"])


def test_a_failure_leaves_the_old_run_and_nothing_else(tmp_path):
    write(tmp_path / "run")
    before = digests(tmp_path / "run")
    with pytest.raises(ZeroDivisionError):
        write_half(tmp_path / "run")
    assert digests(tmp_path / "run") == before
    assert [path.name for path in tmp_path.iterdir()] == ["run"]


def test_a_new_run_replaces_the_old_one_whole(tmp_path):
    write(tmp_path / "run")
    write(tmp_path / "run", small_run("timing"), {})
    assert not (tmp_path / "run" / "outputs.npz").exists()
    assert [path.name for path in tmp_path.iterdir()] == ["run"]


@pytest.mark.parametrize("theirs", [None, '{"name": "my project", "run": "make"}', "a directory"])
def test_a_folder_of_something_else_is_not_replaced(tmp_path, theirs):
    (tmp_path / "thesis.tex").write_text("years of work")
    if theirs == "a directory":
        (tmp_path / "run.json").mkdir()
    elif theirs:
        (tmp_path / "run.json").write_text(theirs)
    with pytest.raises(RunFolderError, match="is not a run folder; give another folder with -o"):
        write(tmp_path)
    assert (tmp_path / "thesis.tex").read_text() == "years of work"


def test_a_run_folder_that_holds_notes_is_not_replaced(tmp_path):
    write(tmp_path / "run")
    (tmp_path / "run" / "notes.md").write_text("what I saw")
    with pytest.raises(RunFolderError, match=r"holds notes\.md, which no run writes"):
        write(tmp_path / "run")
    assert (tmp_path / "run" / "notes.md").read_text() == "what I saw"


def test_a_place_that_cannot_be_written_is_refused_before_computing(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("x")
    for name in ("file/run", "file/deep/run"):
        with pytest.raises(RunFolderError, match="file is a file"):
            check_replaceable(tmp_path / name)
    check_replaceable(tmp_path / "deep" / "run")
    (tmp_path / "run").mkdir()
    # Permissions do not hold for root, who may be running this: say what the system would say to others.
    monkeypatch.setattr("os.access", lambda folder, mode: folder != tmp_path.resolve())
    for name in ("run", "deep/run", "new"):
        with pytest.raises(RunFolderError, match="no permission to write in"):
            check_replaceable(tmp_path / name)


def test_a_damaged_run_folder_can_be_written_anew(tmp_path):
    write(tmp_path / "run")
    good = digests(tmp_path / "run")
    whole = (tmp_path / "run" / "run.json").read_bytes()
    (tmp_path / "run" / "run.json").write_bytes(whole[: len(whole) // 2])
    write(tmp_path / "run")
    assert digests(tmp_path / "run") == good


def test_the_current_folder_can_be_written(tmp_path, monkeypatch):
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    write(Path())
    assert read_run(tmp_path / "here").record == small_run()


@pytest.mark.parametrize("there", [True, False])
def test_a_link_to_a_run_folder_stays_a_link(tmp_path, there):
    if there:
        write(tmp_path / "run")
    (tmp_path / "link").symlink_to(tmp_path / "run")
    write(tmp_path / "link", small_run("timing"), {})
    assert (tmp_path / "link").is_symlink()
    assert read_run(tmp_path / "run").record == small_run("timing")


def test_a_folder_that_cannot_be_written_is_refused(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(RunFolderError, match="cannot be written"):
        write(tmp_path / "file" / "run")


@pytest.mark.parametrize(
    ("name", "damage", "message"),
    [
        ("run.json", b"{", "damaged run record"),
        ("run.json", b'{"schema_version": 99}', "schema version 99"),
        ("run.json", b'{"schema_version": 1}', "damaged run record"),
        ("run.json", b"\xff\xfe", "cannot read run.json"),
        ("outputs.npz", b"PK", "outputs.npz: damaged"),
    ],
)
def test_damage_is_named(tmp_path, name, damage, message):
    write(tmp_path / "run")
    (tmp_path / "run" / name).write_bytes(damage)
    with pytest.raises(RunFolderError, match=message):
        read_run(tmp_path / "run")


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        (("accumulator_sweep", 0, "events"), "few", "SweepPoint.events is 'few', not int"),
        (("accumulator_sweep", 0, "outputs", 0, "differing"), None, "OutputError.differing is None, not int"),
        (("accumulator_sweep",), 5, "damaged run record"),
        (("clock_mhz",), "fast", "RunRecord.clock_mhz is 'fast', not float"),
        (("seed",), None, "RunRecord.seed is None, not int"),
        (("spec",), [], "RunRecord.spec"),
        (("layers", 0, "macs"), 1.5, "LayerRecord.macs is 1.5, not int"),
        (("layers", 0, "energy", "dram_pj"), "much", "EnergyRecord.dram_pj"),
        (("layers", 0, "overflow", "needed_bits"), True, "OverflowRecord.needed_bits is True"),
        (("events", 0, "start_cycle"), "0", "TraceEvent.start_cycle"),
        (("events", 0), {}, "damaged run record"),
        (("layers",), 3, "damaged run record"),
    ],
)
def test_a_value_of_the_wrong_kind_is_named(path, value, message):
    data = json.loads(record_to_json(small_run()))
    place = data
    for step in path[:-1]:
        place = place[step]
    place[path[-1]] = value
    with pytest.raises(RunFolderError, match=message):
        record_from_json(json.dumps(data), "run.json")


def test_nesting_without_end_is_damage():
    with pytest.raises(RunFolderError, match="damaged run record"):
        record_from_json("[" * 200_000, "run.json")


def test_a_missing_folder_is_named(tmp_path):
    with pytest.raises(RunFolderError, match="nowhere is not a run folder"):
        read_run(tmp_path / "nowhere")


def test_cycles_of_cores_come_back_and_stand_in_one_column():
    run = small_run()
    split = replace(run, layers=(replace(run.layers[0], core_compute_cycles=(400, 31)), run.layers[1]))
    assert record_from_json(record_to_json(split), "here") == split
    assert layer_columns(split.layers[0])["core_compute_cycles"] == "400 31"
    assert "core_compute_cycles" not in layer_columns(run.layers[0])
    data = json.loads(record_to_json(run))
    for layer in data["layers"]:  # as written before there were cores
        del layer["core_compute_cycles"]
    assert record_from_json(json.dumps(data), "here") == run
