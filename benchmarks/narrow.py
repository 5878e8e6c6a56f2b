"""What narrow accumulators cost: a network with registers of each width, against registers of 32 bits."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

import bittrue
from benchmarks.plain_table import PlainTable
from benchmarks.timing import Statistic, caption, interleave
from bittrue import Network, Run
from bittrue.api import Ledger
from simulator.numerics.modes import OverflowMode
from simulator.records.overflow import BOUNDS, NORMS

OUTPUT_STATIONARY = "edge_16x16_os"
WEIGHT_STATIONARY = "edge_32x32"
OUTPUT_STATIONARY_BITS = (32, 24, 20, 18, 17, 16, 12)
WEIGHT_STATIONARY_BITS = (20, 16)
ROWS = (16, 32, 64, 128)
PARTIAL_SUM_BITS = 32
"""Of weight-stationary arrays: a fold never overflows, what does is the accumulator."""
_MODES = (OverflowMode.SATURATE, OverflowMode.WRAP)
_TARGETS = {32: (1.05, 1.05), 24: (1.15, 1.15), 20: (2.5, 6.0), 18: (6.0, 10.0), 17: (6.0, 10.0), 16: (8.0, 18.0)}
"""For affected outputs alone, and with events counted."""
_TARGET_OF_FOLDS = 1.8, 1.8
"""Weight stationary, from 32 rows on."""
_NO_TARGETS = None, None
Inputs = dict[str, NDArray[Any]]


@dataclass(frozen=True)
class NarrowPoint:
    """One accelerator with narrow accumulators."""

    accelerator: bittrue.Accelerator
    bits: int
    mode: OverflowMode
    dataflow: str
    """As the table has it: os, or ws with the array's rows."""
    targets: tuple[float | None, float | None]
    """Time over that of 32 bits, where one is set: for affected outputs alone, and with events counted."""


def wide_accelerator() -> bittrue.Accelerator:
    """Return the accelerator that the others are compared with: output stationary, 32 bits, wrapping."""
    return bittrue.load_accelerator(OUTPUT_STATIONARY)


def narrow_points(os_bits: Sequence[int], ws_bits: Sequence[int], rows: Sequence[int]) -> Iterator[NarrowPoint]:
    """Yield every accelerator of the section."""
    for bits in os_bits:
        for mode in _MODES:
            register = {"bits": bits, "overflow": mode}
            accelerator = wide_accelerator().evolve({"arithmetic.accumulator": register})
            yield NarrowPoint(accelerator, bits, mode, "os", _TARGETS.get(bits, _NO_TARGETS))
    for bits in ws_bits:
        for fold in rows:
            for mode in _MODES:
                changes = {
                    "array.rows": fold,
                    "arithmetic.partial_sum": {"bits": PARTIAL_SUM_BITS, "overflow": mode},
                    "arithmetic.accumulator": {"bits": bits, "overflow": mode},
                }
                accelerator = bittrue.load_accelerator(WEIGHT_STATIONARY).evolve(changes)
                targets = _TARGET_OF_FOLDS if fold >= 32 else _NO_TARGETS
                yield NarrowPoint(accelerator, bits, mode, f"ws R={fold}", targets)


def print_narrow(
    network: Network,
    inputs: Inputs,
    points: Sequence[NarrowPoint],
    threads: int,
    repeats: int,
    statistic: Statistic = Statistic.MEDIAN,
) -> None:
    """Print a row for each accelerator, the wide one timed by turns with it."""
    table = PlainTable(
        ("bits", 4),
        *(("mode", 8), ("dataflow", 9), ("wide ms", 9), ("affected ms", 11), ("ratio", 7), ("target", 7)),
        *(("counted ms", 10), ("ratio", 7), ("target", 7)),
        *(("events", 14), ("affected", 12), ("stepped", 9), ("labels differ", 8)),
    )
    print(f"\nnarrow accumulators: {network.name}, {network.macs / 1e9:.1f} GMAC")
    print(f"{caption(threads, repeats, statistic)}; wide: os, 32 bits, wrap")
    print(
        'affected ms: ledger="affected", no event counted where some happened; counted ms: every event\n'
        f"ws: partial sums of {PARTIAL_SUM_BITS} bits; stepped: layers that no proof cleared beforehand\n"
        f"{table.header()}"
    )
    wide = _runner(network, inputs, wide_accelerator(), threads)
    reference = wide()
    for point in points:
        counted = _runner(network, inputs, point.accelerator, threads)
        affected = _runner(network, inputs, point.accelerator, threads, "affected")
        seconds = interleave({"wide": wide, "affected": affected, "counted": counted}, repeats, threads, statistic)
        print(table.row(_row(point, seconds, counted(), reference)), flush=True)


def _runner(
    network: Network, inputs: Inputs, accelerator: bittrue.Accelerator, threads: int, ledger: Ledger = "fast"
) -> Callable[[], Run]:
    prepared = bittrue.prepare(network, accelerator, values_only=True, threads=threads, ledger=ledger)
    return lambda: prepared.run(inputs)


def _row(point: NarrowPoint, seconds: dict[str, float], run: Run, reference: Run) -> list[str]:
    ledgers = [layer.overflow for layer in run.layers if layer.overflow and layer.engine == "array"]
    costs: list[str] = []
    for name, target in zip(("affected", "counted"), point.targets, strict=True):
        ratio = seconds[name] / seconds["wide"]
        costs += [f"{seconds[name] * 1e3:.1f}", f"{ratio:.2f}x", "" if target is None else f"{target:.2f}x"]
    differ = [float(np.mean(run.outputs[name] != value)) for name, value in reference.outputs.items()]
    return [
        str(point.bits),
        point.mode,
        point.dataflow,
        f"{seconds['wide'] * 1e3:.1f}",
        *costs,
        str(sum(ledger.events or 0 for ledger in ledgers)),
        str(sum(ledger.affected_outputs for ledger in ledgers)),
        f"{sum(ledger.method not in (BOUNDS, NORMS) for ledger in ledgers)}/{len(ledgers)}",
        f"{max(differ):.1%}",
    ]
