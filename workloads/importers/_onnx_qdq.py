"""Fold QDQ models: an operator between DequantizeLinear and QuantizeLinear becomes one on integers.

Each becomes the operator of ONNX Runtime that computes on integers (QLinearConv ...), or, where there is none, one of
domain `bittrue` with the same order of inputs; so that one converter serves both kinds of file.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from simulator.errors import Unsupported
from simulator.graph.ops import Activation, Arithmetic
from simulator.numerics.formats import Format
from workloads.importers._onnx_folding import constant_of
from workloads.importers._onnx_node import Refused
from workloads.importers._onnx_qonnx import lower_quant
from workloads.importers._onnx_reader import RawModel, RawNode

_MOVES = (
    *(
        "MaxPool",
        "GlobalMaxPool",
        "Reshape",
        "Flatten",
        "Squeeze",
        "Unsqueeze",
        "Transpose",
        "Slice",
        "Split",
        "Gather",
    ),
    *("Identity", "Dropout", "DepthToSpace", "SpaceToDepth", "Tile", "Expand", "Pad", "Resize", "Upsample"),
)
"""Operators that only pick values (or, Resize, blend them): they work on the integers themselves."""
_CURVES = ("Relu", "Sigmoid", "Tanh", "HardSwish", "LeakyRelu")
_POOLS = {"GlobalAveragePool": "QLinearGlobalAveragePool", "AveragePool": "QLinearAveragePool"}
_SUMS = {"Add": "com.microsoft.QLinearAdd", "Mul": "com.microsoft.QLinearMul", "Sub": "bittrue.QLinearSub"}
_PRODUCTS = {
    "Conv": "QLinearConv",
    "ConvTranspose": "bittrue.QLinearConvTranspose",
    "MatMul": "QLinearMatMul",
    "Gemm": "com.microsoft.QGemm",
}
_BIAS_TOLERANCE = 1e-5
"""Relative difference of a bias' scale from input scale * weight scale that float32 rounding explains."""


@dataclass(frozen=True)
class _Stored:
    """What a DequantizeLinear reads: integers, and names of their scale and zero point."""

    name: str
    scale: str
    zero: str
    axis: int

    @property
    def names(self) -> tuple[str, str, str]:
        return self.name, self.scale, self.zero


def fold_qdq(model: RawModel, problems: list[Unsupported]) -> RawModel:
    """Return the model with Quant operators and QDQ patterns replaced; what cannot be stays as it is."""
    model = lower_quant(_with_constants(model), problems)
    if not any(node.op == "DequantizeLinear" for node in model.nodes):
        return model
    return _Fold(model).result()


def _with_constants(model: RawModel) -> RawModel:
    """Make the values of Constant operators constants of the model, so that scales are found whoever holds them."""
    constants, nodes = dict(model.constants), []
    for node in model.nodes:
        if not node.domain and node.op == "Constant":
            try:
                constants[node.outputs[0]] = constant_of(node)
                continue
            except Refused:
                pass  # it is refused when it is converted
        nodes.append(node)
    return replace(model, nodes=tuple(nodes), constants=constants)


