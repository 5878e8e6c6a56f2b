"""The paper's scheme with scales that follow every input: integers, each tensor requantized by its own maximum.

The graph is the forward half of a training step (`workloads.training.forward_rules`) around a frozen network: weights
and batch norms are constants, every activation is `ScaleQuantize`d, which on the vector unit reads it twice, once for
the greatest magnitude and once to shift and clip. Source: arXiv 2011.14504, eq. 3 to 5 (SQ) and 12 to 14, Table I.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from simulator.errors import NetworkError, Unsupported, UnsupportedOp
from simulator.graph import ops
from simulator.graph import training_ops as t
from simulator.graph.builder import GraphBuilder
from simulator.graph.graph import Graph, Node, Tensor
from simulator.numerics.formats import INT8, INT16, Float32, IntFormat
from simulator.numerics.quant import QuantParams
from simulator.numerics.training_scale import ScaleRule
from workloads.network import Network, Progress
from workloads.quantization.calibrate import Observer, calibrate
from workloads.quantization.calibration_set import CalibrationSet
from workloads.quantization.options import QuantizeOptions
from workloads.quantization.paper import AFFINE_BITS, STATISTICS_BITS
from workloads.quantization.ranges import choose_range
from workloads.quantization.scales import activation_rule, ceil_log2, grid_params, power_of_two_params
from workloads.quantization.simplify import Statistics
from workloads.training.array_gradients import sum_format
from workloads.training.config import TrainingConfig
from workloads.training.derive import obstacle
from workloads.training.forward_rules import FORWARD, Rule, write_sums
from workloads.training.parameters import BIAS_BITS
from workloads.training.tape import Scaled, Tape

_WHAT = "activation_scales='dynamic'"
_WIDE_BITS = 32
"""At least so many for sums that a bias is added to: a bias may exceed the greatest sum."""


@dataclass(eq=False)
class _FrozenTape(Tape):
    """Tape over a network whose parameters are constants."""

    statistics: Statistics = field(default_factory=dict)
    """Measured means and variances by constant's name; the stored ones where absent."""
    shifted: bool = True
    """Whether the weight grid of a layer has a power of two of its own."""
    affine: dict[str, tuple[t.AffineQuantize, tuple[str, ...]]] = field(default_factory=dict)
    """Output of a batch norm that only a ReLU reads -> how both are computed at once."""

    def real(self, name: str) -> NDArray[np.float64]:
        """Values of a constant of the float network."""
        return np.asarray(self.statistics.get(name, self.forward.tensors[name].data), np.float64)

    def grid(self, name: str, values: NDArray[np.float64], exponent: int, bits: int, least: int | None = None) -> str:
        """Declare a constant in steps of 2^exponent, half up, symmetric (or not below `least`); return its name."""
        if name not in self._grids:
            most = (1 << (bits - 1)) - 1
            stored = np.clip(np.floor(np.ldexp(values, -exponent) + 0.5), -most if least is None else least, most)
            format = IntFormat(bits)
            quant = QuantParams.per_tensor(2.0**exponent)
            self.builder.constant(name, stored.astype(format.dtype), format, quant)
            self._grids[name] = Scaled(name, self.power(exponent))
        return name

    def parameter(self, name: str) -> Scaled:
        """Return weights on their grid."""
        if name not in self._grids:
            values = self.real(name)
            (scale,) = grid_params(values.astype(np.float32), None, 1.0, INT8, shifted=self.shifted).scale
            self.grid(name, values, round(np.log2(scale)), self.config.weight_bits)
        return self._grids[name]


def dynamic_network(
    network: Network, inputs: CalibrationSet, options: QuantizeOptions, on_progress: Progress | None = None
) -> Network:
    """Return a network whose activations take the scale of the tensor at hand; see `Network.quantize`.

    The images give the range of the network's inputs, of outputs that are no labels, and, of a seeded network, the
    statistics of its batch norms; no other range is kept.

    Raises
    ------
    UnsupportedOp
        Listing every operator that has no rule.

    """
    graph = unfused(network.graph)
    check_dynamic(graph)
    observer = Observer(options.calibration != "minmax")
    statistics = calibrate(
        network.graph, inputs, observer, images=len(inputs), measure_norms=network.seeded, on_progress=on_progress
    )
    params: dict[str, QuantParams] = {}
    for name in graph.inputs:
        params[name] = activation_rule(options)(*choose_range(observer.seen[name], INT8, options), INT8)
    for name in graph.outputs:
        if name in observer.seen:  # labels are not
            params[name] = power_of_two_params(*choose_range(observer.seen[name], INT16, options), INT16)
    integer = dynamic_graph(graph, params, statistics, options)
    count = f"{len(inputs)} image{'s' if len(inputs) > 1 else ''}"
    notes = [f"quantized to int8 ({options.describe()}), input range from {count}"]
    if network.seeded and any(isinstance(node.op, ops.BatchNorm) for node in graph.nodes):
        notes.append("batch-norm statistics were measured on the first calibration image")
    return network.with_graph(integer, notes)


