"""Import .tflite networks (int8 and uint8, per-tensor and per-channel; float networks too, to be quantized)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np

from simulator.errors import NetworkError, Unsupported, UnsupportedOp
from simulator.graph.graph import Graph, Node, Tensor
from simulator.graph.shapes import infer_shapes
from simulator.numerics.formats import FLOAT32
from simulator.records.run import Segmentation
from workloads import description
from workloads.images import image_channels
from workloads.importers import _tflite_array_ops, _tflite_movement_ops, _tflite_vector_ops
from workloads.importers._tflite_dilation import merge_dilated
from workloads.importers._tflite_folding import fold
from workloads.importers._tflite_metadata import own_entry, stated_normalization
from workloads.importers._tflite_node import Converted, Converter, NodeView, Refused
from workloads.importers._tflite_reader import RawModel, RawNode, guarded, read_model
from workloads.importers._tflite_tensors import TensorTable
from workloads.network import ImageInput

CONVERTERS: Mapping[str, Converter] = {
    **_tflite_array_ops.CONVERTERS,
    **_tflite_vector_ops.CONVERTERS,
    **_tflite_movement_ops.CONVERTERS,
}
"""Builtin operator name -> how to read it."""


class TfliteImporter:
    """Reads TFLite FlatBuffers with the package `tflite` (extra ``bittrue[tflite]``)."""

    suffixes = (".tflite",)

    def load(self, path: Path) -> Graph:
        """Read a network.

        Parameters
        ----------
        path
            The .tflite file.

        Returns
        -------
        Graph
            Tensors named as in the file (a name that occurs twice gets its index, a tensor without one is
            ``tensor_N``), nodes named by their first output. `notes` tells of recognised dilated convolutions.

        Raises
        ------
        UnsupportedOp
            Lists every operator that cannot be run, with the reason.
        NetworkError
            A file that cannot be read, is damaged, or contradicts itself.

        """
        path = Path(path)
        model = read_model(path)
        with guarded(path), _named(path):
            return merge_dilated(_Import(path, model).graph())

    def image_input(self, path: Path, graph: Graph) -> ImageInput | None:
        """Return how a pixel becomes the file's input by the file's metadata; None where it does not say.

        Of an integer input only a file of ours is believed: others leave open what is done before quantizing.
        """
        own = self._own_entry(Path(path), graph)
        if own is not None:
            return own[0]
        channels = image_channels(graph.input_tensors)
        if channels is None or graph.input_tensors[0].format != FLOAT32:
            return None
        return stated_normalization(Path(path), channels)

    def segmentation(self, path: Path, graph: Graph) -> Segmentation | None:
        """Return classes and colours that a file of ours states; None in another file."""
        own = self._own_entry(Path(path), graph)
        return None if own is None else own[1]

    def _own_entry(self, path: Path, graph: Graph) -> description.Description | None:
        with _named(path):
            return own_entry(path, graph)


@contextmanager
def _named(path: Path) -> Iterator[None]:
    """Put the file's name into errors of the graph, which knows no file."""
    try:
        yield
    except UnsupportedOp:
        raise
    except NetworkError as error:
        if str(path) in str(error):
            raise
        raise NetworkError(f"{path}: {error}") from error


