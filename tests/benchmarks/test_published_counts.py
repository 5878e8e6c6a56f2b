"""The comparison with published counts: what it reads, what it makes of it, and that the page shows it."""

from __future__ import annotations

from pathlib import Path

import pytest

from accel_models.load import load_accelerator
from benchmarks.published_counts import (
    Row,
    main,
    max78000_rows,
    nvdla_accelerator,
    nvdla_rows,
    read_counts,
    report,
    tpu_rows,
    update,
)

PAGE = Path(__file__).parents[2] / "docs" / "accelerators.md"


@pytest.fixture(scope="module")
def counts(assets):
    return read_counts(assets.parent / "validation" / "published_counts.csv")


def test_error_is_relative_to_theirs():
    assert Row("", "", ours=3, theirs=4).error == -0.25


def test_nvdla_of_64_macs_is_the_preset_with_more_requests_in_flight():
    assert nvdla_accelerator(64, 128, 1) == load_accelerator("nvdla_small").evolve({"dma.max_outstanding": 64})


def test_layers_of_the_max78000_take_the_vendors_cycles_where_weights_shift_in_unseen():
    large, small = max78000_rows()
    assert (len(large), len(small)) == (3, 4)
    assert max(abs(row.error) for row in large) < 0.1
    # The chip reads new weights every cycle; an array that shifts them in is slower wherever it cannot hide that.
    assert min(row.error for row in small) > 1


@pytest.mark.assets
def test_tpu_rows_are_the_papers_and_near(counts):
    rows = list(tpu_rows(counts))
    assert [row.theirs for row in rows] == pytest.approx([12.5, 12.7, 53.9 + 15.9, 12.3, 9.4, 10.6, 44.2 + 13.4, 9.7])
    useful = [row for row in rows if row.metric in ("useful_MACs_of_peak", "array_active")]
    assert max(abs(row.error) for row in useful) < 0.15
    # The unit that the paper calls non-matrix never waits here, so more of the time is waiting for weights.
    assert all(row.error > 0 for row in rows if "stall" in row.metric)


@pytest.mark.assets
def test_nvdla_rows_are_all_of_the_primers(counts):
    rows = list(nvdla_rows(counts))
    assert [row.theirs for row in rows] == [269, 153, 93, 46, 46, 20, 7.3, 3.6]
    assert max(abs(row.error) for row in rows) < 0.4


@pytest.mark.assets
def test_the_page_shows_what_is_printed(counts):
    page = PAGE.read_text(encoding="utf-8")
    assert update(page, report(counts)) == page, "run: python -m benchmarks.published_counts docs/accelerators.md"


def test_without_the_figures_it_says_what_to_set(monkeypatch, capsys, tmp_path):
    monkeypatch.setenv("BITTRUE_ASSETS", str(tmp_path))
    assert main([]) == 1
    assert "published_counts.csv" in capsys.readouterr().err
