"""Execute softmax."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from simulator.execution.context import ExecutionContext, ExecutorTable, LayerResult
from simulator.graph.ops import Softmax
from simulator.kernels import softmax as kernels
from simulator.lowering.layer import Layer
from simulator.lowering.softmax import SoftmaxConstants, WideSoftmaxConstants

Arrays = Sequence[NDArray[Any] | None]


def _softmax(layer: Layer, arrays: Arrays, context: ExecutionContext) -> LayerResult:
    c, out = layer.constants, layer.outputs[0]
    assert arrays[0] is not None
    rows = np.ascontiguousarray(arrays[0]).reshape(-1, out.shape[-1])
    result = np.empty(rows.shape, out.format.dtype)
    if isinstance(c, WideSoftmaxConstants):
        kernels.softmax_wide(rows, c.multiplier, c.exponent, c.exp_table, c.reciprocal_table, result)
    else:
        assert isinstance(c, SoftmaxConstants)
        kernels.softmax(rows, c.exponentials, c.addends, c.output_bits, c.minimum, c.maximum, result)
    return LayerResult((result.reshape(out.shape),))


EXECUTORS: ExecutorTable = {Softmax: _softmax}
