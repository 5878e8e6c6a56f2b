"""Totals of a run against figures worked out by hand."""

from __future__ import annotations

from dataclasses import replace

import pytest

from support.small_runs import small_run


def test_totals_of_a_run():
    run = small_run()  # 1200 cycles at 1 GHz, 6912 MACs on 64 processing elements, 500.5 pJ
    assert run.total_time_s == pytest.approx(1.2e-6)
    assert run.frames_per_s == pytest.approx(833333.33)
    assert run.average_power_w == pytest.approx(500.5e-12 / 1.2e-6)
    assert run.tops_per_w == pytest.approx(2 * 6912 / 500.5)  # operations per picojoule are tera-operations per joule
    assert run.utilization == pytest.approx(6912 / (64 * 1200))
    assert (run.dram_read_bytes, run.dram_write_bytes, run.dram_bytes) == (300, 256, 556)
    assert run.overflow_events == 7
    assert run.layers[0].operational_intensity == pytest.approx(6912 / 556)


def test_a_run_without_layers_divides_by_nothing():
    run = replace(small_run(), layers=())
    assert (run.total_cycles, run.frames_per_s, run.average_power_w, run.tops_per_w, run.utilization) == (0, 0, 0, 0, 0)
