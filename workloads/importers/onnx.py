"""Import .onnx networks: QOperator, QDQ and QONNX ones as integer graphs, float ones to be quantized."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from simulator.errors import NetworkError, Unsupported, UnsupportedOp
from simulator.graph import ops
from simulator.graph.graph import Graph, Tensor
from simulator.numerics.formats import FLOAT32
from simulator.records.run import Segmentation
from workloads import description
from workloads.counting import ARRAY_OPS
from workloads.importers import (
    _onnx_array_ops,
    _onnx_elementwise,
    _onnx_images,
    _onnx_movement,
    _onnx_quantized,
)
from workloads.importers._onnx_draft import Draft, Layout, Value
from workloads.importers._onnx_folding import constant_of, evaluate
from workloads.importers._onnx_images_in import image_input
from workloads.importers._onnx_node import Converter, NodeView, Refused, format_of_dtype
from workloads.importers._onnx_qdq import fold_qdq
from workloads.importers._onnx_quant import stated_params
from workloads.importers._onnx_reader import RawModel, RawNode, RawValue, format_names, format_of, guarded, read_model
from workloads.network import Network
from workloads.segmentation import recognise_segmentation

CONVERTERS: Mapping[str, Converter] = {
    **_onnx_array_ops.CONVERTERS,
    **_onnx_elementwise.CONVERTERS,
    **_onnx_images.CONVERTERS,
    **_onnx_movement.CONVERTERS,
    **_onnx_quantized.CONVERTERS,
}
"""Operator -> how to read it; those outside ONNX's own set bear their domain."""


