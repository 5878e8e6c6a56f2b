"""What a sweep says of its own length."""

from __future__ import annotations

import pytest

from bittrue.sweeping import pace


@pytest.mark.parametrize(
    ("steps", "told"),
    [
        # (seconds, points done); 40 were in the store, and the first result comes late: neither counts.
        ([(0, 40), (9, 41), (12, 71), (14, 91), (20, 200)], ["91 of 1,000 points, 10 a second: about 91 s more"]),
        ([(0, 0), (1, 1), (7, 2)], ["2 of 1,000 points, 0.167 a second: about 100 min more"]),
        ([(0, 0), (1, 1), (101, 2)], ["2 of 1,000 points, 0.01 a second: about 28 h more"]),
        ([(0, 0), (1, 1), (3, 30)], []),
        ([(0, 0), (1, 1), (6, 991), (7, 992)], []),
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
