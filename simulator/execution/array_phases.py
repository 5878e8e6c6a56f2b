"""Transposed convolution without its woven zeros: outputs of one phase share their nonzero taps.

A phase is a row and a column modulo the stride. Its outputs are those of a convolution of the input itself with every
stride-th tap of the flipped filter; of a filter with dilation, every (stride / g)-th with dilation / g, g the greatest
common divisor of both: a phase that no tap meets is left with the start value. Phases that begin at the same input
pixel and have as many outputs are run as one convolution with as many times the filters, so there are a few for any
stride; but their taps are filled up to those of the one that has most, which does not pay where a phase alone has
filters for a panel.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import groupby, product
from math import gcd
from typing import Any

import numpy as np
from numpy.typing import NDArray

from simulator.execution.array_operands import Operands
from simulator.execution.array_weights import Weights
from simulator.graph.ops import Padding
from simulator.lowering.layer import ConvGeometry


@dataclass(frozen=True)
class Axis:
    """Neighbouring phases of rows or of columns that are run together."""

    phases: range
    stride: int
    outputs: int
    """Outputs of each phase."""
    padding: int
    """Input rows above the first output's first tap; may be negative."""
    taps: int
    """The most taps that one of the phases has, at least 1."""
    dilation: int
    """Input rows from one of these taps to the next."""
    tap_stride: int
    first_taps: tuple[int, ...]
    """Taps first, first + tap_stride ... of the flipped filter meet real input; one a phase, past the end for none."""

    def __len__(self) -> int:
        """Return the number of phases."""
        return len(self.phases)


@dataclass(frozen=True)
class PhaseGroup:
    """Phases that are run as one convolution."""

    rows: Axis
    columns: Axis


def plan_phases(geometry: ConvGeometry, *, apart: bool = False) -> list[PhaseGroup]:
    """Return the groups of phases of a transposed convolution; `apart`, each by itself with its own taps alone."""
    axes = [
        list(_axis(outputs, taps, padding, stride, dilation, apart))
        for outputs, taps, padding, stride, dilation in zip(
            (geometry.out_height, geometry.out_width),
            geometry.kernel,
            (geometry.padding.top, geometry.padding.left),
            geometry.insertion,
            geometry.dilation,
            strict=True,
        )
    ]
    return [PhaseGroup(rows, columns) for rows, columns in product(*axes)]


def _axis(outputs: int, taps: int, padding: int, stride: int, dilation: int, apart: bool) -> Iterator[Axis]:
    common = gcd(stride, dilation)
    tap_stride = stride // common

    def first_tap(phase: int) -> int:
        """Return the first tap whose row, phase + tap * dilation - padding, is no woven zero; `taps` if none is."""
        found = (tap for tap in range(tap_stride) if (phase + tap * dilation - padding) % stride == 0)
        return next(found, taps)

    def shape(phase: int) -> tuple[int, int, int]:
        first = first_tap(phase)
        before = 0 if first >= taps else (padding - phase - first * dilation) // stride
        return before, -(-(outputs - phase) // stride), phase if apart else 0

    for (before, count, _), members in groupby(range(min(stride, outputs)), shape):
        phases = list(members)
        first_taps = tuple(first_tap(phase) for phase in phases)
        most = max(1, *(len(range(first, taps, tap_stride)) for first in first_taps))
        together = range(phases[0], phases[-1] + 1)
        yield Axis(together, stride, count, before, most, dilation // common, tap_stride, first_taps)


def phase_operands(operands: Operands, group: PhaseGroup) -> Operands:
    """Return the operands of the convolution that runs a group; its filters are [row phase, column phase, filter]."""
    whole, rows, columns = operands.geometry, group.rows, group.columns
    repeats = len(rows) * len(columns)
    geometry = replace(
        whole,
        out_height=rows.outputs,
        out_width=columns.outputs,
        filters=repeats * whole.filters,
        kernel=(rows.taps, columns.taps),
        padding=Padding(top=rows.padding, left=columns.padding),
        dilation=(rows.dilation, columns.dilation),
        insertion=(1, 1),
        transposed=False,
    )
    start = np.tile(operands.start, (1, repeats))
    return replace(operands, geometry=geometry, weights=_weights(operands.weights, whole, group), start=start)


def _weights(weights: Weights, whole: ConvGeometry, group: PhaseGroup) -> Weights:
    key = ("phases", group)
    if key not in weights.kept:
        filters = weights.stored.reshape(whole.filters, *whole.kernel, whole.channels)
        shape = (
            len(group.rows),
            len(group.columns),
            whole.filters,
            group.rows.taps,
            group.columns.taps,
            whole.channels,
        )
        # A missing tap is one of weight 0: stored, the filter's zero point.
        taps = np.empty(shape, filters.dtype)
        taps[:] = weights.zero_points.astype(filters.dtype)[:, None, None, None]
        for (i, row), (j, column) in product(enumerate(group.rows.first_taps), enumerate(group.columns.first_taps)):
            part = filters[:, row :: group.rows.tap_stride, column :: group.columns.tap_stride]
            taps[i, j, :, : part.shape[1], : part.shape[2]] = part
        repeats = len(group.rows) * len(group.columns)
        weights.kept[key] = Weights(taps.reshape(repeats * whole.filters, -1), np.tile(weights.zero_points, repeats))
    found: Weights = weights.kept[key]
    return found


def place_phases(values: NDArray[Any], group: PhaseGroup, out: NDArray[Any]) -> None:
    """Write the outputs of a group [pixels, filters of the convolution] into [batch, height, width, filters]."""
    rows, columns = group.rows, group.columns
    shape = (out.shape[0], rows.outputs, columns.outputs, len(rows), len(columns), out.shape[3])
    parts = values.reshape(shape)
    for i, row in enumerate(rows.phases):
        for j, column in enumerate(columns.phases):
            out[:, row :: rows.stride, column :: columns.stride] = parts[:, :, :, i, j]
