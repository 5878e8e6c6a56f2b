"""The gemmini_16x16 preset against rows of Gemmini's RTL; and the page's tools on rows made here."""

from __future__ import annotations

import pytest

import bittrue
from benchmarks.execute_rows import EXECUTE_ROWS, ExecuteRow, execute_rows, execute_tables
from benchmarks.validation import ROWS, compare, draw, main, tables
from bittrue.fitting.compare import ComparedRow, summary


def _row(cycles, out="int8", traffic=(64, 64)):
    return ComparedRow(2, "gemm_16x48x32", f"gemm WS {out}, latency 1", 1000, cycles, {"dram_read_bytes": traffic})


@pytest.mark.assets
def test_cycles_of_the_rtl_are_met_and_traffic_is_equal(assets):
    rows = compare(assets.parent / ROWS, bittrue.load_accelerator("gemmini_16x16"))
    assert len(rows) == 74
    assert all(row.traffic_is_equal and len(row.traffic) == 3 for row in rows)
    _, _, mean, worst = summary(rows)[-1]
    assert mean < 0.2
    assert worst < 6.0
    # Squares whose sides are whole blocks, above one block: the mechanisms alone, without the known misses.
    sides = [[int(side) for side in row.name.removeprefix("gemm_").split("x")] for row in rows]
    squares = [row for row, (m, k, n) in zip(rows, sides, strict=True) if m == n == k and m % 16 == 0]
    assert len(squares) > 30
    assert max(abs(row.error_percent) for row in squares) < 0.3


@pytest.mark.assets
def test_the_execute_pipe_alone_is_met_to_the_cycle(assets):
    rows = execute_rows(assets.parent / EXECUTE_ROWS, bittrue.load_accelerator("gemmini_16x16"))
    assert len(rows) == 64
    assert {row.dataflow for row in rows} == {"WS", "OS"}
    assert [row for row in rows if row.cycles != row.rtl_cycles] == []


def test_rows_of_the_execute_pipe_are_told():
    lines = list(execute_tables([ExecuteRow("OS", 3, 16, True, 100, 101), ExecuteRow("WS", 3, 4, False, 100, 100)]))
    assert lines[1].split() == ["OS", "3", "16", "each", "100", "101", "+1.00"]
    assert lines[-1] == "met to the cycle: 1 of 2"


def test_groups_are_summed_up_apart():
    rows = [_row(1010), _row(970), _row(1100, out="int32")]
    found = {name: (count, round(mean, 6), round(worst, 6)) for name, count, mean, worst in summary(rows)}
    assert found == {
        "gemm WS int8, latency 1": (2, 2.0, 3.0),
        "gemm WS int32, latency 1": (1, 10.0, 10.0),
        "all": (3, round(14 / 3, 6), 10.0),
    }


def test_tables_tell_misses_and_unequal_traffic():
    lines = list(tables([_row(900), _row(1000, traffic=(64, 80))]))
    assert lines[1].split() == [
        "gemm_16x48x32",
        "gemm",
        "WS",
        "int8,",
        "latency",
        "1",
        "1000",
        "900",
        "-10.00",
        "equal",
    ]
    assert lines[2].endswith("DIFFERS")


def test_picture_is_written(tmp_path):
    draw([_row(900), _row(1000, out="int32")], tmp_path / "new" / "picture.png")
    assert (tmp_path / "new" / "picture.png").read_bytes().startswith(b"\x89PNG")


def test_without_data_it_says_what_is_missing(monkeypatch, capsys):
    monkeypatch.delenv("BITTRUE_ASSETS", raising=False)
    assert main([]) == 2
    assert "gemmini16_gemm_ws.csv" in capsys.readouterr().err