def dynamic_graph(
    graph: Graph, params: Mapping[str, QuantParams], statistics: Statistics, options: QuantizeOptions
) -> Graph:
    """Derive the integer graph.

    Parameters
    ----------
    graph
        The float network, activations not fused, checked by `check_dynamic`.
    params
        Power-of-two scales of its inputs (int8) and of its outputs that are no labels (int16), which stay as they are.
    statistics
        Means and variances to use instead of the stored ones, by constant's name.
    options
        `weight_shift` and `scale_rounding`.

    """
    rule = ScaleRule.CEIL if options.scale_rounding == "up" else ScaleRule.ROUND
    config = TrainingConfig(scale=rule, affine_bits=AFFINE_BITS, statistics_bits=STATISTICS_BITS)
    shifted = options.weight_shift == "layer"
    tape = _FrozenTape(graph, config, {}, False, GraphBuilder(graph.name), statistics=statistics, shifted=shifted)
    for name in graph.inputs:
        tape.builder.input(name, graph.tensors[name].shape, INT8, params[name])
        tape.values[name] = Scaled(name, tape.power(_exponent(params[name])))
    for node in graph.nodes:
        RULES[type(node.op)](tape, node)
    frozen = {name: f"{name}.frozen" for name in graph.outputs if name in params}
    for name, output in frozen.items():
        x = tape.values[name]
        tape.add(t.FixedQuantize(INT16.bits, _exponent(params[name])), x.value, x.scale, name=output)
    built = tape.builder.build([frozen.get(name, name) for name in graph.outputs], graph.notes)
    tensors = dict(built.tensors)
    for name, output in frozen.items():
        tensors[output] = replace(tensors[output], quant=params[name])
    swapped = {output: name for name, output in frozen.items()}
    swapped |= {name: f"{name}.dynamic" for name in frozen if name in tensors}
    return _renamed(replace(built, tensors=tensors), swapped)


def check_dynamic(graph: Graph) -> None:
    """Raise UnsupportedOp where an operator has no rule, NetworkError where an input is no float image."""
    problems = [
        Unsupported(node.name, node.op.kind, reason)
        for node in graph.nodes
        if (reason := obstacle(graph, node, _WHAT, grouped=True))
    ]
    if problems:
        raise UnsupportedOp(problems, graph.name)
    for tensor in graph.input_tensors:
        if not isinstance(tensor.format, Float32):
            raise NetworkError(f"{graph.name}: input {tensor.name} is {tensor.format}; {_WHAT} takes float32 inputs")


def unfused(graph: Graph) -> Graph:
    """Return the same function with every fused ReLU as a node of its own."""
    tensors, nodes = dict(graph.tensors), []
    for node in graph.nodes:
        if getattr(node.op, "activation", None) is not ops.Activation.RELU or len(node.outputs) != 1:
            nodes.append(node)
            continue
        (output,) = node.outputs
        linear = f"{output}.linear"
        tensors[linear] = Tensor(linear, tensors[output].shape, tensors[output].format)
        bare = replace(node.op, activation=ops.Activation.NONE)  # type: ignore[call-arg]
        nodes += [Node(node.name, bare, node.inputs, (linear,)), Node(output, ops.Relu(), (linear,), (output,))]
    return replace(graph, tensors=tensors, nodes=tuple(nodes))


def _exponent(params: QuantParams) -> int:
    return round(float(np.log2(params.scale[0])))


def _renamed(graph: Graph, names: Mapping[str, str]) -> Graph:
    def new(name: str) -> str:
        return names.get(name, name)

    tensors = {new(name): replace(tensor, name=new(name)) for name, tensor in graph.tensors.items()}
    nodes = tuple(
        Node(new(node.name), node.op, tuple(map(new, node.inputs)), tuple(map(new, node.outputs)))
        for node in graph.nodes
    )
    return replace(graph, tensors=tensors, nodes=nodes, outputs=tuple(map(new, graph.outputs)))


