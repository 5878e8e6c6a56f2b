"""Max pools that a command-driven device does while it stores a convolution's outputs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence
from itertools import pairwise

from simulator.graph.ops import Activation, MaxPool2D
from simulator.lowering.layer import Engine, Layer
from simulator.mapping.convolution_tiles import Pool

_MOST = 3
"""Pool size and stride are fields of two bits (GemminiISA.scala)."""


def fused_pools(layers: Sequence[Layer], outputs: Collection[str]) -> dict[int, Pool]:
    """Return index of an array layer -> the max pool that is all that reads its output.

    The pool is the next layer: square, without activation, size and stride up to 3, padded alike above and at the left.

    Parameters
    ----------
    outputs
        Names of tensors that leave the network: they are stored as they are.

    """
    readers = Counter(tensor.name for layer in layers for tensor in layer.inputs if tensor is not None)
    found = {}
    for index, (layer, after) in enumerate(pairwise(layers)):
        if layer.engine is not Engine.ARRAY or not isinstance(after.node.op, MaxPool2D):
            continue
        name = layer.outputs[0].name
        alone = readers[name] == 1 and name not in outputs
        pool = _pool(after) if alone and after.inputs[0] is not None and after.inputs[0].name == name else None
        if pool is not None:
            found[index] = pool
    return found


def _pool(layer: Layer) -> Pool | None:
    op, x, y = layer.node.op, layer.inputs[0], layer.outputs[0]
    assert isinstance(op, MaxPool2D)
    assert x is not None
    size, stride, padding = op.kernel[0], op.stride[0], op.padding.top
    plain = op.kernel == (size, size) and op.stride == (stride, stride) and op.padding.left == padding
    if not plain or op.activation is not Activation.NONE or max(size, stride) > _MOST or padding >= size:
        return None
    sides = tuple((side + 2 * padding - size) // stride + 1 for side in x.shape[1:3])
    return Pool(size, stride, padding) if sides == tuple(y.shape[1:3]) else None
