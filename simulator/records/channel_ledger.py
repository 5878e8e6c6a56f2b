"""The overflow ledger of one layer by output channel: arrays, kept beside the record rather than in it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from simulator.numerics.scalar import needed_bits

BEYOND_INT64_BITS = 65
"""Needed width of sums that int64 does not hold."""


@dataclass(frozen=True, eq=False)
class RegisterChannels:
    """One kind of register (accumulator or partial sum) of a layer; each array is int64 [channels]."""

    events: NDArray[np.int64]
    """Events in the registers of each channel."""
    least: NDArray[np.int64]
    """Least exact, unwrapped running sum of each channel, 0 included (the accumulator's holds the start value)."""
    greatest: NDArray[np.int64]
    """Greatest exact, unwrapped running sum of each channel, 0 included."""
    needed_bits: NDArray[np.int64]
    """Least width that holds `least` and `greatest`; 65 where they need more than 64 bits and are only known modulo
    2^64."""

    @classmethod
    def of(
        cls, events: NDArray[np.int64], least: NDArray[np.int64], greatest: NDArray[np.int64], beyond: NDArray[np.bool_]
    ) -> RegisterChannels:
        """Work out the needed widths; `beyond` marks channels whose sums need more than 64 bits."""
        widths = [needed_bits(low, high) for low, high in zip(least.tolist(), greatest.tolist(), strict=True)]
        needed = np.where(beyond, BEYOND_INT64_BITS, np.array(widths, np.int64))
        return cls(events, least, greatest, needed)

    @property
    def histogram(self) -> NDArray[np.int64]:
        """Channels by needed width, int64 [66]: histogram[b] channels need exactly b bits."""
        return np.bincount(self.needed_bits, minlength=BEYOND_INT64_BITS + 1)


@dataclass(frozen=True, eq=False)
class ChannelLedger:
    """What the registers of each output channel did while one layer ran."""

    accumulator: RegisterChannels
    """The accumulators."""
    partial_sum: RegisterChannels | None
    """The partial-sum registers; None where the dataflow has none."""


def ledger_arrays(ledgers: Iterable[ChannelLedger | None]) -> dict[str, NDArray[np.int64]]:
    """Return the arrays of ledger.npz, named ``LAYER/REGISTER/FIELD``, e.g. ``3/accumulator/needed_bits``.

    Parameters
    ----------
    ledgers
        One per layer in the order of the record; None off the array.

    """
    arrays = {}
    for index, ledger in enumerate(ledgers):
        for name in ("accumulator", "partial_sum"):
            register = getattr(ledger, name, None)
            for field in ("events", "least", "greatest", "needed_bits", "histogram"):
                if register is not None:
                    arrays[f"{index}/{name}/{field}"] = getattr(register, field)
    return arrays