class OnnxImporter:
    """Reads ONNX models with the package `onnx` (extra ``bittrue[onnx]``)."""

    suffixes = (".onnx",)

    def load(self, path: Path) -> Network:
        """Read a network.

        Parameters
        ----------
        path
            The .onnx file.

        Returns
        -------
        Network
            Inputs and outputs as the file declares them; tensors named as in the file. Images are held as [batch,
            height, width, channels] inside, with a transposition at the borders where the file has channels first.

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
            graph = _Import(str(path), path.stem, model).graph()
            if description.KEY in model.metadata:
                image, segmentation = description.read(model.metadata[description.KEY], graph)
                return Network(graph, image=image, segmentation=segmentation or _label_map(graph))
            return Network(graph, image=image_input(graph, model.metadata), segmentation=_label_map(graph))


def _label_map(graph: Graph) -> Segmentation | None:
    """Return how to draw a map of labels; scores have channels first here, which a picture does not take."""
    found = recognise_segmentation(graph)
    return found if found is not None and len(graph.tensors[found.output].shape) == 3 else None


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
    def __init__(self, place: str, name: str, model: RawModel) -> None:
        self.place = place
        self.name = name
        self.problems: list[Unsupported] = []
        self.notes: list[str] = []
        self.model = fold_qdq(model, self.problems)
        self.quantized = any(node.op in ("QuantizeLinear", "DequantizeLinear") for node in self.model.nodes)
        names = {name for node in self.model.nodes for name in (*node.inputs, *node.outputs)}
        self.draft = Draft(frozenset(value.name for value in model.outputs), reserved=names)
        self.values: dict[str, Value] = {}
        self.unknown: dict[str, str] = {}
        """Values that are not read, with the reason."""

    def graph(self) -> Graph:
        for name, data in self.model.constants.items():
            try:
                format = self.model.formats.get(name) or format_of_dtype(data.dtype)
                self.values[name] = Value(name, data.shape, format, None, data)
            except Refused as reason:
                self.unknown[name] = str(reason)
        inputs = tuple(self.input(value) for value in self.model.inputs)
        for raw in self.model.nodes:
            self.convert(raw)
        if not self.problems:
            for value in self.model.outputs:
                self.output(value)
        self.check_floats()
        if self.problems:
            raise UnsupportedOp(self.problems, self.place)
        outputs = tuple(value.name for value in self.model.outputs)
        return Graph(self.name, self.used(), tuple(self.draft.nodes), inputs, outputs, tuple(self.notes))

    def check_floats(self) -> None:
        """Refuse convolutions and products that stay in float32 in a network that is otherwise quantized."""
        if not any(isinstance(node.op, ops.Quantize | ops.Dequantize) for node in self.draft.nodes):
            return
        for node in self.draft.nodes:
            if isinstance(node.op, ARRAY_OPS) and self.draft.tensors[node.inputs[0]].format == FLOAT32:
                reason = (
                    "in float32, in a network with quantized operators: its input and weights are to come from "
                    "DequantizeLinear, and its output to go to QuantizeLinear alone (a ReLU between them is fused); "
                    "or load the float model and call net.quantize(images)"
                )
                self.refuse(node.name, node.op.kind, reason)

    def used(self) -> dict[str, Tensor]:
        names = {name for node in self.draft.nodes for name in (*node.inputs, *node.outputs)}
        names.update(value.name for value in (*self.model.inputs, *self.model.outputs))
        return {name: tensor for name, tensor in self.draft.tensors.items() if name in names}

    def input(self, value: RawValue) -> str:
        """Declare an input; an open batch is taken as 1."""
        format, shape = format_of(value.type_name), value.shape
        if format is None:
            self.refuse(value.name, "INPUT", f"type {value.type_name}; read are {format_names()}")
        if shape is None:
            self.refuse(value.name, "INPUT", "a shape that the file leaves open; fixed shapes are read")
        if format is None or shape is None:
            self.unknown[value.name] = "an input that is not read"
            return value.name
        if shape and isinstance(shape[0], str) and all(isinstance(n, int) for n in shape[1:]):
            self.notes.append(f"input {value.name}: its batch {shape[0]!r} is open in the file and taken as 1")
            shape = (1, *shape[1:])
        sizes = tuple(n for n in shape if isinstance(n, int) and n > 0)
        if len(sizes) < len(shape):
            reason = f"shape {list(shape)}; fixed sizes are read (onnx.tools.update_model_dims sets them)"
            self.refuse(value.name, "INPUT", reason)
            self.unknown[value.name] = "an input that is not read"
            return value.name
        quant = stated_params(self.model, value.name)
        self.draft.tensors[value.name] = Tensor(value.name, sizes, format, quant)
        self.values[value.name] = Value(value.name, sizes, format, quant, held={Layout.FILE: value.name})
        return value.name

    def output(self, value: RawValue) -> None:
        """Make the tensor of an output as the file declares it."""
        found = self.values.get(value.name)
        if found is None:
            raise NetworkError(f"nothing writes output {value.name!r}")
        declared = value.shape
        if declared is not None and (
            len(declared) != len(found.shape)
            or any(isinstance(n, int) and n > 0 and n != m for n, m in zip(declared, found.shape, strict=True))
        ):
            raise NetworkError(f"output {value.name} has shape {list(found.shape)}, the file says {list(declared)}")
        if value.type_name != "UNDEFINED" and format_of(value.type_name) != found.format:
            raise NetworkError(f"output {value.name} is {found.format}, the file says {value.type_name}")
        self.draft.finish(found, value.name)

    def refuse(self, name: str, op: str, reason: str) -> None:
        self.problems.append(Unsupported(name, op, reason))

    def convert(self, raw: RawNode) -> None:
        """Convert an operator, or note why not; what only follows from one that is not read is not listed."""
        blocked = [name for name in raw.inputs if name in self.unknown]
        kind = f"{raw.domain}.{raw.op}" if raw.domain else raw.op
        try:
            if blocked and (kind in CONVERTERS or all(name not in self.model.constants for name in blocked)):
                if blocked[0] in self.model.constants:
                    raise Refused(f"constant {blocked[0]}: {self.unknown[blocked[0]]}")
                self.unknown.update(dict.fromkeys(raw.outputs, "follows from an operator that is not read"))
                return
            for name in filter(None, raw.inputs):
                if name not in self.values:
                    raise NetworkError(f"reads {name!r} before anything writes it")
            if not self.known(raw):
                self.converted(raw, kind)
        except Refused as reason:
            self.refuse(raw.name, kind, str(reason))
            self.unknown.update(dict.fromkeys(raw.outputs, "follows from an operator that is not read"))
        except (ValueError, IndexError, KeyError, TypeError, NetworkError) as error:
            if self.problems:  # what came before may be why
                self.unknown.update(dict.fromkeys(raw.outputs, "follows from an operator that is not read"))
                return
            raise NetworkError(f"operator {raw.name} ({raw.op}): {error}") from error

    def converted(self, raw: RawNode, kind: str) -> None:
        if kind not in CONVERTERS:
            raise Refused("this operator is not supported; docs/onnx.md lists those that are")
        CONVERTERS[kind](NodeView(raw, self.values, self.draft, self.model.opset, self.quantized))

    def known(self, raw: RawNode) -> bool:
        """Whether the operator's result is known now: a constant, or computed from constants alone."""
        if raw.domain:
            return False
        if raw.op == "Constant":
            results = [constant_of(raw)]
        else:
            inputs = [self.values[name] if name else None for name in raw.inputs]
            if not inputs or any(value is not None and value.data is None for value in inputs):
                return False
            if raw.op.startswith("QLinear") or raw.op == "DynamicQuantizeLinear":
                return False
            results = evaluate(raw, [None if value is None else value.data for value in inputs], self.model.opset)
        for name, data in zip(raw.outputs, results, strict=True):
            self.values[name] = Value(name, data.shape, format_of_dtype(data.dtype), None, data)
        return True
