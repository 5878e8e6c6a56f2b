"""The closed forms equal SCALE-Sim 3.0.0, figure for figure, on rows that it computed (make_scalesim_golden.py)."""

from __future__ import annotations

import csv
import os
from pathlib import Path

import pytest

from reports.scalesim import access_cells, bandwidth_cells, compute_cells
from simulator.errors import SpecError
from simulator.timing.scalesim.closed_forms import report_layer
from simulator.timing.scalesim.work import ScaleSimConfig, ScaleSimDataflow, ScaleSimLayer

GOLDEN = Path(__file__).parents[1] / "oracles" / "data" / "scalesim_golden.csv"
DEVICE_CELLS, LAYER_CELLS = 6, 7


def golden_rows() -> list[list[str]]:
    path = Path(os.environ.get("BITTRUE_SCALESIM_ROWS", GOLDEN))
    with path.open(encoding="utf-8") as file:
        return list(csv.reader(line for line in file if not line.startswith("#")))


def parse(row: list[str]) -> tuple[ScaleSimConfig, ScaleSimLayer, list[float]]:
    rows, cols, ifmap, filters, ofmap = map(int, row[: DEVICE_CELLS - 1])
    dataflow = ScaleSimDataflow(row[DEVICE_CELLS - 1])
    config = ScaleSimConfig("run", rows, cols, 1024 * ifmap, 1024 * filters, 1024 * ofmap, dataflow)
    sizes = map(int, row[DEVICE_CELLS : DEVICE_CELLS + LAYER_CELLS])
    return config, ScaleSimLayer("layer", *sizes), [float(cell) for cell in row[DEVICE_CELLS + LAYER_CELLS :]]


def test_every_figure_equals_scalesims_or_is_left_out_for_a_stated_reason() -> None:
    seen = set()
    for row in golden_rows():
        config, layer, theirs = parse(row)
        ours = report_layer(layer, config)
        cells = [*compute_cells(ours)[:-1], *bandwidth_cells(ours), *access_cells(ours)]
        assert len(cells) == len(theirs)
        left_out = {index for index, cell in enumerate(cells) if cell is None}
        expected = set()
        # Positions of bandwidth, stop cycle and count of ifmap and filter at DRAM.
        for words, size, positions in (
            (layer.touched_ifmap_words, config.ifmap_bytes, {9, 22, 23}),
            (layer.window * layer.filters, config.filter_bytes, {10, 25, 26}),
        ):
            if words >= 50 * (size // 100):
                expected |= positions
        assert left_out == expected, row
        for cell, figure in zip(cells, theirs, strict=True):
            if cell is not None:
                assert cell == pytest.approx(figure, rel=1e-12, abs=0), row
        half = config.ofmap_bytes // 2
        seen |= {config.dataflow, ("drains early", ours.dram[2].words > half), ("left out", bool(left_out))}
        seen.add(("overhangs", (layer.ifmap_height - layer.filter_height) % layer.stride > 0))
    flags = {(what, value) for what in ("drains early", "left out", "overhangs") for value in (True, False)}
    assert seen == {*ScaleSimDataflow, *flags}


def test_rtl_cycles_are_those_of_the_array_in_rtl() -> None:
    # 10 folds of 20 pixels on 4 x 8 with shadow weights: 4 + 9 * 20 + 20 + 4 + 8 + 2.
    layer = ScaleSimLayer("gemm", 20, 17, 1, 17, 1, 16, 1)
    kib = 1024
    config = ScaleSimConfig("run", 4, 8, kib, kib, kib, ScaleSimDataflow.WS)
    assert report_layer(layer, config).rtl_cycles == 218
    # 5 x 2 blocks of 17 products on 4 x 8: 9 * 17 + 17 + 8 + 8 + 1.
    config = ScaleSimConfig("run", 4, 8, kib, kib, kib, ScaleSimDataflow.OS)
    assert report_layer(layer, config).rtl_cycles == 187
    config = ScaleSimConfig("run", 4, 8, kib, kib, kib, ScaleSimDataflow.IS)
    assert report_layer(layer, config).rtl_cycles is None


def test_a_single_product_has_no_utilization() -> None:
    config = ScaleSimConfig("run", 1, 1, 1024, 1024, 1024, ScaleSimDataflow.OS)
    row = report_layer(ScaleSimLayer("one", 1, 1, 1, 1, 1, 1, 1), config)
    assert row.total_cycles == 0
    assert row.overall_utilization is None


def test_an_ofmap_buffer_that_could_stall_is_refused() -> None:
    config = ScaleSimConfig("run", 8, 256, 1024, 1024, 1024, ScaleSimDataflow.OS)
    with pytest.raises(SpecError, match=r"OfmapSramSzkB = 1: .* more than 4 words for each of the 256 columns"):
        report_layer(ScaleSimLayer("one", 4, 4, 1, 1, 1, 1, 1), config)
