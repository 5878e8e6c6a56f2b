"""The gemmini_16x16 preset against rows of Gemmini's RTL; and the page's tools on rows made here."""

from __future__ import annotations

import pytest

import bittrue
from benchmarks.validation import ROWS, Comparison, compare, draw, main, summary, tables


def _row(cycles, out="int8", **changes):
    values = {"m": 16, "n": 32, "k": 48, "out": out, "bias": False, "latency_cycles": 1, "rtl_cycles": 1000}
    return Comparison(**{**values, "cycles": cycles, "traffic_is_equal": True, **changes})


@pytest.mark.assets
def test_cycles_of_the_rtl_are_met_and_traffic_is_equal(assets):
    rows = compare(assets.parent / ROWS, bittrue.load_accelerator("gemmini_16x16"))
    assert len(rows) == 74
    assert all(row.traffic_is_equal for row in rows)
    _, _, mean, worst = summary(rows)[-1]
    assert mean < 0.55
    assert worst < 6.3
    # Squares whose sides are whole blocks, above one block: the mechanisms alone, without the known misses.
    squares = [row for row in rows if row.m == row.n == row.k and row.m % 16 == 0]
    assert len(squares) > 30
    assert max(abs(row.error_percent) for row in squares) < 0.35


def test_groups_are_summed_up_apart():
    rows = [_row(1010), _row(970), _row(1100, out="int32")]
    found = {name: (count, round(mean, 6), round(worst, 6)) for name, count, mean, worst in summary(rows)}
    assert found == {
        "int8, latency 1": (2, 2.0, 3.0),
        "int32, latency 1": (1, 10.0, 10.0),
        "all": (3, round(14 / 3, 6), 10.0),
    }


def test_tables_tell_misses_and_unequal_traffic():
    lines = list(tables([_row(900), _row(1000, traffic_is_equal=False)]))
    assert lines[1].split() == ["16x32x48", "int8,", "latency", "1", "1000", "900", "-10.00", "equal"]
    assert lines[2].endswith("DIFFERS")


def test_picture_is_written(tmp_path):
    draw([_row(900), _row(1000, out="int32")], tmp_path / "new" / "picture.png")
    assert (tmp_path / "new" / "picture.png").read_bytes().startswith(b"\x89PNG")


def test_without_data_it_says_what_is_missing(monkeypatch, capsys):
    monkeypatch.delenv("BITTRUE_ASSETS", raising=False)
    assert main([]) == 2
    assert "gemmini16_gemm_ws.csv" in capsys.readouterr().err
