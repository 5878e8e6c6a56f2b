"""An integer network as .tflite: TFLite's reference kernels give the integers of our run (`fixed_point_double`)."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from simulator.errors import Unsupported, UnsupportedOp
from simulator.graph.ops import Op
from workloads import description
from workloads.exporters import _tflite_array_ops, _tflite_other_ops
from workloads.exporters._tflite_context import Context, Refused, Writer, checked
from workloads.exporters._tflite_file import FileWriter, schema
from workloads.exporters._tflite_metadata import METADATA_NAME, normalization_bytes
from workloads.images import image_channels
from workloads.network import Network

WRITERS: Mapping[type[Op], Writer] = {**_tflite_array_ops.WRITERS, **_tflite_other_ops.WRITERS}
"""Operator -> how to write it."""


def tflite_bytes(network: Network, path: Path) -> bytes:
    """Return the .tflite file of an integer network.

    Parameters
    ----------
    network
        With values. Tensors keep their names; padding that TFLite cannot state becomes PAD operators, a transposed
        convolution with crops of its own is followed by a SLICE, a product that rounds twice
        is written as a 1 x 1 convolution. How an image becomes the input goes into TFLite's own metadata, that and the
        class names into an entry of ours.
    path
        Of the file to be, for messages.

    Raises
    ------
    UnsupportedOp
        Lists every node that cannot be written, with the reason.
    NetworkError
        The extra ``bittrue[tflite]`` is missing, or more than 2 GiB.

    """
    schema()
    graph = network.graph
    context = Context(graph, FileWriter(), set(graph.tensors))
    problems = []
    try:
        inputs = [context.writer.tensor(checked(tensor)) for tensor in graph.input_tensors]
    except Refused as reason:
        raise UnsupportedOp([Unsupported("the network", "INPUT", str(reason))], f"{path}: {graph.name}") from None
    for node in graph.nodes:
        writer = WRITERS.get(type(node.op))
        try:
            if writer is None:
                raise Refused("TFLite has no such operator")
            if getattr(node.op, "arithmetic", "") == "float32":
                raise Refused(
                    "it rescales in float32, as ONNX Runtime does; TFLite's kernel has a multiplier and a shift"
                )
            writer(context, node)
        except Refused as reason:
            problems.append(Unsupported(node.name, node.op.kind, str(reason)))
    if problems:
        raise UnsupportedOp(problems, f"{path}: {graph.name}")
    outputs = [context.writer.tensor(tensor) for tensor in graph.output_tensors]
    return context.writer.packed(graph.name, inputs, outputs, _metadata(network))


def _metadata(network: Network) -> dict[str, bytes]:
    entries = {description.KEY: description.written(network).encode()}
    image, channels = network.image, image_channels(network.graph.input_tensors)
    if image is not None and image.mean is not None and image.std is not None and channels is not None:
        entries[METADATA_NAME] = normalization_bytes(network.name, image.mean, image.std, channels)
    return entries
