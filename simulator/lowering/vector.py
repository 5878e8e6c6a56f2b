"""All lowering functions of the vector unit."""

from __future__ import annotations

from simulator.lowering import elementwise, pooling, reduction
from simulator.lowering.table import LowererTable

LOWERERS: LowererTable = {
    **elementwise.LOWERERS,
    **pooling.LOWERERS,
    **reduction.LOWERERS,
}
