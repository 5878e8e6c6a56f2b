"""Lower what a file computes in float32, int32, int64 or bool: the host processor runs it, beside the device."""

from __future__ import annotations

from simulator.accelerator.spec import Accelerator
from simulator.errors import NetworkError, Unsupported, UnsupportedOp
from simulator.graph import ops
from simulator.graph.graph import Node, Tensor
from simulator.graph.ops import Op
from simulator.lowering.layer import Engine, Layer
from simulator.lowering.table import LowererTable
from simulator.numerics.formats import BOOL, FLOAT32, INT32, INT64, Format

_FLOAT = (FLOAT32,)
_NUMBERS = (FLOAT32, INT32, INT64)

FORMATS: dict[type[Op], tuple[Format, ...]] = {
    **dict.fromkeys((ops.Add, ops.Sub, ops.Mul, ops.Maximum, ops.Minimum), _NUMBERS),
    **dict.fromkeys((ops.Div, ops.FloorDiv), (FLOAT32, INT32)),
    **dict.fromkeys((ops.Mean, ops.Sum, ops.ReduceMax), _NUMBERS),
    ops.ArgMax: (FLOAT32, INT32),
    ops.Unary: _FLOAT,
    ops.Concat: (*_NUMBERS, BOOL),
    **dict.fromkeys((ops.Relu, ops.Relu6, ops.ReluN1To1, ops.PRelu, ops.LeakyRelu), _FLOAT),
    **dict.fromkeys((ops.Logistic, ops.Tanh, ops.HardSwish, ops.Softmax), _FLOAT),
    **dict.fromkeys((ops.ResizeBilinear, ops.ResizeNearest), _FLOAT),
}
"""Formats of the first input that the host executes, as the TFLite reference kernels do. Cast takes any."""

_INTEGER_FUNCTIONS: dict[str, tuple[Format, ...]] = {"abs": (FLOAT32, INT32), "neg": _NUMBERS}


def lower_host(
    node: Node, inputs: tuple[Tensor | None, ...], outputs: tuple[Tensor, ...], accelerator: Accelerator
) -> Layer:
    """Make a layer for engine `host`; vector_ops = output elements.

    Raises
    ------
    UnsupportedOp
        Operands of a format that the host does not execute for this operator.
    NetworkError
        Operands of several formats.

    """
    x = inputs[0]
    allowed = FORMATS.get(type(node.op), ())
    if isinstance(node.op, ops.Unary):
        allowed = _INTEGER_FUNCTIONS.get(node.op.function, _FLOAT)
    if not isinstance(node.op, ops.Cast) and (x is None or x.format not in allowed):
        name = node.op.function if isinstance(node.op, ops.Unary) else node.op.kind
        known = ", ".join(map(str, allowed)) or "no format"
        reason = f"{name} of {'nothing' if x is None else x.format}; the host executes it for {known}"
        raise UnsupportedOp([Unsupported(node.name, node.op.kind, reason)])
    _check_formats(node, inputs, outputs)
    return Layer(node.name, node, Engine.HOST, inputs, outputs, vector_ops=sum(y.elements for y in outputs))


def _check_formats(node: Node, inputs: tuple[Tensor | None, ...], outputs: tuple[Tensor, ...]) -> None:
    """Refuse operands of several formats; only a cast and an index change it."""
    if isinstance(node.op, ops.Cast):
        return
    results = () if isinstance(node.op, ops.ArgMax) else outputs
    formats = {tensor.format for tensor in (*inputs, *results) if tensor is not None}
    if len(formats) > 1:
        named = ", ".join(sorted(map(str, formats)))
        raise NetworkError(f"{node.name}: {node.op.kind} on the host needs operands of one format, not {named}")
    if isinstance(node.op, ops.ArgMax) and outputs[0].format not in (INT32, INT64):
        raise NetworkError(f"{node.name}: an index is int32 or int64, not {outputs[0].format}")


LOWERERS: LowererTable = dict.fromkeys((ops.Cast, *FORMATS), lower_host)
