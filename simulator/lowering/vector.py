"""All lowering functions of the vector unit."""

from __future__ import annotations

from simulator.lowering import concat, elementwise, lookup, pooling, quantize, reduction, resize, softmax, training
from simulator.lowering.table import LowererTable

LOWERERS: LowererTable = {
    **concat.LOWERERS,
    **elementwise.LOWERERS,
    **lookup.LOWERERS,
    **pooling.LOWERERS,
    **quantize.LOWERERS,
    **reduction.LOWERERS,
    **resize.LOWERERS,
    **softmax.LOWERERS,
    **training.LOWERERS,
}
