"""The tables of docs/ that tell every key of a file and every field of a record are those of the code."""

from __future__ import annotations

import re
from dataclasses import fields
from pathlib import Path

import pytest

from accel_models.reference import field_table
from bittrue.fitting.rows import read_rows
from bittrue.golden.model import Golden
from bittrue.reference import PAGES, update
from bittrue.sweeping.space import Space
from simulator.accelerator.base import Spec
from simulator.accelerator.energy import EnergyTable
from simulator.accelerator.problems import dotted_keys
from simulator.accelerator.spec import Accelerator
from simulator.accelerator.technology import SramLaw, Technology
from simulator.errors import InputError
from simulator.records.run import RunRecord
from workloads.training.config import TrainingConfig

DOCS = Path(__file__).parents[2] / "docs"


def _text(page):
    return (DOCS / page).read_text(encoding="utf-8")


def _keys(page):
    return re.findall(r"^\| `([A-Za-z0-9_.\[\]]+)` \|", _text(page), re.MULTILINE)


@pytest.mark.parametrize("page", PAGES)
def test_page_is_up_to_date(page):
    assert update(page, _text(page)) == _text(page), "run: python -m bittrue.reference docs"


@pytest.mark.parametrize("page", [page for page in PAGES if page != "files/space.md"])
def test_every_row_has_a_meaning(page):
    rows = re.findall(r"^\| (`.*?`) \|(?:.*\|)? (.*) \|$", _text(page), re.MULTILINE)
    assert len(rows) > 5
    assert [key for key, meaning in rows if len(meaning) < 5] == []


def test_pages_tell_every_key_of_their_models():
    assert set(dotted_keys(Accelerator)) <= set(_keys("files/accelerator.md"))
    table = set(EnergyTable.model_fields) | set(Technology.model_fields)
    assert table | {f"sram.{key}" for key in SramLaw.model_fields} <= set(_keys("files/energy_table.md"))
    assert {"first", "last"} & set(_keys("files/space.md")) == set()  # users write from and to
    assert {*Space.model_fields, "vary.NAME.from", "networks[].network"} <= set(_keys("files/space.md"))
    assert {*Golden.model_fields, "cases.NAME.inputs.seed", "within_percent"} <= set(_keys("files/golden.md"))
    assert {field.name for field in fields(TrainingConfig)} == set(_keys("files/training.md"))
    assert {field.name for field in fields(RunRecord)} <= set(_keys("records.md"))


def test_columns_of_measured_layers_are_those_that_are_read(tmp_path):
    columns = _keys("files/rows.md")
    path = tmp_path / "rows.csv"
    path.write_text(f"{','.join([*columns, 'other'])}\n")
    with pytest.raises(InputError, match="column 'other' is unknown") as error:
        read_rows(path, None)
    assert ", ".join(columns) in str(error.value)


def test_a_key_is_told_with_what_it_takes():
    class Part(Spec):
        size: int | float | None = None
        """Of a part."""

    class Whole(Spec):
        parts: dict[str, tuple[Part, ...] | str]
        """By | name."""

    assert field_table(Whole).splitlines()[2:] == [
        "| `parts` | mapping; each value: list; each: group or text | required | By \\| name. |",
        "| `parts.NAME[].size` | number |  | Of a part. |",
    ]


def test_a_page_without_its_place_is_no_success():
    with pytest.raises(ValueError, match=r"records\.md has no place for columns"):
        update("records.md", "# Records\n")
