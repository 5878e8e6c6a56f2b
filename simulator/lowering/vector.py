"""All lowering functions of the vector unit."""

from __future__ import annotations

from simulator.lowering import elementwise, lookup, pooling, quantize, reduction
from simulator.lowering.table import LowererTable

LOWERERS: LowererTable = {
    **elementwise.LOWERERS,
    **lookup.LOWERERS,
    **pooling.LOWERERS,
    **quantize.LOWERERS,
    **reduction.LOWERERS,
}
