"""docs/accelerators.md lists every preset and table, and its example and its mistakes are real."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

from accel_models.load import energy_table_names, load_accelerator, preset_names
from simulator.errors import SpecError

PAGE = Path(__file__).parents[2] / "docs" / "accelerators.md"


@pytest.fixture(scope="module")
def page():
    return PAGE.read_text(encoding="utf-8")


def test_the_example_is_a_valid_file_and_the_mistakes_are_real(page, tmp_path, monkeypatch):
    example = re.search(r"```yaml\n(.*?)```", page, re.DOTALL)[1]
    monkeypatch.chdir(tmp_path)
    Path("mine.yaml").write_text(example)
    assert load_accelerator("mine.yaml").model_dump()["array"]["rows"] == yaml.safe_load(example)["array"]["rows"]
    Path("mine.yaml").write_text(example.replace("cols:", "colls:").replace("64 KiB", "64 Kib"))
    told = re.search(r"```\n(mine.yaml:.*?)```", page, re.DOTALL)[1]
    with pytest.raises(SpecError) as error:
        load_accelerator("mine.yaml")
    assert str(error.value).splitlines() == told.splitlines()


def test_every_builtin_table_is_in_the_list(page):
    assert [
        name for name in energy_table_names() if name.startswith("illustrative") and f"| `{name}` |" not in page
    ] == []


@pytest.mark.parametrize("name", preset_names())
def test_every_preset_is_in_the_list_with_its_own_sizes(name, page):
    cells = [cell.strip() for cell in re.search(rf"^\| `{name}` \|(.*)\|$", page, re.MULTILINE)[1].split("|")]
    accelerator = load_accelerator(name)
    array, memories = accelerator.array, accelerator.memories
    assert cells[:2] == [f"{array.rows} x {array.cols}", array.dataflow.value.replace("_", " ")]
    clock, unit = cells[2].split()
    assert float(clock) * {"MHz": 1, "GHz": 1000}[unit] == accelerator.clock_mhz
    written, scale = [], 1
    for cell in reversed(cells[3].split(",")):  # a unit holds for the numbers before it
        number, *unit = cell.split()
        scale = {"KiB": 2**10, "MiB": 2**20}[unit[0]] if unit else scale
        written.insert(0, float(number) * scale)
    sizes = [memories.input_scratchpad.size, memories.weight_scratchpad.size, memories.accumulator.size]
    assert written == pytest.approx(sizes, rel=0.001)
    bandwidth = float(accelerator.dram_bytes_per_cycle) * accelerator.clock_mhz / 1000
    assert float(cells[4].split()[0]) == pytest.approx(bandwidth)
