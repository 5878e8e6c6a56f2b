"""The comparisons notice one changed operator in the SystemVerilog and one changed constant in a model."""

from __future__ import annotations

import importlib.util
import shutil
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

import proof.array_cycles
import simulator.kernels.clocked_dma
import simulator.kernels.clocked_im2col
import simulator.kernels.clocked_output_stationary
import simulator.kernels.clocked_system
import simulator.kernels.clocked_weight_stationary
import simulator.mapping.array_cycles
import simulator.timing.clocked_convolution
import simulator.timing.clocked_system
from rtl.golden import engine, read, rows
from support.verilator import RTL, needs_verilator


def replace_once(text: str, old: str, new: str) -> str:
    assert text.count(old) == 1, f"{old!r} occurs {text.count(old)} times"
    return text.replace(old, new)


class TestRtl:
    pytestmark = needs_verilator

    @pytest.mark.slow
    @pytest.mark.parametrize(
        ("name", "file", "old", "new"),
        [
            ("ws_2x3_single", "register_add.sv", "EXACT_BITS'(present) +", "EXACT_BITS'(present) -"),
            ("ws_3x5", "sequencer_ws.sv", "? pixels : 16'(ROWS)", "? pixels : 16'(ROWS + 1)"),
            ("os_5x3", "array_os.sv", "passes_on << 1", "passes_on << 2"),
            ("os_1x1", "rounding_shift.sv", "<< by) >> 1", "<< by) >> 2"),
            ("os_6x7", "float_product.sv", "product[47] ? 7'sd24", "product[46] ? 7'sd24"),
            ("os_5x3", "pe_os.sv", "preloads ? stored_overflow", "!preloads ? stored_overflow"),
            ("conv_3x5", "im2col_lane.sv", "32'(channels) + 32'(channel)", "32'(channels) - 32'(channel)"),
            (
                "conv_8x8",
                "im2col_feed.sv",
                "address[r][ADDRESS_BITS-1:ELEMENT_BITS]",
                "address[r][ADDRESS_BITS-2:ELEMENT_BITS-1]",
            ),
            ("conv_2x3_single", "max_pool.sv", "rows_to_go <= rows.below", "rows_to_go < rows.below"),
            ("dma", "dma_requests.sv", "in_flight < max_outstanding", "in_flight <= max_outstanding"),
            ("system_2x3_single", "system_control.sv", "inputs_now != '0", "inputs != '0"),
            ("system_os_5x3", "core_os.sv", "bias_address) ^ {turn.weight_half", "bias_address) & {turn.weight_half"),
            ("system_os_8x4", "accumulator_os.sv", "result_valid && row < pixels_left", "result_valid"),
            ("system_conv_3x5", "im2col_feed.sv", "word[b] + base", "word[b] ^ base"),
            ("system_conv_3x5", "im2col_feed.sv", ".first(band.first_tap)", ".first('0)"),
            ("system_conv_3x5", "max_pool.sv", "valid && finished", "valid || finished"),
            ("system_2x3_single", "system_top.sv", "works[next_work_op]", "works[work_op]"),
            (
                "system_2x3_single",
                "system_top.sv",
                "weight_fill ^ (load_start && load.takes_weight)",
                "weight_fill ^ load_start",
            ),
            ("system_2x3_single", "system_control.sv", "!takes_weight || weights_now", "!takes_weight || weights"),
            ("dma", "dma.sv", "NOBODY && !load_issuing", "NOBODY || !load_issuing"),
        ],
    )
    def test_a_changed_operator_is_noticed(self, name, file, old, new, tmp_path, monkeypatch):
        monkeypatch.setenv("BITTRUE_RTL_CACHE", str(tmp_path / "cache"))
        shutil.copytree(RTL, tmp_path / "rtl")
        path = tmp_path / "rtl" / file
        path.write_text(replace_once(path.read_text(), old, new))
        changed = engine(name, tmp_path / "rtl")
        assert rows(name, changed) != [row for row in read() if row["array"] == name]


def mutant(module, old: str, new: str, folder: Path):
    """Import a changed copy of a module, without Numba: compiling it would take longer than running it."""
    text = replace_once(Path(module.__file__).read_text(), old, new)
    text = text.replace(
        "from simulator.kernels._jit import kernel", "kernel = lambda **options: lambda function: function"
    )
    path = folder / "mutant.py"
    path.write_text(text)
    spec = importlib.util.spec_from_file_location("mutant", path)
    copy = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(copy)
    return copy


