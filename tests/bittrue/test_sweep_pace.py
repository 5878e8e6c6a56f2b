"""What a sweep says of its own length."""

from __future__ import annotations

import pytest

from bittrue.sweeping import pace


@pytest.mark.parametrize(
    ("steps", "told"),
    [
        # (seconds, points done); 40 were in the store, the first result comes late, and 5 s are warming up.
        (
            [(0, 40), (2, 40), (9, 41), (12, 42), (14, 50), (19, 100), (25, 200)],
            ["100 of 1,000 points, 10 a second: at this pace about 90 s more"],
        ),
        ([(0, 0), (1, 1), (6, 2), (12, 3)], ["3 of 1,000 points, 0.167 a second: at this pace about 100 min more"]),
        ([(0, 0), (1, 1), (101, 2), (201, 3)], ["3 of 1,000 points, 0.01 a second: at this pace about 28 h more"]),
        ([(0, 0), (1, 1), (3, 30), (9, 60)], []),
        ([(0, 0), (1, 1), (6, 900), (11, 991), (12, 992)], []),
    ],
)
def test_the_rest_is_told_once_from_the_pace_of_the_first_points(steps, told, monkeypatch):
    now, shown, notes = [0.0], [], []
    monkeypatch.setattr(pace.time, "monotonic", lambda: now[0])
    progress = pace.Pace(lambda *step: shown.append(step), notes.append)
    for seconds, done in steps:
        now[0] = seconds
        progress.update(done, 1000, "sweep: point")
    assert shown == [(done, 1000, "sweep: point") for _, done in steps]
    assert notes == told
