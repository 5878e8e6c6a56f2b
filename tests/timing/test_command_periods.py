"""The command machine without idle cycles and periods against the one that steps through every cycle, to the cycle."""

from __future__ import annotations

import numpy as np
import pytest

import bittrue
from simulator.errors import ScheduleError
from simulator.kernels import command_layout as at
from simulator.kernels import command_state as of
from simulator.kernels.command_period import _TIMES, signature
from simulator.kernels.command_state import new_state
from simulator.mapping.command_schedule import command_schedule, convolution_schedule
from simulator.mapping.commands import Product
from simulator.mapping.convolution_tiles import Convolution
from simulator.timing import command_periods
from simulator.timing.commands import command_constants, run_command_layer
from tests.timing.test_command_machine import drawn_device

GEMMINI = bittrue.load_accelerator("gemmini_16x16")
MOST_SPANS = 1 << 20


@pytest.fixture
def left_out(monkeypatch):
    """Cycles that each jump leaves out."""
    cycles = []
    jump = command_periods.jump

    def noted(ahead, later, *rest):
        cycles.append(later)
        jump(ahead, later, *rest)

    monkeypatch.setattr(command_periods, "jump", noted)
    return cycles


def _equal(schedule, accelerator):
    """Cycles, busy cycles and the spans of every loop, both ways."""
    lists = schedule.commands
    ours = run_command_layer(lists, accelerator, MOST_SPANS)
    theirs = run_command_layer(lists, accelerator, MOST_SPANS, every_cycle=True)
    assert ours == theirs
    return ours[0].end_cycle


@pytest.mark.parametrize("changes", [{}, {"array.dataflow": "output_stationary"}])
@pytest.mark.parametrize("seed", range(3))
def test_products_take_the_same_cycles(seed, changes, left_out):
    rng = np.random.default_rng(seed)
    total = 0
    for _ in range(16):
        accelerator = drawn_device(rng, dims=(4, 8)).evolve(changes)
        m, n, k = (int(rng.integers(1, int(rng.choice([4, 40])) * accelerator.array.rows)) for _ in range(3))
        product = Product(m, n, k, int(rng.choice([1, 4])), ("none", "vector", "matrix")[rng.integers(3)])
        schedule = command_schedule("layer", product, accelerator)
        if schedule.commands.loops[-1, at.FIRST_BLOCK] < 4000:
            total += _equal(schedule, accelerator)
    # Output stationary, a loop has all of both memories: these are few.
    assert (0 < sum(left_out) < total) or changes


def test_convolutions_take_the_same_cycles(left_out):
    rng = np.random.default_rng(5)
    total = 0
    for _ in range(24):
        accelerator = drawn_device(rng, dims=(4,))
        kernel, stride, dilation = (int(rng.integers(1, most)) for most in (4, 3, 3))
        size, channels, filters = (int(rng.integers(low, high)) for low, high in ((9, 40), (1, 12), (1, 12)))
        pad = int(rng.integers(0, 2)) * (kernel // 2)
        out = (size + 2 * pad - (kernel - 1) * dilation - 1) // stride + 1
        shape = (1, size, size, channels, out, out, filters)
        conv = Convolution(*shape, kernel, stride, dilation, pad, pad, bool(rng.integers(2)))
        schedule = convolution_schedule("layer", conv, accelerator)
        if schedule.commands.loops[-1, at.FIRST_BLOCK] < 6000:
            total += _equal(schedule, accelerator)
    assert 0 < sum(left_out) < total


@pytest.mark.parametrize(("latency", "bandwidth"), [(1, 16), (20, 16), (90, 5)])
@pytest.mark.parametrize("dataflow", ["weight_stationary", "output_stationary"])
def test_most_of_a_long_layer_is_left_out(dataflow, latency, bandwidth, left_out):
    accelerator = GEMMINI.evolve(
        {"dram.latency_cycles": latency, "dram.bytes_per_cycle": bandwidth, "array.dataflow": dataflow}
    )
    schedule = command_schedule("layer", Product(12000, 64, 64, 1, "vector"), accelerator)
    total = _equal(schedule, accelerator)
    assert 0.5 * total < sum(left_out) < total


def test_a_layer_that_never_repeats_is_run_loop_by_loop(left_out):
    # Rows of 33 x 77 bytes begin at another place of a burst in every loop.
    schedule = command_schedule("layer", Product(2500, 33, 77, 1), GEMMINI)
    loops = schedule.commands.loops
    assert len(loops) > 2 * command_periods.WINDOW
    _equal(schedule, GEMMINI)


def test_commands_that_wait_for_ever_are_refused():
    schedule = command_schedule("layer", Product(32, 32, 32, 1, "vector"), GEMMINI)
    # Its biases overwrite what a million stores read that there are not.
    schedule.commands.loops[0, at.STORES_BEFORE] = 10**6
    with pytest.raises(ScheduleError, match="wait for each other for ever"):
        run_command_layer(schedule.commands, GEMMINI, 1)


def test_every_scalar_of_the_state_is_compared():
    """Two states that differ in one of them are not taken for the same, but where it is a name or a running count."""
    accelerator = GEMMINI.evolve({"dram.latency_cycles": 90})
    lists = command_schedule("layer", Product(12000, 64, 64, 1, "vector"), accelerator).commands
    constants = command_constants(accelerator, lists)
    run = command_periods._Run(
        lists, constants, new_state(lists.loops, constants), np.full((len(lists.loops) - 1, 6), -1, np.int64), False
    )
    run.go_on(9)
    scalars = run.state.scalars
    scalars[list(_TIMES)] = run.cycle + 3
    scalars[[of.LOAD_STARTED, of.STORE_STARTED, of.WRITE_STARTED]], scalars[of.STEP] = 1, of.BOTH
    for ring in (run.state.passes, run.state.taken):
        ring[:] = run.cycle + np.arange(len(ring))
    found = [np.zeros(1 << 14, np.int64) for _ in range(2)]

    def written(into):
        count = signature(run.cycle, lists.loops, constants, run.state, run.intervals, into)
        return into[:count].tolist()

    before, same = written(found[0]), set()
    # Loads are counted back from those issued; the row of one more holds nothing.
    for scalar in set(range(of.SCALARS)) - {of.LOADS_ISSUED}:
        scalars[scalar] += 1
        if written(found[1]) == before:
            same.add(scalar)
        scalars[scalar] -= 1
    assert same == {of.LOAD_TRACKER, of.CHANGES}