@dataclass
class _Fold:
    model: RawModel
    constants: dict[str, NDArray[Any]] = field(init=False)
    formats: dict[str, Format] = field(init=False)
    writers: dict[str, RawNode] = field(init=False)
    readers: Counter[str] = field(init=False)
    replaced: dict[str, list[RawNode]] = field(default_factory=dict)
    """What stands in the place of an operator, by its first output."""

    def __post_init__(self) -> None:
        self.constants, self.formats = dict(self.model.constants), dict(self.model.formats)
        self.writers = {name: node for node in self.model.nodes for name in node.outputs}
        self.readers = Counter(name for node in self.model.nodes for name in node.inputs)
        self.readers.update(value.name for value in self.model.outputs)
        self.zeros: dict[str, str] = {}

    def result(self) -> RawModel:
        for node in self.model.nodes:
            if node.op == "QuantizeLinear":
                self.quantize(node)
        for node in self.model.nodes:
            if node.op in _PRODUCTS and not node.domain and node.outputs[0] not in self.replaced:
                self.open_product(node)
            elif node.op == "ArgMax" and node.outputs[0] not in self.replaced and self.stored(node.inputs[0]):
                stored = self.stored(node.inputs[0])
                assert stored is not None
                self.replaced[node.outputs[0]] = [replace(node, inputs=(stored.name,))]
        nodes = [new for node in self.model.nodes for new in self.replaced.get(node.outputs[0], [node])]
        return replace(self.model, nodes=self.live(nodes), constants=self.constants, formats=self.formats)

    def live(self, nodes: list[RawNode]) -> tuple[RawNode, ...]:
        """Drop operators whose results nobody reads any more."""
        wanted, kept = {value.name for value in self.model.outputs}, []
        for node in reversed(nodes):
            if wanted.intersection(node.outputs):
                wanted.update(node.inputs)
                kept.append(node)
        return tuple(reversed(kept))

    def stored(self, name: str) -> _Stored | None:
        """Return the integers that a float tensor is dequantized from, or None."""
        node = self.writers.get(name)
        if node is None or node.op != "DequantizeLinear" or node.attributes.get("block_size", 0):
            return None
        if node.inputs[1] not in self.constants:
            return None
        zero = node.inputs[2] if len(node.inputs) > 2 and node.inputs[2] else self.zero_of(node)
        return _Stored(node.inputs[0], node.inputs[1], zero, int(node.attributes.get("axis", 1)))

    def zero_of(self, node: RawNode) -> str:
        """Return the name of a zero point 0 for a DequantizeLinear that states none: of the type of its input."""
        name = f"{node.outputs[0]}/zero_point"
        data = self.constants.get(node.inputs[0])
        self.constants.setdefault(name, np.zeros((), np.uint8 if data is None else data.dtype))
        return name

    # ------------------------------------------------------------ Q

    def quantize(self, node: RawNode) -> None:
        """Fold a QuantizeLinear with what writes its input."""
        constant = self.constants.get(node.inputs[0])
        if constant is not None:
            self.quantize_constant(node, constant)
            return
        format = node.attributes.get("bittrue_format")
        if len(node.inputs) < 3 or not node.inputs[2]:
            return
        if node.inputs[2] not in self.constants or node.inputs[1] not in self.constants:
            return
        if format is not None:
            self.formats[node.inputs[2]] = format
        source, activation, passed = self.before(node.inputs[0])
        if source is None:
            return
        made = self.fold(source, node, activation)
        if made is not None:
            for name in passed:
                self.replaced[name] = []
            self.replaced[node.outputs[0]] = made

    def before(self, name: str) -> tuple[RawNode | None, Activation, list[str]]:
        """Return what writes a tensor that only Q reads, a ReLU between them to be fused, and what then goes."""
        node, passed = self.writers.get(name), []
        activation = Activation.NONE
        if node is not None and (found := self.clamp(node)) is not None and self.readers[name] == 1:
            inner = self.writers.get(node.inputs[0])
            fusable = inner is not None and (inner.op in _SUMS or inner.op in _PRODUCTS) and not inner.domain
            if fusable and self.readers[node.inputs[0]] == 1:
                passed.append(name)
                name, node, activation = node.inputs[0], inner, found
        if node is None or node.domain or self.readers[name] != 1:
            return None, Activation.NONE, []
        return node, activation, [*passed, name]

    def clamp(self, node: RawNode) -> Activation | None:
        if node.op == "Relu":
            return Activation.RELU
        if node.op != "Clip":
            return None
        ends = [self.constants.get(name) for name in node.inputs[1:3]]
        stated = [None if end is None else float(end.ravel()[0]) for end in ends]
        if self.model.opset < 11:
            stated = [node.attributes.get("min"), node.attributes.get("max")]
        return Activation.RELU6 if stated == [0.0, 6.0] else None

    def quantize_constant(self, node: RawNode, data: NDArray[Any]) -> None:
        """Quantize a constant now, as QuantizeLinear would: weights that a file keeps in float32."""
        scale, zero = (self.constants.get(name) for name in (*node.inputs[1:], "", "")[:2])
        if scale is None:
            return
        zero = np.zeros((), np.uint8) if zero is None else zero
        shape = [1] * data.ndim
        if scale.size > 1:
            shape[int(node.attributes.get("axis", 1))] = scale.size
        limits = np.iinfo(zero.dtype)
        whole = np.rint(data / scale.reshape(shape)) + zero.astype(np.float64).reshape(shape if zero.size > 1 else ())
        self.constants[node.outputs[0]] = np.clip(whole, limits.min, limits.max).astype(zero.dtype)
        self.replaced[node.outputs[0]] = []

    # ------------------------------------------------------------ operators

    def fold(self, node: RawNode, quantize: RawNode, activation: Activation) -> list[RawNode] | None:
        """Return what computes the quantized output from integers; None where it is not known how."""
        y = (quantize.inputs[1], quantize.inputs[2])
        output = quantize.outputs[:1]
        if node.op in _PRODUCTS:
            return self.product(node, y, output, activation)
        if node.op == "Concat":
            parts = [self.stored(name) for name in node.inputs]
            found = [part for part in parts if part is not None]
            inputs = (*y, *(name for part in found for name in part.names))
            return _new(node, "com.microsoft.QLinearConcat", inputs, output) if len(found) == len(parts) else None
        if node.op in _MOVES:
            return self.move(node, y, output)
        operands = [self.stored(name) for name in node.inputs]
        found = [operand for operand in operands if operand is not None]
        if len(found) != len(operands):
            return self.curve(node, y, output)
        inputs = (*(name for operand in found for name in operand.names), *y)
        if node.op in _SUMS and len(found) == 2:
            return _new(node, _SUMS[node.op], inputs, output, bittrue_activation=activation)
        if node.op in _POOLS:
            return _new(node, f"com.microsoft.{_POOLS[node.op]}", inputs, output)
        return self.curve(node, y, output)

    def curve(self, node: RawNode, y: tuple[str, str], output: tuple[str, ...]) -> list[RawNode] | None:
        x = self.stored(node.inputs[0])
        kind = node.op if node.op in _CURVES else None
        if node.op == "Clip" and self.clamp(node) is Activation.RELU6:
            kind = "Relu6"
        return None if x is None or kind is None else _new(node, f"bittrue.{kind}", (*x.names, *y), output)

    def move(self, node: RawNode, y: tuple[str, str], output: tuple[str, ...]) -> list[RawNode] | None:
        """Move integers; then rescale them where the output has another scale."""
        x = self.stored(node.inputs[0])
        if (
            x is None
            or len(node.outputs) != 1
            or (node.op == "Pad" and node.attributes.get("mode", "constant") != "constant")
        ):
            return None
        same = all(self.equal(a, b) for a, b in zip((x.scale, x.zero), y, strict=True))
        blends = node.op in ("Resize", "Upsample") and node.attributes.get("mode", "nearest") != "nearest"
        if blends and not same:
            return None
        inputs = self.padded(node, x) if node.op == "Pad" else (x.name, *node.inputs[1:])
        if inputs is None:
            return None
        attributes = dict(node.attributes, bittrue_arithmetic=Arithmetic.FLOAT32)
        if same:
            return [replace(node, inputs=inputs, outputs=output, attributes=attributes)]
        moved = (f"{output[0]}/moved",)
        first = replace(node, inputs=inputs, outputs=moved, attributes=attributes)
        again = _new(node, "bittrue.Requantize", (moved[0], x.scale, x.zero, *y), output)
        return [first, replace(again[0], name=f"{node.name}/requantize")]

    def padded(self, node: RawNode, x: _Stored) -> tuple[str, ...] | None:
        """Return the inputs of a Pad on integers: its value is quantized too."""
        if self.model.opset < 11:
            return None
        value = np.zeros(1) if len(node.inputs) < 3 or not node.inputs[2] else self.constants.get(node.inputs[2])
        if value is None and (inner := self.stored(node.inputs[2])) is not None:
            q, s, z = (self.constants.get(name) for name in inner.names)
            value = None if q is None or s is None or z is None else (q.astype(np.float64) - z) * s
        if value is None:
            return None
        zero = self.constants[x.zero]
        whole = np.rint(float(np.ravel(value)[0]) / float(self.constants[x.scale].ravel()[0])) + int(zero.ravel()[0])
        limits = np.iinfo(zero.dtype)
        name = f"{node.outputs[0]}/padding_value"
        self.constants[name] = np.asarray(np.clip(whole, limits.min, limits.max), zero.dtype)
        return (x.name, node.inputs[1], name, *node.inputs[3:])

    def equal(self, a: str, b: str) -> bool:
        first, second = self.constants.get(a), self.constants.get(b)
        return a == b or (first is not None and second is not None and np.array_equal(first.ravel(), second.ravel()))

    def product(
        self, node: RawNode, y: tuple[str, ...], output: tuple[str, ...], activation: Activation
    ) -> list[RawNode] | None:
        """Return QLinearConv and the like, or None where an operand is not quantized."""
        x, weights = self.stored(node.inputs[0]), self.stored(node.inputs[1])
        if x is None or weights is None or weights.name not in self.constants:
            return None
        bias = self.bias(node, x, weights)
        if bias is None:
            return None
        kind = _PRODUCTS[node.op]
        last = (*(bias or ("",)), *y) if node.op == "Gemm" else (*(y or ("", "")), *bias)
        return _new(node, kind, (*x.names, *weights.names, *last), output, bittrue_activation=activation)

    def open_product(self, node: RawNode) -> None:
        """Compute a product whose result is not quantized in integers: its accumulators, dequantized."""
        x, weights = self.stored(node.inputs[0]), self.stored(node.inputs[1])
        if node.op == "ConvTranspose" or x is None or weights is None:
            return
        scale, of_weights = self.constants.get(x.scale), self.constants.get(weights.scale)
        sums = f"{node.outputs[0]}/accumulators"
        made = self.product(node, (), (sums,), Activation.NONE)
        if made is None or scale is None or of_weights is None:
            return
        name = f"{node.outputs[0]}/accumulator_scale"
        self.constants[name] = np.asarray(scale.ravel()[0] * of_weights, np.float32)
        axis = 1 if node.op == "Conv" else -1
        back = RawNode(
            f"{node.name}/dequantize", "", "DequantizeLinear", (sums, name), node.outputs[:1], {"axis": axis}
        )
        self.replaced[node.outputs[0]] = [*made, back]

    def bias(self, node: RawNode, x: _Stored, weights: _Stored) -> tuple[str, ...] | None:
        """Return () or the name of an int32 bias in units of the accumulator; None where it is not constant."""
        if len(node.inputs) < 3 or not node.inputs[2]:
            return ()
        of_x, of_weights = self.constants[x.scale].ravel(), self.constants.get(weights.scale)
        if of_weights is None:
            return None
        unit = of_x[0].astype(np.float64) * of_weights.ravel().astype(np.float64)
        stored = self.stored(node.inputs[2])
        if stored is not None and stored.name in self.constants:
            scale = self.constants[stored.scale].ravel().astype(np.float64)
            zero = self.constants[stored.zero]
            if np.all(np.abs(scale - unit) <= _BIAS_TOLERANCE * unit) and not np.any(zero):
                return (stored.name,)
            real = (self.constants[stored.name].astype(np.float64) - zero) * scale
        elif node.inputs[2] in self.constants:
            real = self.constants[node.inputs[2]].astype(np.float64).ravel()
        else:
            return None
        whole = np.rint(real / unit)
        if np.abs(whole).max(initial=0) > np.iinfo(np.int32).max:
            return None
        name = f"{node.outputs[0]}/bias"
        self.constants[name] = whole.astype(np.int32)
        return (name,)


def _new(node: RawNode, kind: str, inputs: tuple[str, ...], outputs: tuple[str, ...], **extra: Any) -> list[RawNode]:
    domain, _, op = kind.rpartition(".")
    return [RawNode(node.name, domain, op, inputs, outputs, {**node.attributes, **extra})]
