"""Execute float32, int32, int64 and bool post-processing on the host."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from simulator.execution import host_elementwise, host_reductions
from simulator.execution.context import ExecutionContext, Executor, ExecutorTable, LayerResult
from simulator.execution.host_elementwise import Array, Compute
from simulator.lowering.layer import Layer


def _executor(compute: Compute) -> Executor:
    def execute(layer: Layer, arrays: Sequence[Array | None], context: ExecutionContext) -> LayerResult:
        output = layer.outputs[0]
        with np.errstate(all="ignore"):  # infinities, NaN and wrapping are results here, as on the reference kernels
            value = compute(layer.node.op, [array for array in arrays if array is not None], layer)
        return LayerResult((np.ascontiguousarray(value, output.format.dtype).reshape(output.shape),))

    return execute


EXECUTORS: ExecutorTable = {
    op: _executor(compute) for op, compute in {**host_elementwise.COMPUTE, **host_reductions.COMPUTE}.items()
}
