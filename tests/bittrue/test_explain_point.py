"""Where the time of a sweep's point goes: kept for each layer, told by `bittrue explain-point`."""

from __future__ import annotations

import csv
import sqlite3
import zlib
from contextlib import closing

import pytest
from typer.testing import CliRunner

import bittrue
from bittrue.cli import app
from bittrue.sweeping.evaluate import Outcome, evaluate
from bittrue.sweeping.layer_times import unpack
from bittrue.sweeping.store import FILE, SweepStore
from support.sweep_spaces import small_space


def _one_fails(point):
    return Outcome(point.key, error="no room") if point.changes["array.rows"] == 16 else evaluate(point)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("sweep") / "out"
    bittrue.sweep(small_space(vary={"array.rows": [8, 16, 32]}), folder, evaluate=_one_fails)
    return folder


def told(*arguments):
    return CliRunner().invoke(app, ["explain-point", *map(str, arguments)])


def test_the_shares_of_a_point_are_those_of_its_run(folder):
    with SweepStore(folder) as store:
        point = store.points()[0]
        shares = store.layer_shares(point.key)
    device = bittrue.load_accelerator("edge_32x32").evolve(point.changes)
    record = bittrue.simulate(bittrue.load_network(point.network, **point.keywords), device, timing_only=True).record
    assert [share.layer for share in shares] == [layer.name for layer in record.layers]
    for share, layer in zip(shares, record.layers, strict=True):
        assert (share.bound, share.engine) == (layer.bound, layer.engine)
        assert share.share * record.total_cycles == pytest.approx(layer.total_cycles)
        assert share.compute_share * record.total_cycles == pytest.approx(layer.compute_cycles)
        assert share.load_stall_share * record.total_cycles == pytest.approx(layer.load_stall_cycles)
        assert share.store_stall_share * record.total_cycles == pytest.approx(layer.store_stall_cycles)
    assert sum(share.share for share in shares) == pytest.approx(1, abs=0.01)


def test_it_tells_settings_figures_and_the_longest_layers(folder):
    with SweepStore(folder) as store:
        point = store.points()[0]
        slowest = max(store.layer_shares(point.key), key=lambda share: share.share)
    result = told(folder, point.short_key, "--layers", 2)
    assert result.exit_code == 0, result.output
    assert "array.rows = 8" in result.stdout
    assert "total_area_mm2" in result.stdout
    lines = result.stdout.splitlines()
    assert lines[-3].startswith(slowest.layer)
    assert f"{100 * slowest.share:.1f} %" in lines[-3]
    assert "other layers" in lines[-1]


def test_a_point_that_failed_tells_why(folder):
    with SweepStore(folder) as store:
        key = next(point.key for point in store.points() if point.quarantined)
    assert "not evaluated, 2 attempts: no room" in told(folder, key).stdout


def test_what_is_no_point_is_refused(folder, tmp_path):
    assert "no point of the sweep begins so" in told(folder, "nothing").output
    assert "no point of the sweep begins so" in told(folder, "").output
    assert "is not the folder of a sweep" in told(tmp_path, "0").output


def test_a_store_of_an_earlier_version_opens_and_says_what_it_does_not_know(folder, tmp_path):
    (tmp_path / FILE).write_bytes((folder / FILE).read_bytes())
    with closing(sqlite3.connect(tmp_path / FILE)) as db:
        db.execute("DROP TABLE layer_times")
    with SweepStore(tmp_path) as store:
        key = store.points()[0].key
        assert store.layer_shares(key) == ()
    assert "its layers are not known" in told(tmp_path, key).stdout


def test_damage_is_told():
    for damaged in (b"", b"nonsense", zlib.compress(b"[]"), zlib.compress(b'["a"]\n["array"]\n["load"]\n[9, 1]')):
        with pytest.raises(ValueError, match=r".+"):
            unpack(damaged)


def test_the_csv_has_every_layer_of_every_point_on_a_front(tmp_path):
    (tmp_path / "space.yaml").write_text(
        "name: s\naccelerator: edge_32x32\nnetworks: [{network: unet, size: 32, width: 0.125}]\n"
        "fixed: {mapper: fixed_rule}\nvary: {array.rows: [8, 32]}\n"
    )
    result = CliRunner().invoke(app, ["sweep", str(tmp_path / "space.yaml"), "-o", str(tmp_path / "out")])
    assert result.exit_code == 0, result.output
    with (tmp_path / "out" / "front.csv").open() as file:
        points = [row["point"] for row in csv.DictReader(file)]
    with (tmp_path / "out" / "front_layers.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert {row["point"] for row in rows} == set(points)
    assert len(points) >= 1
    for point in points:
        assert sum(float(row["share"]) for row in rows if row["point"] == point) == pytest.approx(1, abs=0.01)