class _Import:
    def __init__(self, path: Path, model: RawModel) -> None:
        self.path = path
        self.model = model
        self.tensors = TensorTable(model)
        self.nodes: list[Node] = []
        self.used: dict[str, Tensor] = {}
        self.problems: list[Unsupported] = []
        self.names = {tensor.name for tensor in model.tensors}
        self.readers = Counter(model.tensors[index].name for node in model.nodes for index in node.inputs if index >= 0)

    def graph(self) -> Graph:
        if self.model.subgraphs > 1:
            reason = f"the file has {self.model.subgraphs} subgraphs (control flow); one is read"
            self.problems.append(Unsupported("the model", "SUBGRAPH", reason))
        for raw in self.model.nodes:
            self.convert(raw)
        inputs, outputs = self.ends(self.model.inputs), self.ends(self.model.outputs)
        if self.problems:
            raise UnsupportedOp(self.problems, str(self.path))
        if len(set(inputs)) < len(inputs):
            raise NetworkError(f"one tensor is listed twice among the inputs {list(inputs)}")
        return Graph(self.path.stem, self.used, tuple(self.nodes), inputs, outputs)

    def ends(self, indices: tuple[int, ...]) -> tuple[str, ...]:
        names = []
        for index in indices:
            reason = self.tensors.problem(index)
            name = self.model.tensors[index].name
            if reason:
                self.problems.append(Unsupported(name, "INPUT or OUTPUT", reason))
            else:
                self.used.setdefault(name, self.tensors[index])
                names.append(name)
        return tuple(names)

    def convert(self, raw: RawNode) -> None:
        name = self.model.tensors[raw.outputs[0]].name
        try:
            self.check(raw)
            if not self.known(raw):
                view = NodeView(raw, self.tensors)
                self.add(name, view, CONVERTERS[raw.code](view))
        except Refused as reason:
            self.problems.append(Unsupported(name, raw.code, str(reason)))
        except (ValueError, IndexError, NetworkError) as error:
            raise NetworkError(f"operator {name} ({raw.code}): {error}") from error

    def check(self, raw: RawNode) -> None:
        if raw.code.startswith("CUSTOM"):
            raise Refused("custom operators are not known")
        if raw.code not in CONVERTERS and raw.code != "SHAPE":
            raise Refused("this operator is not supported")
        for index in (*raw.inputs, *raw.outputs):
            reason = self.tensors.problem(index) if index >= 0 else None
            if reason is None and raw.code != "DEQUANTIZE" and self.is_float16(index):
                reason = f"tensor {self.model.tensors[index].name} is float16; only DEQUANTIZE of a constant is read"
            if reason:
                raise Refused(reason)

    def is_float16(self, index: int) -> bool:
        return index >= 0 and self.model.tensors[index].type_name == "FLOAT16"

    def known(self, raw: RawNode) -> bool:
        """Whether the operator's result is known now: float16 weights widened, and the shape of a tensor."""
        if raw.code not in ("SHAPE", "DEQUANTIZE"):
            return False
        view = NodeView(raw, self.tensors)
        x, y = view.input(0), view.output()
        if raw.code == "SHAPE":
            view.check_type(view.options("ShapeOptions").OutType())
            value = np.asarray(x.shape, y.format.dtype)
        elif self.is_float16(raw.inputs[0]) and x.data is not None:
            value = x.data
        else:
            return False
        self.tensors.fold(raw.outputs[0], value)
        return True

    def add(self, name: str, view: NodeView, converted: Converted) -> None:
        own = {tensor.name: tensor for tensor in converted.constants}
        by_name = {tensor.name: tensor for tensor in view.inputs if tensor is not None} | own
        outputs = view.outputs
        shapes = infer_shapes(converted.op, [by_name[key].shape for key in converted.inputs])
        declared = tuple(tensor.shape for tensor in outputs)
        if shapes != declared:
            raise ValueError(f"its outputs have shapes {shapes}, the file says {declared}")
        values = fold(view, converted)
        if values is not None:
            for index, value in zip(view.raw.outputs, values, strict=True):
                self.tensors.fold(index, value)
            return
        inputs = tuple(self.keep(by_name[key], own=key in own) for key in converted.inputs)
        for tensor in outputs:
            self.keep(tensor, own=False)
        self.nodes.append(Node(name, converted.op, inputs, tuple(tensor.name for tensor in outputs)))

    def keep(self, tensor: Tensor, *, own: bool) -> str:
        """Enter a tensor into the graph; one rearranged for one operator steps aside where others read it too."""
        if own and self.readers[tensor.name] > 1:
            tensor = replace(tensor, name=self.free_name(f"{tensor.name}/filters_first"))
        self.used.setdefault(tensor.name, tensor)
        return tensor.name

    def free_name(self, name: str) -> str:
        """Return `name`, lengthened until no tensor of the file has it."""
        while name in self.names:
            name += "_"
        return name
