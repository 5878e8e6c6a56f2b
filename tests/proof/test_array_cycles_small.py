"""A thousand cases of the proof of the closed forms; `make prove` runs more."""

from __future__ import annotations

from collections import Counter

from proof.array_cycles import judge


def test_closed_forms_equal_the_register_accurate_model():
    tally: Counter[str] = Counter()
    assert [text for text in (judge(seed, tally) for seed in range(1000)) if text] == []
    assert min(count for name, count in tally.items() if name.endswith("products")) > 200
    assert all(
        tally[f"{kind}: jobs"] > tally[f"{kind}: products"] for kind in ("weight_stationary", "output_stationary")
    )
