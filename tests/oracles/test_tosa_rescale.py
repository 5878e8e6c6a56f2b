"""The fixed-point requantizers, bit for bit what TOSA's reference model gives for RESCALE.

The model wants an environment of its own: make_tosa_vectors.py wrote down what it computed.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from support.requantized import requantized

VECTORS = Path(__file__).parent / "data" / "tosa_rescale.csv"
KINDS = {"single": "fixed_point_single", "double": "fixed_point_double"}


def vectors() -> tuple[dict[str, np.ndarray], int]:
    """Columns of the file by name, and the zero point of its int8 outputs."""
    text = VECTORS.read_text().splitlines()
    (zero_point,) = [int(line.split()[4]) for line in text if line.startswith("# output zero point")]
    header, *rows = [line for line in text if not line.startswith("#")]
    columns = np.array([row.split(",") for row in rows], np.int64).T
    return dict(zip(header.split(","), columns, strict=True)), zero_point


@pytest.mark.parametrize("bits", [8, 16])
@pytest.mark.parametrize("rounding", KINDS)
def test_requantizer_is_rescale(rounding, bits):
    columns, zero_point = vectors()
    multiplier, shift = columns["multiplier"], columns["shift"]
    # As many channels as scales, each accumulator in all of them: only the file's own pairs have an oracle.
    scales, channel = np.unique(multiplier / 2.0**shift, return_inverse=True)
    accumulators = np.broadcast_to(columns["accumulator"][:, None], (channel.size, scales.size))
    outputs = requantized(accumulators, scales, KINDS[rounding], f"int{bits}", zero_point if bits == 8 else 0)
    ours = outputs[np.arange(channel.size), channel]
    theirs = columns[f"{rounding}_int{bits}"]
    assert np.flatnonzero(ours != theirs).tolist() == []


def test_vectors_tell_the_two_roundings_apart():
    columns, _ = vectors()
    assert np.count_nonzero(columns["single_int16"] != columns["double_int16"]) > 400
    assert np.count_nonzero(columns["single_int8"] != columns["double_int8"]) > 300
