"""Lower operators that move data and compute nothing: the DMA engine carries them out on stored values.

As in the TFLite reference kernels the stored integers are moved as they are; no operator here rescales.
"""

from __future__ import annotations

from simulator.accelerator.spec import Accelerator
from simulator.errors import NetworkError
from simulator.graph import ops
from simulator.graph.graph import Node, Tensor
from simulator.lowering.layer import Engine, Layer
from simulator.lowering.table import LowererTable
from simulator.numerics.formats import IntFormat


def _lower(
    node: Node, inputs: tuple[Tensor | None, ...], outputs: tuple[Tensor, ...], accelerator: Accelerator
) -> Layer:
    """Check that formats agree; a reshape moves nothing."""
    indexed = isinstance(node.op, ops.Gather | ops.GatherNd)
    for tensor in inputs[: 1 if indexed else None]:
        if tensor is None:
            raise NetworkError(f"{node.name}: {node.op.kind} lacks an input")
        other = [y.format for y in outputs if y.format != tensor.format]
        if other:
            raise NetworkError(
                f"{node.name}: {node.op.kind} moves {tensor.format} values of {tensor.name}, its output is {other[0]}"
            )
    _check_fill(node, outputs[0])
    return Layer(node.name, node, Engine.DMA, inputs, outputs, moves_data=not isinstance(node.op, ops.Reshape))


def _check_fill(node: Node, output: Tensor) -> None:
    fill = getattr(node.op, "value", 0) if isinstance(node.op, ops.Pad) else 0
    fmt = output.format
    if isinstance(fmt, IntFormat) and not (fmt.min <= fill <= fmt.max and fill == int(fill)):
        raise NetworkError(f"{node.name}: padding value {fill} is not a {fmt}")


LOWERERS: LowererTable = dict.fromkeys(
    (
        ops.Pad,
        ops.MirrorPad,
        ops.Reshape,
        ops.Slice,
        ops.Split,
        ops.Tile,
        ops.Transpose,
        ops.Pack,
        ops.Unpack,
        ops.SpaceToBatch,
        ops.BatchToSpace,
        ops.SpaceToDepth,
        ops.DepthToSpace,
        ops.Gather,
        ops.GatherNd,
    ),
    _lower,
)