def test_a_changed_constant_in_the_model_of_the_dma_is_noticed(tmp_path):
    for old, new, noticed in (
        ("half[_IN_FLIGHT] == 1", "half[_IN_FLIGHT] == 1", False),
        ("half[_IN_FLIGHT] < settings", "half[_IN_FLIGHT] <= settings", True),
        ('settings["interval_cycles"] - 1:', 'settings["interval_cycles"]:', True),
        ("if half[_SETUP_LEFT] == 0:", "if half[_SETUP_LEFT] == 1:", True),
    ):
        changed = mutant(simulator.kernels.clocked_dma, old, new, tmp_path)
        assert (rows("dma", changed.clock_dma) != [row for row in read() if row["array"] == "dma"]) == noticed, old


def test_a_changed_constant_in_the_model_of_the_system_is_noticed(tmp_path, monkeypatch):
    table = [row for row in read() if row["array"] == "system_2x3_single"]
    for old, new, noticed in (
        ('counts["cycles"] = cycle', 'counts["cycles"] = cycle', False),
        ('counts["cycles"] = cycle', 'counts["cycles"] = cycle + 1', True),
        ("cycle, owner, storing = np.int64(0), NOBODY", "cycle, owner, storing = np.int64(0), STORE", True),
    ):
        changed = mutant(simulator.kernels.clocked_system, old, new, tmp_path)
        monkeypatch.setattr(simulator.timing.clocked_system, "clock_system", changed.clock_system)
        assert (rows("system_2x3_single") != table) == noticed, old


def test_a_changed_constant_in_the_model_of_the_banks_is_noticed(tmp_path, monkeypatch):
    table = [row for row in read() if row["array"] == "conv_8x8"]
    for old, new, noticed in (
        ("address // word_elements if", "address // word_elements if", False),
        ("address // word_elements if", "address // (word_elements + 1) if", True),
        ("words[r] % banks] += 1", "words[r] % banks] += 2", True),
    ):
        changed = mutant(simulator.kernels.clocked_im2col, old, new, tmp_path)
        monkeypatch.setattr(simulator.timing.clocked_convolution, "fetch", changed.fetch)
        assert (rows("conv_8x8") != table) == noticed, old


WS, OS = simulator.kernels.clocked_weight_stationary, simulator.kernels.clocked_output_stationary


@pytest.mark.parametrize(
    ("name", "module", "old", "new", "noticed"),
    [
        ("ws_6x4", WS, "rows + cols - 2", "rows + cols - 2", False),
        ("ws_6x4", WS, "rows + cols - 2", "rows + cols - 1", True),
        ("ws_6x4", WS, "row[r, c] == r:", "row[r, c] == r - 1:", True),
        ("os_4x6", OS, "shift(finish, rows - 1, last)", "shift(finish, rows, last)", True),
        ("os_4x6", OS, "now == k - 1", "now == k - 2", True),
        ("os_4x6", OS, "min(pixels_left, rows)", "rows", True),
    ],
)
def test_a_changed_constant_in_the_model_is_noticed(name, module, old, new, noticed, tmp_path):
    table = [row for row in read() if row["array"] == name]
    smallest = min(table, key=lambda row: sum(map(int, row["cycles"].split())))
    changed = mutant(module, old, new, tmp_path)

    def execute(activations, *job):
        if module is WS:
            changed.clock_weight_stationary(activations, np.ones(len(activations), np.int64), job[3], *job)
        else:
            held = np.zeros((2, activations.shape[1], job[0].shape[1]), np.int64)
            changed.clock_output_stationary(activations, *job, held)

    assert (rows(name, execute, [int(smallest["seed"])]) != [smallest]) == noticed


@pytest.mark.parametrize(
    ("function", "old", "new"),
    [
        ("weight_stationary", "device.cols + 2", "device.cols - 1 + 2"),
        ("output_stationary", "device.cols + 1 + continued", "device.cols - 1 + 1 + continued"),
        ("output_stationary", "continued * device.rows", "continued * (device.rows - 1)"),
    ],
)
def test_a_changed_constant_in_a_closed_form_is_noticed(function, old, new, tmp_path, monkeypatch):
    changed = mutant(simulator.mapping.array_cycles, old, new, tmp_path)
    monkeypatch.setattr(proof.array_cycles, function, getattr(changed, function))
    assert any(proof.array_cycles.judge(seed, Counter()) for seed in range(1, 40))
