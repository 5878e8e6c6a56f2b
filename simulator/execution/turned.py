"""Arrays whose first and last axis are exchanged, left as views where their readers take them so.

The gradient of a filter reads its activations and its errors transposed (`workloads.training.array_gradients`), and the
kernels bring both into another order anyway. A transposition that only convolutions read is therefore not carried out:
its value is a view, of which `source_of` gives the array behind it. Whoever needs the numbers in order asks `in_order`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numba import config
from numpy.typing import NDArray

from simulator.graph.graph import Graph
from simulator.graph.ops import Conv2D, Transpose
from simulator.kernels.swap_ends import swap_ends
from simulator.lowering.layer import Engine, Layer
from simulator.numerics.formats import IntFormat

_WORTH_A_KERNEL = 1 << 12
"""Elements from which a transposition of the ends is worth the call of a kernel."""
_ENDS = (3, 1, 2, 0)


def swaps_ends(permutation: Sequence[int]) -> bool:
    """Whether a permutation of three axes or more exchanges the first and the last."""
    rank = len(permutation)
    return rank >= 3 and tuple(permutation) == (rank - 1, *range(1, rank - 1), 0)


def swapped(x: NDArray[Any]) -> NDArray[Any]:
    """Return x with its first and its last axis exchanged; contiguous, or a view of a small array."""
    order = (x.ndim - 1, *range(1, x.ndim - 1), 0)
    if x.size < _WORTH_A_KERNEL or config.DISABLE_JIT:  # type: ignore[attr-defined]
        return x.transpose(order)
    out = np.empty([x.shape[axis] for axis in order], x.dtype)
    words = f"u{x.itemsize}"  # one kernel for all types of a size
    source, target = np.ascontiguousarray(x).view(words), out.view(words)
    swap_ends(source.reshape(len(x), -1, x.shape[-1]), target.reshape(len(out), -1, out.shape[-1]))
    return out


def left_turned(array: NDArray[Any] | None) -> NDArray[Any]:
    """Return a view of an array of four axes, its ends exchanged."""
    assert array is not None
    return array.transpose(_ENDS)


def source_of(array: NDArray[Any]) -> NDArray[Any] | None:
    """Return the contiguous array of four axes that `array` is, its ends exchanged; None where it is none such."""
    if array.ndim != len(_ENDS) or array.flags.c_contiguous:
        return None
    source = array.transpose(_ENDS)
    return source if source.flags.c_contiguous else None


def in_order(array: NDArray[Any]) -> NDArray[Any]:
    """Return the numbers of an array contiguous."""
    source = source_of(array)
    return np.ascontiguousarray(array if source is None else swapped(source))


def views(graph: Graph, layers: Sequence[Layer]) -> frozenset[str]:
    """Return the names of tensors that may be left as views: transposed images and filters of convolutions.

    Parameters
    ----------
    graph, layers
        The network, and what `lower` made of it.

    """
    found = {layer.node.outputs[0] for layer in layers if _may_stay(layer)}
    if not found or config.DISABLE_JIT:  # type: ignore[attr-defined]
        return frozenset()
    found.difference_update(graph.outputs)
    for layer in layers:
        operands = layer.node.inputs[:2] if _takes_views(layer) else ()
        found.difference_update(name for i, name in enumerate(layer.node.inputs) if name not in operands or i >= 2)
    return frozenset(found)


def _may_stay(layer: Layer) -> bool:
    op, x = layer.node.op, layer.inputs[0] if layer.inputs else None
    if not isinstance(op, Transpose) or x is None or x.data is not None:
        return False
    are_bytes = isinstance(x.format, IntFormat) and x.format.dtype.itemsize == 1
    return tuple(op.permutation) == _ENDS and x.elements >= _WORTH_A_KERNEL and are_bytes


def _takes_views(layer: Layer) -> bool:
    return isinstance(layer.node.op, Conv2D) and layer.engine is Engine.ARRAY and layer.node.op.groups == 1
