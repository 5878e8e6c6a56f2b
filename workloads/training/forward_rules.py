"""Forward half of a step: what each operator of the float network becomes in integers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from math import prod

from simulator.graph import ops
from simulator.graph import training_ops as t
from simulator.graph.graph import Node
from simulator.graph.ops import Op
from simulator.numerics.formats import INT32
from workloads.training.array_gradients import sum_format
from workloads.training.config import Norm
from workloads.training.tape import KEY, Normalized, Scaled, Tape

GUARD_BITS = 12
"""Bits of a running average below the step of what it averages."""

Rule = Callable[[Tape, Node], None]


def guard_bits(statistics_bits: int) -> int:
    """Return the guard bits that leave the running average in int32."""
    return max(0, min(GUARD_BITS, 31 - statistics_bits))


def _convolution(tape: Tape, node: Node) -> None:
    x, weights = tape.narrow(node.inputs[0]), tape.parameter(node.inputs[1])
    assert isinstance(node.op, ops.Conv2D | ops.TransposeConv2D)
    op = replace(node.op, raw_accumulator=True)
    output = node.outputs[0]
    reduction = prod(tape.builder.shape(weights.value)[1:])
    format = sum_format(tape.bits(x.value), tape.bits(weights.value), reduction)
    sums = tape.add(op, x.value, weights.value, name=output, format=format)
    tape.layers[node.name] = (Node(output, op, (x.value, weights.value), (sums,)), x, weights)
    result = Scaled(sums, tape.product(x.scale, weights.scale, f"{output}.scale"))
    if len(node.inputs) > 2 and node.inputs[2]:
        bias, exponent = tape.parameter(node.inputs[2]), tape.parameters[node.inputs[2]].exponent
        biased = tape.add(t.BiasChannels(exponent), result.value, result.scale, bias.value, name=f"{output}.biased")
        result = Scaled(biased, result.scale)
    write_sums(tape, output, result)


def write_sums(tape: Tape, output: str, result: Scaled) -> None:
    """Write what a convolution gives: scores and, where no norm or ReLU follows, activations are quantized at once."""
    if output in tape.scores:
        result = tape.quantize(result, tape.config.logit_bits, f"{output}.a{tape.config.logit_bits}")
    elif not tape.has_norm and not tape.only_reader(output, ops.Relu):
        result = tape.quantize(result, tape.config.activation_bits, f"{output}.a{tape.config.activation_bits}")
    tape.values[output] = result


def _batch_norm(tape: Tape, node: Node) -> None:
    config, output = tape.config, node.outputs[0]
    x = tape.values[node.inputs[0]]
    gamma, beta = tape.parameter(node.inputs[1]), tape.parameter(node.inputs[2])
    mean, deviation, extremes = (_measured if tape.training else _running)(tape, node, x)
    op = t.NormalizeChannels(config.normalized_bits, config.scale, config.statistics_exponent)
    q, scale, ends = tape.builder.add_many(op, x.value, x.scale, mean, deviation, extremes, name=f"{output}.normalized")
    tape.norms[output] = Normalized(Scaled(q, scale), ends, gamma.value, beta.value, deviation)
    if tape.only_reader(output, ops.Relu):
        return  # the ReLU makes the affine map and the quantizer one
    exponent = 2 - config.affine_bits
    tape.values[output] = tape.scaled(
        t.AffineChannels(exponent, exponent), q, scale, gamma.value, beta.value, name=output
    )


def _measured(tape: Tape, node: Node, x: Scaled) -> tuple[str, str, str]:
    """Statistics of this batch; they move the running averages."""
    config = tape.config
    kind = t.L1Statistics if config.norm is Norm.L1 else t.L2Statistics
    epsilon = max(1, round(2.0 ** (-10 - config.statistics_exponent)))
    op = kind(config.statistics_bits, config.statistics_exponent, epsilon)
    mean, deviation, extremes = tape.builder.add_many(op, x.value, x.scale, name=f"{node.outputs[0]}.statistics")
    average = t.RunningAverage(config.average_shift, guard_bits(config.statistics_bits))
    for state, value in zip(running_names(node), (mean, deviation), strict=True):
        tape.builder.input(state, tape.builder.shape(value), INT32)
        tape.states.append((state, tape.add(average, state, value, name=f"{state}.next")))
    return mean, deviation, extremes


def _running(tape: Tape, node: Node, x: Scaled) -> tuple[str, str, str]:
    """Statistics of all steps so far."""
    config = tape.config
    scale = tape.power(config.statistics_exponent - guard_bits(config.statistics_bits))
    read = t.FixedQuantize(config.statistics_bits, config.statistics_exponent)
    found = []
    for state in running_names(node):
        tape.builder.input(state, tape.builder.shape(x.value)[-1:], INT32)
        found.append(tape.add(read, state, scale, name=f"{state}.q"))
    extremes = tape.add(t.ChannelExtremes(), x.value, name=f"{node.outputs[0]}.extremes")
    return found[0], found[1], extremes


def running_names(node: Node) -> tuple[str, str]:
    """Names of a batch norm's running mean and deviation."""
    return f"{node.name}.running_mean", f"{node.name}.running_deviation"


