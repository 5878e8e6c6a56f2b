"""One operator, twice: lowered and executed here, and as a one-operator model on TFLite's reference kernels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from simulator.accelerator.spec import Accelerator
from simulator.execution import host, vector
from simulator.execution.context import ExecutionContext
from simulator.graph.graph import Node, Tensor
from simulator.graph.ops import Op
from simulator.lowering import vector as lowering
from simulator.lowering.layer import Engine, Layer
from simulator.numerics.formats import parse_format
from simulator.numerics.quant import QuantParams
from support.accelerators import reference_device
from support.tflite_builder import ModelBuilder, run_reference

_ON_HOST = {**vector.EXECUTORS, **host.EXECUTORS}


@dataclass(frozen=True)
class Spec:
    """A tensor of the one-operator model; scale None = not quantized."""

    shape: tuple[int, ...]
    dtype: str = "int8"
    scale: float | None = 1.0
    zero_point: int = 0

    def tensor(self, name: str, data: NDArray[Any] | None = None) -> Tensor:
        quant = None if self.scale is None else QuantParams.per_tensor(float(np.float32(self.scale)), self.zero_point)
        return Tensor(name, self.shape, parse_format(self.dtype), quant, data)

    def random(self, seed: int) -> NDArray[Any]:
        """Every value of the format, its ends more often."""
        rng = np.random.default_rng(seed)
        if self.dtype == "float32":
            return rng.normal(0, 40, self.shape).astype(np.float32)
        info = np.iinfo(self.dtype)
        values = rng.integers(info.min, info.max, self.shape, endpoint=True)
        ends = rng.choice([info.min, info.max, self.zero_point], self.shape)
        return np.where(rng.random(self.shape) < 0.2, ends, values).astype(self.dtype)


def lower_one(op: Op, inputs: Sequence[Spec], outputs: Sequence[Spec], accelerator: Accelerator | None = None) -> Layer:
    """Lower a node named `node` on inputs in0, in1 ... and outputs out0 ..."""
    ins = tuple(spec.tensor(f"in{i}") for i, spec in enumerate(inputs))
    outs = tuple(spec.tensor(f"out{i}") for i, spec in enumerate(outputs))
    node = Node("node", op, tuple(t.name for t in ins), tuple(t.name for t in outs))
    return lowering.LOWERERS[type(op)](node, ins, outs, accelerator or reference_device())


def simulate_one(op: Op, inputs: Sequence[Spec], out: Spec, arrays: Sequence[NDArray[Any]]) -> NDArray[Any]:
    """Lower and execute one operator."""
    layer = lower_one(op, inputs, [out])
    table = _ON_HOST if layer.engine is Engine.HOST else vector.EXECUTORS
    (result,) = table[type(op)](layer, list(arrays), ExecutionContext()).outputs
    assert result.dtype == layer.outputs[0].format.dtype
    assert result.shape == out.shape
    return result


def reference_one(
    code: str,
    inputs: Sequence[Spec],
    out: Spec,
    arrays: Sequence[NDArray[Any]],
    constants: Sequence[ArrayLike] = (),
    **options: Any,
) -> NDArray[Any]:
    """Run the operator on BUILTIN_REF. `constants` are int32 inputs that only TFLite has, such as axes."""
    model = ModelBuilder()
    ids = [
        model.tensor(f"in{i}", spec.shape, spec.dtype, scale=spec.scale, zero_point=spec.zero_point)
        for i, spec in enumerate(inputs)
    ]
    extra = [model.constant(f"constant{i}", data) for i, data in enumerate(constants)]
    result = model.tensor("out", out.shape, out.dtype, scale=out.scale, zero_point=out.zero_point)
    model.op(code, ids + extra, [result], **options)
    tensors = run_reference(model.build(ids, [result]), {f"in{i}": array for i, array in enumerate(arrays)})
    return tensors["out"]


def assert_same_bits(
    op: Op,
    code: str,
    inputs: Sequence[Spec],
    out: Spec,
    arrays: Sequence[NDArray[Any]] | None = None,
    constants: Sequence[ArrayLike] = (),
    **options: Any,
) -> NDArray[Any]:
    """Assert that both give the same bits, on `arrays` or on random values; return them."""
    if arrays is None:
        arrays = [spec.random(seed) for seed, spec in enumerate(inputs)]
    expected = reference_one(code, inputs, out, arrays, constants, **options)
    actual = simulate_one(op, inputs, out, arrays)
    np.testing.assert_array_equal(actual, expected, strict=True)
    return actual
