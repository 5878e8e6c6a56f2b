"""Class names and colours of segmentation networks, and how to recognise one."""

from __future__ import annotations

from simulator.graph import ops
from simulator.graph.graph import Graph, Tensor
from simulator.numerics.formats import IntFormat
from simulator.records.run import Segmentation

VOC_CLASSES = (
    *("background", "aeroplane", "bicycle", "bird", "boat", "bottle", "bus", "car", "cat", "chair", "cow"),
    *("dining table", "dog", "horse", "motorbike", "person", "potted plant", "sheep", "sofa", "train", "tv/monitor"),
)
"""PASCAL VOC 2012: background and 20 classes."""

_MOST_CLASSES = 256
_LEAST_SIDE = 2


def segmentation_of(output: str, classes: int) -> Segmentation:
    """Return names and colours for `classes` classes: those of PASCAL VOC for 21, numbered ones otherwise."""
    names = VOC_CLASSES if classes == len(VOC_CLASSES) else tuple(f"class {index}" for index in range(classes))
    return Segmentation(output, names, voc_palette(classes))


def voc_palette(classes: int) -> tuple[tuple[int, int, int], ...]:
    """Return RGB of each class in the PASCAL VOC order: bit 3i + c of the class index is bit 7 - i of channel c."""

    def channel(index: int, offset: int) -> int:
        return sum((index >> (3 * bit + offset) & 1) << (7 - bit) for bit in range(8))

    return tuple((channel(index, 0), channel(index, 1), channel(index, 2)) for index in range(classes))


def recognise_segmentation(graph: Graph) -> Segmentation | None:
    """Return how to draw the first output that holds integer labels [1, H, W] or scores [1, H, W, C <= 256]."""
    for tensor in graph.output_tensors:
        batch, *sides = tensor.shape or (0,)
        if batch != 1 or len(sides) not in (2, 3) or min(sides[:2]) < _LEAST_SIDE:
            continue
        if len(sides) == 3 and 2 <= sides[2] <= _MOST_CLASSES:
            return segmentation_of(tensor.name, sides[2])
        if len(sides) == 2 and isinstance(tensor.format, IntFormat):
            return segmentation_of(tensor.name, _classes_of_labels(graph, tensor))
    return None


def _classes_of_labels(graph: Graph, labels: Tensor) -> int:
    """How many classes the ArgMax behind `labels` chooses from; 256 where it is not found."""
    writers = {name: node for node in graph.nodes for name in node.outputs}
    name = labels.name
    while (node := writers.get(name)) is not None:
        if isinstance(node.op, ops.ArgMax):
            return graph.tensors[node.inputs[0]].shape[node.op.axis]
        if not isinstance(node.op, ops.Cast | ops.Reshape | ops.ResizeNearest | ops.Slice):
            break
        name = node.inputs[0]
    return _MOST_CLASSES