# ---------------------------------------------------------------- rules where training's own do not fit


def _convolution(tape: _FrozenTape, node: Node) -> None:
    x, weights, output = tape.narrow(node.inputs[0]), tape.parameter(node.inputs[1]), node.outputs[0]
    assert isinstance(node.op, ops.Conv2D | ops.TransposeConv2D)
    bias = node.inputs[2] if len(node.inputs) > 2 else ""
    reduction = int(np.prod(tape.builder.shape(weights.value)[1:]))
    format = sum_format(tape.bits(x.value), tape.bits(weights.value), reduction)
    if bias:
        format = IntFormat(min(max(format.bits + 1, _WIDE_BITS), 64))
    op = replace(node.op, raw_accumulator=True)
    result = Scaled(
        tape.add(op, x.value, weights.value, name=output, format=format),
        tape.product(x.scale, weights.scale, f"{output}.scale"),
    )
    if bias:
        values = tape.real(bias)
        exponent = ceil_log2(float(np.abs(values).max())) - (BIAS_BITS - 1)
        offset = tape.grid(bias, values, exponent, BIAS_BITS)
        added = tape.add(t.BiasChannels(exponent), result.value, result.scale, offset, name=f"{output}.biased")
        result = Scaled(added, result.scale)
    write_sums(tape, output, result)


def _batch_norm(tape: _FrozenTape, node: Node) -> None:
    """Normalise by 16-bit mean and deviation, then gamma and beta of 8 bits, each on the least grid that holds it."""
    assert isinstance(node.op, ops.BatchNorm)
    x, output = tape.values[node.inputs[0]], node.outputs[0]
    gamma, beta, mean, variance = (tape.real(name) for name in node.inputs[1:])
    deviation = np.sqrt(variance + node.op.epsilon)
    step = _grid_exponent(np.concatenate([mean, deviation]), STATISTICS_BITS)
    centre = tape.grid(f"{node.name}.mean", mean, step, STATISTICS_BITS)
    spread = tape.grid(f"{node.name}.deviation", deviation, step, STATISTICS_BITS, least=1)
    extremes = tape.add(t.ChannelExtremes(), x.value, name=f"{output}.extremes")
    op = t.NormalizeChannels(tape.config.normalized_bits, tape.config.scale, step)
    operands = (x.value, x.scale, centre, spread, extremes)
    q, scale, ends = tape.builder.add_many(op, *operands, name=f"{output}.normalized")
    steps = _grid_exponent(gamma, AFFINE_BITS), _grid_exponent(beta, AFFINE_BITS)
    gain = tape.grid(f"{node.name}.gamma", gamma, steps[0], AFFINE_BITS)
    offset = tape.grid(f"{node.name}.beta", beta, steps[1], AFFINE_BITS)
    if tape.only_reader(output, ops.Relu):
        fused = t.AffineQuantize(tape.config.activation_bits, tape.config.scale, True, *steps)
        tape.affine[output] = fused, (q, scale, gain, offset, ends)
        return
    tape.values[output] = tape.scaled(t.AffineChannels(*steps), q, scale, gain, offset, name=output)


def _grid_exponent(values: NDArray[np.float64], bits: int) -> int:
    """Return the exponent of a grid over +-2, or the least power of two that holds the values where that is more."""
    return max(1, ceil_log2(float(np.abs(values).max()))) - (bits - 1)


def _relu(tape: _FrozenTape, node: Node) -> None:
    if node.inputs[0] not in tape.affine:
        FORWARD[ops.Relu](tape, node)
        return
    op, operands = tape.affine[node.inputs[0]]
    tape.values[node.outputs[0]] = tape.scaled(op, *operands, name=node.outputs[0])


_OWN: Mapping[type[ops.Op], Callable[[_FrozenTape, Node], None]] = {
    ops.Conv2D: _convolution,
    ops.TransposeConv2D: _convolution,
    ops.BatchNorm: _batch_norm,
    ops.Relu: _relu,
}
RULES: Mapping[type[ops.Op], Rule | Callable[[_FrozenTape, Node], None]] = {**FORWARD, **_OWN}
"""What each operator of the float network becomes."""
