"""SCALE-Sim's files: what is read, and how what cannot be read is told."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.scalesim import write_inputs
from simulator.errors import NetworkError, SpecError
from simulator.timing.scalesim.work import ScaleSimDataflow, ScaleSimLayer
from workloads.importers.scalesim import read_config, read_topology


@pytest.fixture
def config(tmp_path: Path) -> Path:
    write_inputs(tmp_path, 32, "is", slice(1))
    return tmp_path / "run.cfg"


def test_config(config: Path) -> None:
    read = read_config(config)
    assert (read.rows, read.cols, read.dataflow) == (32, 32, ScaleSimDataflow.IS)
    assert (read.ifmap_bytes, read.run_name) == (256 * 1024, "resnet50")


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("ArrayHeight = 32", "ArrayHeight = 0", r"run.cfg, line 4: .* ArrayHeight = 0: write a whole number from 1"),
        ("ArrayHeight = 32", "ArrayHeight = 8.5", r"line 4: .* ArrayHeight = 8.5"),
        ("ArrayWidth = 32\n", "", r"line 3: \[architecture_presets\] has no ArrayWidth"),
        ("[run_presets]", "[presets]", r"section \[run_presets\] is missing"),
        ("Dataflow = is", "Dataflow = rs", r"line 12: .* Dataflow = rs: write ws, os or is"),
        ("= CALC", "= USER", r"line 28: .* InterfaceBandwidth = USER: only CALC"),
        ("SparsitySupport = false", "SparsitySupport = true", r"line 26: .* SparsitySupport = true: is not reproduced"),
        ("[general]", "general", r"run.cfg: .*section"),
    ],
)
def test_bad_config(config: Path, old: str, new: str, message: str) -> None:
    text = config.read_text()
    assert old in text
    config.write_text(text.replace(old, new))
    with pytest.raises(SpecError, match=message):
        read_config(config)


def topology(folder: Path, *rows: str) -> Path:
    path = folder / "net.csv"
    path.write_text("\n".join(["header,", *rows]) + "\n")
    return path


def test_topologies(tmp_path: Path) -> None:
    conv = topology(tmp_path, "conv1, 230, 230, 7, 7, 3, 64, 2,", "", "DP1, 5, 6, 3, 3, 2, 1, 1, 2:4,")
    assert read_topology(conv, gemm=False) == (
        ScaleSimLayer("conv1", 230, 230, 7, 7, 3, 64, 2),
        ScaleSimLayer("DP1Channel_0", 5, 6, 3, 3, 1, 1, 1),
        ScaleSimLayer("DP1Channel_1", 5, 6, 3, 3, 1, 1, 1),
    )
    (gemm,) = read_topology(topology(tmp_path, "fc, 3, 5, 7"), gemm=True)
    assert (gemm.pixels, gemm.filters, gemm.window) == (3, 5, 7)


def test_outputs_round_up() -> None:
    # 230 / 7 / stride 2 is 112 outputs; SCALE-Sim has 113.
    assert ScaleSimLayer("conv1", 230, 230, 7, 7, 3, 64, 2).ofmap_height == 113


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("a, 4, 4, 5, 3, 1, 1, 1,", r"net.csv, line 2: layer a: filter height 5 is larger than ifmap height 4"),
        ("a, 4, 4, 3, x, 1, 1, 1,", r"line 2: filter width = 'x'; write a whole number"),
        ("a, 4, 4, 3, 3, 1, 1, 0,", r"line 2: stride = '0'"),
        ("a, 4, 4, 4,", r"line 2: 4 values .*-i conv and -i gemm"),
    ],
)
def test_bad_topology(tmp_path: Path, row: str, message: str) -> None:
    with pytest.raises(NetworkError, match=message):
        read_topology(topology(tmp_path, row), gemm=False)


@pytest.mark.parametrize(
    ("gemm", "row"), [(True, "fc, 3, 5, 7,"), (False, "a, 4, 4, 3, 3, 1, 1, 1,"), (False, "a,4,4,3,3,1,1,1,2:4")]
)
def test_a_topology_without_a_header_is_refused(tmp_path: Path, gemm: bool, row: str) -> None:
    path = tmp_path / "net.csv"
    path.write_text(f"{row}\n{row}\n")
    with pytest.raises(NetworkError, match=r"net.csv, line 1: a layer, where .* put a header line before it"):
        read_topology(path, gemm=gemm)


def test_a_byte_order_mark_is_read_over(config: Path, tmp_path: Path) -> None:
    expected = read_config(config)
    config.write_text(config.read_text(), encoding="utf-8-sig")
    assert read_config(config) == expected
    path = topology(tmp_path, "fc, 3, 5, 7")
    path.write_text(path.read_text(), encoding="utf-8-sig")
    assert len(read_topology(path, gemm=True)) == 1


def test_empty_topology(tmp_path: Path) -> None:
    with pytest.raises(NetworkError, match="no layers"):
        read_topology(topology(tmp_path), gemm=True)
