"""Requantizers of instruction sets on matrices of registers, against the twin on whole arrays."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from simulator.execution import requantize as executed
from simulator.execution.fused import fuse
from simulator.kernels import isa, requantize_panels
from simulator.numerics.formats import INT8, UINT8, IntFormat
from simulator.numerics.modes import RequantizerKind, RoundingMode
from simulator.numerics.quant import RequantParams
from support.requantize_twin import requantize as twin

SETS = [name for name in (*isa.available(), "emulated-avx512vnni", "emulated-avx2") if name != isa.PLAIN]
CHANNELS = [16, 64, 71]
"""A vector, a whole panel, and a panel with spare channels behind one."""


def params(kind: RequantizerKind, exponents: np.ndarray, format: IntFormat, zero_point: int) -> RequantParams:
    rng = np.random.default_rng(int(exponents.sum()) % 97)
    fixed = "fixed" in kind
    multiplier = rng.integers(1 << 30, 1 << 31, exponents.size) if fixed else np.ones_like(exponents)
    multiplier[::7] = (1 << 31) - 1 if fixed else 1
    multiplier[3::7] = 1 << 30 if fixed else 1
    scale = (multiplier * 2.0 ** (exponents - 31)).astype(np.float32)
    rounding = RoundingMode.TIES_AWAY if kind is RequantizerKind.FIXED_POINT_DOUBLE else RoundingMode.TIES_POS
    return RequantParams(kind, rounding, multiplier, exponents, scale, zero_point, format.min + 3, format.max)


def accumulators(channels: int, magnitude: int) -> np.ndarray:
    """Registers at the ends of a range and about 0, where ties are, and between."""
    rng = np.random.default_rng(channels)
    spread = rng.integers(-magnitude, magnitude, (230, channels), endpoint=True)
    near = rng.integers(-300, 300, (60, channels))
    ends = np.array([[magnitude], [-magnitude], [magnitude - 1], [1 - magnitude], [0], [-1], [1]]) + np.zeros(channels)
    powers = (1 << rng.integers(0, 29, (60, channels))) * rng.choice([-1, 1], (60, channels))
    return np.concatenate([spread, near, ends.astype(np.int64), np.clip(powers, -magnitude, magnitude)]).astype(
        np.int32
    )


@pytest.mark.parametrize("name", SETS)
@pytest.mark.parametrize("kind", RequantizerKind, ids=str)
@pytest.mark.parametrize("channels", CHANNELS)
def test_all_registers(monkeypatch, name, kind, channels):
    monkeypatch.setenv(isa.VARIABLE, name)
    found = accumulators(channels, (1 << 31) - 1)
    for exponents, format, zero in (
        (-np.arange(channels) % -31, INT8, -128),
        (-20 - np.arange(channels) % 9, UINT8, 130),
        (np.full(channels, -8), INT8, 127),
    ):
        constants = params(kind, exponents.astype(np.int64), format, zero)
        assert fuse(constants, format) is not None
        values, clipped = executed.requantize(found, 32, constants, format, np.zeros(3, np.uint64))
        expected, expected_clipped = twin(found, 32, constants)
        np.testing.assert_array_equal(values, expected)
        assert clipped == expected_clipped


@pytest.mark.parametrize("name", SETS)
@pytest.mark.parametrize("channels", CHANNELS)
@pytest.mark.parametrize("greatest", [0, 1, 5])
def test_small_registers_have_a_shorter_way(monkeypatch, name, channels, greatest):
    """Shifts left and right, none among them, up to the greatest register that the shorter way takes."""
    monkeypatch.setenv(isa.VARIABLE, name)
    limit = (1 << (30 - greatest)) - 1
    found = accumulators(channels, limit)
    exponents = np.clip(greatest - np.arange(channels, dtype=np.int64) % (32 + greatest), -31, greatest)
    constants = params(RequantizerKind.FIXED_POINT_DOUBLE, exponents, INT8, 5)
    fused = fuse(constants, INT8)
    assert fused is not None
    assert fused.within(-limit, limit).kind == requantize_panels.DOUBLE_SMALL
    assert fused.within(-limit, limit + 1) is fused
    monkeypatch.setattr(executed, "fuse", lambda *_: fused.within(-limit, limit))
    values, clipped = executed.requantize(found, 32, constants, INT8, np.zeros(3, np.uint64))
    expected, expected_clipped = twin(found, 32, constants)
    np.testing.assert_array_equal(values, expected)
    assert clipped == expected_clipped


@pytest.mark.parametrize("name", SETS)
@pytest.mark.parametrize("channels", CHANNELS)
def test_scales_below_a_half_hold_every_register(monkeypatch, name, channels):
    """The shorter way of float32 takes none but these; from 1/2 on a product may be more than it rounds."""
    monkeypatch.setenv(isa.VARIABLE, name)
    found = accumulators(channels, (1 << 31) - 1)
    found[0] = -(1 << 31)
    below = np.nextafter(np.float32(0.5), np.float32(0))
    for scale, kind in ((below, requantize_panels.FLOAT32_SMALL), (np.float32(0.5), requantize_panels.FLOAT32)):
        exponents = np.full(channels, -8, np.int64)
        constants = replace(
            params(RequantizerKind.FLOAT32, exponents, UINT8, 130),
            scale=np.where(np.arange(channels) % 3, np.float32(1e-7), scale).astype(np.float32),
        )
        fused = fuse(constants, UINT8)
        assert fused is not None
        assert fused.kind == kind
        values, clipped = executed.requantize(found, 32, constants, UINT8, np.zeros(3, np.uint64))
        expected, expected_clipped = twin(found, 32, constants)
        np.testing.assert_array_equal(values, expected)
        assert clipped == expected_clipped
