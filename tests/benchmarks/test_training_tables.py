"""The training study's tables: gaps seed by seed, and what may be chance."""

from __future__ import annotations

import pytest

from benchmarks.training_cases import NETWORKS, STUDIES, find_cases
from benchmarks.training_study import append, command, read_rows
from benchmarks.training_tables import Gap, gap, table


def test_a_gap_is_the_mean_difference_of_common_seeds():
    """By hand: differences -1, -2, -3; standard deviation 1, error 1 / sqrt 3."""
    found = gap({0: 47.0, 1: 46.0, 2: 45.0, 3: 99.0}, {0: 48.0, 1: 48.0, 2: 48.0})
    assert found.points == pytest.approx(-2)
    assert found.error == pytest.approx(3**-0.5)
    assert not found.may_be_chance


def test_one_seed_and_a_small_gap_may_be_chance():
    assert str(gap({0: 47.0}, {0: 48.0})) == "-1.00 one seed ~"
    assert str(Gap(0.5, 0.3)) == "+0.50 ± 0.30 ~"
    assert gap({1: 47.0}, {0: 48.0}) is None


def test_rows_are_appended_and_read_back_and_shown(tmp_path):
    path = tmp_path / "new" / "rows.csv"
    about = {"network": "x", "epochs": 8, "steps": 360, "split": "test", "images": 2, "pixel_accuracy": "0.800000"}
    append(path, {"case": "deeplab float32", "seed": 0, "miou": "0.480000", **about})
    append(path, {"case": "deeplab E2=16", "seed": 0, "miou": "0.470000", "overflow_events": 7, **about})
    rows = read_rows(path)
    assert [row["overflow_events"] for row in rows] == ["", "7"]
    scores = {"deeplab float32": {0: 48.0}, "deeplab E2=16": {0: 47.0}}
    *_, line = table(STUDIES["deeplab"], rows, scores)
    assert line == "| integers, E2 = 16 | 8 | **47.00** (47.00) | 80.00 | -1.00 one seed ~ | 7 |"


def test_every_case_is_a_command_and_is_compared_with_another(tmp_path):
    cases = find_cases(())
    assert len({case.name for case in cases}) == len(cases)
    for case in cases:
        assert not case.against or case.against in {other.name for other in cases}
        written = command(case, 1, "camvid:x", tmp_path, tmp_path / "run")
        assert NETWORKS[case.network].network in written
    with pytest.raises(SystemExit, match="no study or case"):
        find_cases(("deeplab E2=4",))
