"""What the compiled machine must know of a DRAM's banks, as arrays; empty arrays for `dram.model: simple`."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from simulator.accelerator.spec import Accelerator
from simulator.kernels import dram_banks as kernel
from simulator.kernels.timeline import ADDING
from simulator.mapping.regions import regions
from simulator.mapping.schedule import LayerSchedule, TileOpKinds
from simulator.timing.dma import MemoryPath
from simulator.timing.dram_banks import LOOKAHEAD

Ints = NDArray[np.int64]
Banks = tuple[Ints, Ints, Ints]
"""Banks of the DRAM; bytes and stretches of transfers, [kinds, 4, 2]; their first byte and span, [tile ops, 4, 2]."""

_NONE = np.zeros((0, kernel.TENSORS, 2), np.int64)
_TENSORS = ("input", "weight", "bias", "store")
_LIMIT = 4.0e18
"""Times and products stay below it, counted in float64; int64 ends at 9.2e18."""


def bank_columns(accelerator: Accelerator) -> Ints:
    """Geometry and cycles of the banks, in the order of `simulator.kernels.dram_banks`."""
    spec, path = accelerator.dram_banks, MemoryPath.of(accelerator)
    if spec is None:
        return np.zeros(0, np.int64)
    geometry = (spec.banks, spec.row_bytes, spec.access_bytes, spec.rcd_cycles, spec.rp_cycles, spec.ras_cycles)
    times = (spec.pace_cycles, spec.wr_cycles, spec.rfc_cycles, spec.refi_cycles)
    rate = path.bytes_per_cycle
    return np.array(
        [*geometry, *times, rate.numerator, rate.denominator, min(LOOKAHEAD, path.max_outstanding)], np.int64
    )


def layer_banks(layer: LayerSchedule, kinds: TileOpKinds, columns: Ints) -> Banks:
    """Return the transfers of one layer, its tile ops by kind, beside the banks that they go to."""
    if not len(columns):
        return columns, _NONE, _NONE
    ops = kinds.ops
    sizes = np.stack([np.stack([ops[f"{t}_bytes"], ops[f"{t}_segments"]], axis=1) for t in _TENSORS], axis=1)
    return columns, np.ascontiguousarray(sizes, np.int64), np.ascontiguousarray(regions(layer))


def transfers_fit(banks: Banks, counts: Ints, table: Ints) -> bool:
    """Whether neither the longest conceivable time of a layer nor a product in it leaves int64."""
    spec, sizes, places = banks
    if not len(counts):
        return True
    size, stretches = sizes[:, :, 0].astype(np.float64), np.maximum(1, sizes[:, :, 1]).astype(np.float64)
    pieces = (size > 0) * (2 * stretches + size / spec[kernel.ROW_BYTES])
    moved = size + 2 * pieces * spec[kernel.ACCESS_BYTES]
    if max(float((moved * spec[kernel.DENOMINATOR]).max()), float((size * (stretches + 1)).max())) > _LIMIT:
        return False
    if float((places[:, :, 1].astype(np.float64).max() + 1) * stretches.max()) > _LIMIT:
        return False
    wait = float(spec[[kernel.RCD, kernel.RP, kernel.RAS, kernel.PACE, kernel.WR]].sum())
    cycles = moved * spec[kernel.DENOMINATOR] / spec[kernel.NUMERATOR] + pieces * (wait + 1)
    total = float((counts * (cycles.sum(axis=1) + table[:, 1:ADDING].sum(axis=1, dtype=np.float64))).sum())
    refreshed = float(spec[kernel.REFI]) / float(spec[kernel.REFI] - spec[kernel.RP] - spec[kernel.RFC])
    return (total + wait) * 2 * refreshed < _LIMIT
