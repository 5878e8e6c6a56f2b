"""Refuse a layer whose smallest tile does not fit, and say which changes would make it fit."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from simulator.errors import DoesNotFit
from simulator.mapping.chunks import chunks
from simulator.mapping.reach import axes, reach
from simulator.mapping.work import ArrayWork, Device


def smallest_need(work: ArrayWork, device: Device) -> dict[str, int]:
    """Bytes of each memory that one fold needs, both halves: one output pixel, rows of K, cols of channels."""
    g = work.geometry
    k, channels = min(device.rows, g.k), min(device.cols, g.filters)
    row_axis, col_axis = axes(g)
    elements = 0
    for box in chunks(g.kernel, g.channels, k).boxes:
        rows = int(reach(row_axis, 1, box.first_kh, box.last_kh).positions.max())
        cols = int(reach(col_axis, 1, box.first_kw, box.last_kw).positions.max())
        elements = max(elements, rows * cols * box.channels)
    return {
        "input_scratchpad": 2 * -(-elements * work.input_bits // 8),
        "weight_scratchpad": 2 * -(-channels * (k * work.weight_bits + work.weight_bias_bits) // 8),
        "accumulator": 2 * channels * device.accumulator_element_bytes,
    }


def _available(device: Device) -> dict[str, int]:
    return {
        "input_scratchpad": 2 * device.input_half_bytes,
        "weight_scratchpad": 2 * device.weight_half_bytes,
        "accumulator": 2 * device.accumulator_half_bytes,
    }


def _fits(work: ArrayWork, device: Device) -> bool:
    available = _available(device)
    return all(need <= available[name] for name, need in smallest_need(work, device).items())


def does_not_fit(name: str, work: ArrayWork, device: Device) -> DoesNotFit:
    """Error for a layer of which not even one fold fits: the worst shortfall and every lever that cures all of them."""
    need, available = smallest_need(work, device), _available(device)
    short = [memory for memory in need if need[memory] > available[memory]]
    worst = max(short, key=lambda memory: need[memory] - available[memory])
    levers = [" and ".join(f"memories.{memory}.size >= {need[memory]}" for memory in short)]
    cols = _largest(device.cols, lambda cols: _fits(work, replace(device, cols=cols)))
    if cols:
        levers.append(f"array.cols <= {cols}")
    rows = _first_halving(device.rows, lambda rows: _fits(work, replace(device, rows=rows)))
    if rows:
        # Exactly this: a fold of other length may straddle two taps and then touch all their channels.
        levers.append(f"array.rows = {rows}")
    return DoesNotFit(name, worst, need[worst], available[worst], levers)


def _largest(below: int, fits: Callable[[int], bool]) -> int:
    """Largest value under `below` that fits (smaller ones then fit too), or 0."""
    low, high = 0, below - 1
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if fits(middle) else (low, middle - 1)
    return low


def _first_halving(start: int, fits: Callable[[int], bool]) -> int:
    """First of start/2, start/4 ... 1 that fits, or 0."""
    value = start // 2
    while value and not fits(value):
        value //= 2
    return value
