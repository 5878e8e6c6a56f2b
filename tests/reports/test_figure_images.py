"""Every figure of the report against a picture of it that somebody has looked at.

`pytest tests/reports/test_figure_images.py --mpl-generate-path=tests/reports/baseline` draws the pictures anew; look at
them before they are committed. Their text is set in the font that matplotlib brings along.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from reports import figures
from reports.figures_style import styled
from simulator.records.store import read_run
from support.records import run_record, stepped

pytest.importorskip("pytest_mpl")
SAVED = Path(__file__).parent / "data" / "run_schema_1"

pictured = pytest.mark.mpl_image_compare(
    baseline_dir="baseline", style="default", backend="agg", savefig_kwargs={"dpi": 60, "facecolor": "white"}
)


@dataclass
class Styled:
    """A drawing that is saved as pages save it: in the figures' own style."""

    drawing: figures.Drawing | None

    def savefig(self, *arguments: Any, **keywords: Any) -> None:
        with styled():
            self.drawing.figure.savefig(*arguments, **keywords)


def few():
    return run_record(8, overflow=True)


def many():
    return run_record(60, overflow=True)


def full():
    """With bytes in every memory."""
    layers = tuple(
        replace(
            layer,
            accumulator_read_bytes=4 * layer.dram_read_bytes,
            accumulator_write_bytes=4 * layer.dram_read_bytes,
            input_scratchpad_read_bytes=2 * layer.dram_read_bytes,
            weight_scratchpad_read_bytes=layer.dram_write_bytes,
        )
        for layer in few().layers
    )
    return replace(few(), layers=layers)


@pictured
def test_roofline():
    return Styled(figures.roofline(few()))


@pictured
def test_cycles_of_few_layers():
    return Styled(figures.cycles(few()))


@pictured
def test_cycles_of_many_layers():
    return Styled(figures.cycles(many()))


@pictured
def test_energy_of_few_layers():
    return Styled(figures.energy(few()))


@pictured
def test_traffic_of_many_layers():
    return Styled(figures.traffic(many()))


@pictured
def test_overflow_of_few_layers():
    return Styled(figures.overflow(few()))


@pictured
def test_overflow_of_many_layers():
    return Styled(figures.overflow(many()))


@pictured
def test_needed_bits_of_few_layers():
    return Styled(figures.needed_bits(stepped(few())))


@pictured
def test_needed_bits_of_many_layers():
    return Styled(figures.needed_bits(stepped(run_record(120, overflow=True))))


@pictured
def test_time():
    return Styled(figures.time(few()))


@pictured
def test_components():
    return Styled(figures.components(few()))


@pictured
def test_memories():
    return Styled(figures.memories(full()))


@pictured
def test_timeline():
    return Styled(figures.timeline(few()))


@pictured
def test_accumulator_sweep():
    return Styled(figures.sweep(read_run(SAVED).record))