def _relu(tape: Tape, node: Node) -> None:
    x, output, config = node.inputs[0], node.outputs[0], tape.config
    norm = tape.norms.get(x)
    if norm is None or x in tape.values:
        tape.values[output] = tape.quantize(tape.values[x], config.activation_bits, output, relu=True)
        return
    exponent = 2 - config.affine_bits
    op = t.AffineQuantize(config.activation_bits, config.scale, True, exponent, exponent)
    inputs = norm.x_hat.value, norm.x_hat.scale, norm.gamma, norm.beta, norm.extremes
    tape.values[output] = tape.scaled(op, *inputs, name=output)


def _add(tape: Tape, node: Node) -> None:
    pairs = [name for x in node.inputs for name in (tape.values[x].value, tape.values[x].scale)]
    tape.values[node.outputs[0]] = tape.scaled(t.AlignedAdd(), *pairs, name=node.outputs[0])


def _concat(tape: Tape, node: Node) -> None:
    assert isinstance(node.op, ops.Concat)
    pairs = [name for x in node.inputs for name in (tape.values[x].value, tape.values[x].scale)]
    tape.values[node.outputs[0]] = tape.scaled(t.AlignedConcat(node.op.axis), *pairs, name=node.outputs[0])


def _max_pool(tape: Tape, node: Node) -> None:
    assert isinstance(node.op, ops.MaxPool2D)
    x, output = tape.narrow(node.inputs[0]), node.outputs[0]
    op = t.MaxPoolIndexed(node.op.kernel, node.op.stride, node.op.padding)
    value, index = tape.builder.add_many(op, x.value, name=output)
    tape.values[output], tape.masks[output] = Scaled(value, x.scale), index


def _resize(tape: Tape, node: Node) -> None:
    assert isinstance(node.op, ops.ResizeBilinear)
    output, op = node.outputs[0], node.op
    bits = tape.config.logit_bits if output in tape.scores else None
    x = tape.narrow(node.inputs[0], bits)
    if tape.builder.shape(x.value)[1:3] == (1, 1):
        value = tape.add(t.BroadcastSpatial(op.size), x.value, name=output)
        tape.values[output] = Scaled(value, x.scale)
        return
    forward = t.BilinearForward(op.size, op.align_corners, op.half_pixel_centers)
    tape.values[output] = tape.scaled(forward, x.value, x.scale, name=output)


def _mean(tape: Tape, node: Node) -> None:
    x = tape.narrow(node.inputs[0])
    tape.values[node.outputs[0]] = tape.scaled(t.MeanForward(), x.value, x.scale, name=node.outputs[0])


def _labels(tape: Tape, node: Node) -> None:
    scores = tape.narrow(node.inputs[0], tape.config.logit_bits)
    tape.values[node.inputs[0]] = scores
    if not tape.training:
        tape.add(node.op, scores.value, name=node.outputs[0])


def run_forward(tape: Tape, node: Node) -> None:
    """Write a node of the float network, and its dropout where one follows."""
    FORWARD[type(node.op)](tape, node)
    for name in node.outputs:
        if tape.training and name in tape.config.dropout:
            x = tape.values[name]
            value, scale, mask = tape.builder.add_many(t.Dropout(1), x.value, x.scale, KEY, name=f"{name}.dropout")
            tape.values[name], tape.masks[name] = Scaled(value, scale), mask


FORWARD: Mapping[type[Op], Rule] = {
    ops.Conv2D: _convolution,
    ops.TransposeConv2D: _convolution,
    ops.BatchNorm: _batch_norm,
    ops.Relu: _relu,
    ops.Add: _add,
    ops.Concat: _concat,
    ops.MaxPool2D: _max_pool,
    ops.ResizeBilinear: _resize,
    ops.Mean: _mean,
    ops.ArgMax: _labels,
}
"""Every operator that can be trained through."""
