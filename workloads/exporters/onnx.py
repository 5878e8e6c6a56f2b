"""An integer network as ONNX (QOperator): ONNX Runtime gives the integers of our run with requantizer ``float32``.

Such a run rescales in float32 everywhere, whatever the network was quantized for (docs/decisions/0009), as ONNX
Runtime's QLinear operators do. Only what ONNX Runtime computes with the same integers is written.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from simulator.errors import NetworkError, Unsupported, UnsupportedOp
from simulator.graph.graph import Node
from simulator.graph.ops import Op
from workloads import description
from workloads.exporters import _onnx_array_ops, _onnx_movement_ops, _onnx_vector_ops
from workloads.exporters._onnx_file import FileWriter, Refused
from workloads.exporters._onnx_steps import Writer
from workloads.images import image_channels
from workloads.importers._onnx_images_in import image_properties
from workloads.network import Network

OPSET = 17
"""First with everything that is written here; ONNX Runtime reads it since 1.12."""
IR_VERSION = 8
WRITERS: Mapping[type[Op], Writer] = {
    **_onnx_array_ops.WRITERS,
    **_onnx_vector_ops.WRITERS,
    **_onnx_movement_ops.WRITERS,
}
"""Operator -> how to write it."""


def onnx_bytes(network: Network, path: Path) -> bytes:
    """Return the .onnx file of an integer network.

    Parameters
    ----------
    network
        With values. Inputs and outputs keep their names, formats and layout (images: channels last). How an image
        becomes the input, and the class names, go into `metadata_props`.
    path
        Of the file to be, for messages.

    Raises
    ------
    UnsupportedOp
        Lists every node that cannot be written, with the reason.
    NetworkError
        The extra `onnx` is missing, or more than 2 GiB.

    """
    try:
        import onnx
    except ImportError as error:
        raise NetworkError(f"{path}: writing .onnx needs the extra: pip install 'bittrue[onnx]' ({error})") from None
    graph, problems = network.graph, []
    file = FileWriter(graph)
    for node in graph.nodes:
        try:
            _write(file, node)
        except Refused as reason:
            problems.append(Unsupported(node.name, node.op.kind, str(reason)))
            for name in node.outputs:  # so that the nodes that read them are judged too
                file.give(name, name)
    if problems:
        raise UnsupportedOp(problems, f"{path}: {graph.name}")
    imports = [onnx.helper.make_opsetid("", OPSET), onnx.helper.make_opsetid("com.microsoft", 1)]
    model = onnx.helper.make_model(
        file.finished(), opset_imports=imports, ir_version=IR_VERSION, producer_name="bittrue"
    )
    onnx.helper.set_model_props(
        model,
        {
            **image_properties(network.image, image_channels(graph.input_tensors)),
            description.KEY: description.written(network),
        },
    )
    try:
        content: bytes = model.SerializeToString()
    except ValueError as error:
        raise NetworkError(f"{path}: an .onnx file in one piece holds at most 2 GiB ({error})") from None
    return content


def _write(file: FileWriter, node: Node) -> None:
    writer = WRITERS.get(type(node.op))
    if writer is None:
        raise Refused("ONNX Runtime has no operator that gives the same integers")
    for tensor in file.graph.tensors_of((*node.inputs, *node.outputs)):
        if tensor is not None:
            file.check(tensor)
    writer(file, node)
