"""The SRAM law meets CACTI on every run, its fit can be repeated, and the 7 nm law meets its three points."""

from __future__ import annotations

from collections import Counter

import pytest

from accel_models.load import load_energy_table
from benchmarks.fit_sram import COLUMNS, errors, fit, read_rows
from simulator.accelerator.memories import Memory

CACTI = {45: "illustrative_45nm", 22: "illustrative_22nm"}


@pytest.fixture(scope="module")
def rows(assets):
    return read_rows(assets.parent / "validation" / "cacti_sram.csv")


@pytest.mark.assets
@pytest.mark.parametrize("node", CACTI)
def test_every_run_of_cacti_is_met_within_15_percent(node, rows):
    law = load_energy_table(CACTI[node]).sram
    found = errors(law, rows[node])
    assert {name: len(values) for name, values in found.items()} == dict.fromkeys(COLUMNS, 18)
    assert max(abs(value) for values in found.values() for value in values) < 0.15


@pytest.mark.assets
@pytest.mark.parametrize("node", CACTI)
def test_the_fit_gives_the_coefficients_of_the_table(node, rows):
    law = load_energy_table(CACTI[node]).sram
    again = fit(rows[node], "again")
    for name in COLUMNS:
        assert getattr(law, name).model_dump() == pytest.approx(getattr(again, name).model_dump(), abs=2e-3, rel=2e-3)


@pytest.mark.assets
def test_the_law_is_not_a_look_up(rows):
    # Left out of the fit one at a time, the memories inside the range of the others stay within 30 %.
    for node in CACTI:
        inside = [row for row in rows[node] if 2 <= float(row["KB"]) <= 2048 and row["width_bits"] == "64"]
        assert Counter(row["tech_nm"] for row in inside) == {str(node): 11}
        for left_out in inside:
            law = fit([row for row in rows[node] if row is not left_out], "without one")
            assert all(abs(value) < 0.3 for (value,) in errors(law, [left_out]).values())


def test_seven_nanometres_meets_its_source():
    law = load_energy_table("illustrative_7nm").sram
    for kib, pj in ((8, 7.5), (32, 8.5), (1024, 14)):
        assert law.at("read_pj", Memory(size=kib * 1024)) == pytest.approx(pj, rel=0.002)


@pytest.mark.parametrize("table", ["illustrative_45nm", "illustrative_22nm", "illustrative_7nm"])
@pytest.mark.parametrize("quantity", COLUMNS)
def test_more_never_costs_less(table, quantity):
    law = load_energy_table(table).sram
    sizes = [law.at(quantity, Memory(size=2**bits)) for bits in range(9, 26)]
    widths = [law.at(quantity, Memory(size=2**18, width_bits=width)) for width in (64, 128, 256, 512, 1024)]
    banks = [law.at(quantity, Memory(size=2**18, banks=count)) for count in (1, 2, 8, 64)]
    assert all(series == sorted(series) for series in (sizes, widths, banks))
    assert sizes[0] < sizes[-1]
