"""`bittrue scalesim`: reports with SCALE-Sim's columns, or a refusal that leaves nothing behind."""

from __future__ import annotations

from pathlib import Path

from typer.testing import CliRunner

from benchmarks.scalesim import REPORTS, write_inputs
from bittrue.cli import app


def run(folder: Path, *options: str) -> tuple[int, str]:
    files = ["-c", str(folder / "run.cfg"), "-t", str(folder / "net.csv"), "-o", str(folder / "out")]
    result = CliRunner().invoke(app, ["scalesim", *files, *options])
    return result.exit_code, result.output


def test_resnet50_in_the_columns_of_scalesim(tmp_path: Path) -> None:
    write_inputs(tmp_path, 32, "ws", slice(54))
    code, output = run(tmp_path)
    assert code == 0
    assert "54 layers, 6,463,792 cycles" in output  # what SCALE-Sim 3.0.0 reports
    tables = [(tmp_path / "out" / name).read_text().splitlines() for name in REPORTS]
    assert [len(lines) for lines in tables] == [55, 55, 55]
    assert tables[0][0].startswith(
        "LayerID, Total Cycles (incl. prefetch), Total Cycles, Stall Cycles, Overall Util %,"
    )
    assert tables[0][0].endswith(" Compute Util %, RTL Cycles,")
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == sorted(REPORTS)


def test_input_stationary_has_no_rtl_count(tmp_path: Path) -> None:
    write_inputs(tmp_path, 32, "is", slice(1))
    assert run(tmp_path)[0] == 0
    assert (tmp_path / "out" / REPORTS[0]).read_text().splitlines()[1].endswith(", n/a,")


def test_gemm(tmp_path: Path) -> None:
    write_inputs(tmp_path, 8, "ws", slice(1))
    (tmp_path / "net.csv").write_text("Layer,M,N,K,\nA,20,16,17,\nB,9,1,40,\nC,1,33,3,1:4,\n")
    assert run(tmp_path, "-i", "gemm")[0] == 0
    lines = (tmp_path / "out" / REPORTS[2]).read_text().splitlines()[1:]
    assert [[int(cell) for cell in line.split(",")[1:-1]] for line in lines] == [  # SCALE-Sim 3.0.0, CALC mode
        [9, 238, 680, 1, 218, 272, 15, 251, 960, -263, -1, 340, -263, -1, 272, 251, 370, 960],
        [9, 148, 360, 1, 132, 40, 15, 147, 45, -263, -1, 360, -263, -1, 40, 154, 159, 45],
        [9, 103, 15, 6, 100, 99, 15, 107, 33, -263, -1, 3, -263, -1, 99, 114, 118, 33],
    ]


def test_bad_row_leaves_nothing(tmp_path: Path) -> None:
    write_inputs(tmp_path, 32, "ws", slice(2))
    topology = tmp_path / "net.csv"
    topology.write_text(topology.read_text() + "bad, 1, 2,\n")
    code, output = run(tmp_path)
    assert code == 2
    assert "line 4" in output
    assert not (tmp_path / "out").exists()
