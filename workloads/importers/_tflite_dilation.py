"""Recognise a dilated convolution that a file writes as three operators.

Before TFLite convolutions had a dilation, converters wrote one as SPACE_TO_BATCH_ND (each of the d x d phases of the
image becomes a batch of its own), a VALID convolution of stride 1, and BATCH_TO_SPACE_ND. The three together are
one convolution of dilation d whose padding is what the first pads less what the last crops.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

from simulator.graph.graph import Graph, Node
from simulator.graph.ops import BatchToSpace, Conv2D, Padding, SpaceToBatch


def merge_dilated(graph: Graph) -> Graph:
    """Replace every such group by one Conv2D; a note counts them and names the tensors that are no more.

    A group stays as it is where the replacement would not be exact: an inner tensor that someone else reads, another
    block, crops that exceed the paddings, or a quantization that changes on the way.
    """
    readers = Counter(name for node in graph.nodes for name in node.inputs if name)
    readers.update(graph.outputs)
    writer = {name: node for node in graph.nodes for name in node.outputs}
    merged: dict[str, Node] = {}
    gone: set[str] = set()
    for last in graph.nodes:
        group = _group(graph, last, writer, readers)
        if group is not None:
            first, middle, new = group
            merged[last.name] = new
            gone |= {first.name, middle.name}
    if not merged:
        return graph
    inner = [name for node in graph.nodes if node.name in gone for name in node.outputs]
    nodes = tuple(merged.get(node.name, node) for node in graph.nodes if node.name not in gone)
    used = {name for node in nodes for name in (*node.inputs, *node.outputs)} | {*graph.inputs, *graph.outputs}
    noun = "convolution" if len(merged) == 1 else "convolutions"
    note = (
        f"{len(merged)} dilated {noun} written as SPACE_TO_BATCH_ND, CONV, BATCH_TO_SPACE_ND run as one operator each; "
        f"{len(inner)} inner tensors do not exist: {', '.join(inner)}"
    )
    tensors = {name: tensor for name, tensor in graph.tensors.items() if name in used}
    return replace(graph, nodes=nodes, tensors=tensors, notes=(*graph.notes, note))


def _group(graph: Graph, last: Node, writer: dict[str, Node], readers: Counter[str]) -> tuple[Node, Node, Node] | None:
    """Space-to-batch node, convolution node and what replaces the group ending in `last`; None where there is none."""
    if not isinstance(last.op, BatchToSpace):
        return None
    middle = writer.get(last.inputs[0])
    first = writer.get(middle.inputs[0]) if middle is not None else None
    if middle is None or first is None:
        return None
    if readers[last.inputs[0]] != 1 or readers[middle.inputs[0]] != 1:
        return None
    op = _dilated(first, middle, last)
    if op is None or not _same_scale(graph, first) or not _same_scale(graph, last):
        return None
    inputs = (first.inputs[0], *middle.inputs[1:])
    return first, middle, Node(last.name, op, inputs, last.outputs)


def _dilated(first: Node, middle: Node, last: Node) -> Conv2D | None:
    if not (isinstance(first.op, SpaceToBatch) and isinstance(middle.op, Conv2D) and isinstance(last.op, BatchToSpace)):
        return None
    plain = middle.op.stride == (1, 1) and middle.op.dilation == (1, 1) and middle.op.padding == Padding()
    if not plain or first.op.block != last.op.block or len(first.op.block) != 2:
        return None
    left = [
        (before - crop_before, after - crop_after)
        for (before, after), (crop_before, crop_after) in zip(first.op.paddings, last.op.crops, strict=True)
    ]
    if any(size < 0 for pair in left for size in pair):
        return None
    dilation = (first.op.block[0], first.op.block[1])
    return replace(middle.op, dilation=dilation, padding=Padding(*left[0], *left[1]))


def _same_scale(graph: Graph, node: Node) -> bool:
    x, y = graph.tensors[node.inputs[0]], graph.tensors[node.outputs[0]]
    return x.quant == y.quant and x.format == y.format
