"""The committed results of the SystemVerilog: the model gives them anywhere, the SystemVerilog gives them again."""

from __future__ import annotations

import pytest

from rtl.golden import NAMES, engine, read, rows, seeds_of
from support.verilator import needs_verilator


def golden(name: str) -> list[dict[str, str]]:
    return [row for row in read() if row["array"] == name]


def test_every_array_is_there():
    found = [(row["array"], int(row["seed"])) for row in read()]
    assert found == [(name, seed) for name in NAMES for seed in seeds_of(name)]


@pytest.mark.parametrize("name", NAMES)
def test_the_model_gives_what_the_rtl_gave(name):
    assert rows(name) == golden(name)


class TestAnew:
    pytestmark = needs_verilator

    @pytest.mark.slow
    @pytest.mark.parametrize("name", NAMES)
    def test_the_rtl_gives_it_again(self, name):
        assert rows(name, engine(name)) == golden(name)
