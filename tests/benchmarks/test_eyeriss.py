"""The comparison with the chip's DRAM traffic counts what it says."""

from __future__ import annotations

import pytest

import bittrue
from benchmarks.eyeriss import BATCH, LAYERS, _coded, compare, layer_record


def test_run_length_code_by_hand():
    # Half of the values are 0: half of them take 21.3 bits instead of 16.
    assert _coded(0.5) == pytest.approx(2 / 3)
    assert _coded(0.016) == 1.0


def test_a_layer_by_hand():
    record = layer_record("CONV1-1", bittrue.load_accelerator("eyeriss_like"))
    assert record.macs == BATCH * 224 * 224 * 3 * 3 * 3 * 64
    assert record.dram_write_bytes == BATCH * 224 * 224 * 64 * 2
    assert record.unique_bytes == BATCH * 224 * 224 * 3 * 2 + 3 * 3 * 3 * 64 * 2


@pytest.mark.assets
def test_comparison_of_all_layers(assets):
    rows = compare(assets.parent / "validation" / "eyeriss-vgg16.csv")
    assert [row.layer for row in rows] == list(LAYERS)
    assert sum(row.published_mb for row in rows) == pytest.approx(321.1, abs=0.5)
    assert all(row.unique_mb <= row.ours_mb * 1.0001 and row.coded_mb <= row.ours_mb for row in rows)
    assert abs(rows[0].coded_error) < 0.25
    assert rows[0].error == pytest.approx(20.2 / 15.4 - 1, abs=0.01)
