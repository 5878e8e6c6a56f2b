"""Backward half of a step: how each operator hands its error on, and what gradients it leaves."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from simulator.graph import ops
from simulator.graph import training_ops as t
from simulator.graph.graph import Node
from simulator.graph.ops import Op
from simulator.numerics.formats import INT64
from workloads.training.array_gradients import filter_gradient, input_gradient
from workloads.training.config import ErrorQuantizer, Norm
from workloads.training.tape import Scaled, Tape

_OPERAND_BITS = 16
"""Of an operand of the array, at most."""

_NARROW_BITS = 8

Rule = Callable[[Tape, Node, Scaled], None]


def _convolution(tape: Tape, node: Node, error: Scaled) -> None:
    config, output = tape.config, node.outputs[0]
    if tape.bits(error.value) > _OPERAND_BITS:  # else a ReLU or a batch norm has quantized it
        is_output = tape.has_norm or output in tape.scores
        bits = config.output_error_bits if is_output else config.activation_error_bits
        error = tape.narrow_error(output, error, bits)
    layer, x, weights = tape.layers[node.name]
    weight, *bias = node.inputs[1:]
    if tape.parameters[weight].trained:
        gradient = filter_gradient(tape.builder, layer, x.value, error.value)
        scale = tape.product(x.scale, error.scale, f"{weight}.gradient.scale")
        tape.gradients[weight] = Scaled(gradient, scale)
    if bias and bias[0] and tape.parameters[bias[0]].trained:
        total = tape.add(t.ChannelSum(), error.value, name=f"{bias[0]}.gradient")
        tape.gradients[bias[0]] = Scaled(total, error.scale)
    if node.inputs[0] in tape.trains:
        back = input_gradient(tape.builder, layer, weights.value, error.value)
        tape.push(node.inputs[0], Scaled(back, tape.product(error.scale, weights.scale, f"{output}.dgrad.scale")))


def _batch_norm(tape: Tape, node: Node, error: Scaled) -> None:
    config, output = tape.config, node.outputs[0]
    error = tape.narrow_error(output, error, config.activation_error_bits)
    norm = tape.norms[output]
    is_flag = config.error_quantizer is ErrorQuantizer.FLAG
    kind = t.L1NormGradient if config.norm is Norm.L1 else t.L2NormGradient
    bits = None if is_flag else config.output_error_bits
    op = kind(bits, config.scale, 2 - config.affine_bits, config.statistics_exponent)
    inputs = error.value, error.scale, norm.x_hat.value, norm.x_hat.scale, norm.gamma, norm.deviation
    dx, sdx, dgamma, sdgamma, dbeta, sdbeta = tape.builder.add_many(op, *inputs, name=f"{output}.gradient")
    for name, value, scale in ((node.inputs[1], dgamma, sdgamma), (node.inputs[2], dbeta, sdbeta)):
        if tape.parameters[name].trained:
            tape.gradients[name] = Scaled(value, scale)
    result = Scaled(dx, sdx)
    if is_flag:
        flag = t.FlagQuantize(config.output_error_bits, config.scale)
        result = tape.scaled(flag, dx, sdx, name=f"{output}.flagged")
    tape.push(node.inputs[0], result)


def _relu(tape: Tape, node: Node, error: Scaled) -> None:
    output = node.outputs[0]
    error = tape.narrow_error(output, error, tape.config.activation_error_bits)
    # The activation itself, `:0` of the node that quantized it: a dropout may have replaced the tensor's value.
    masked = tape.add(t.ReluGradient(), error.value, f"{output}:0", name=f"{output}.masked")
    tape.push(node.inputs[0], Scaled(masked, error.scale))


def _add(tape: Tape, node: Node, error: Scaled) -> None:
    for name in node.inputs:
        tape.push(name, error)


def _concat(tape: Tape, node: Node, error: Scaled) -> None:
    assert isinstance(node.op, ops.Concat)
    output = node.outputs[0]
    error = tape.narrow_error(output, error, tape.config.activation_error_bits)
    axis = node.op.axis
    sizes = tuple(tape.forward.tensors[name].shape[axis] for name in node.inputs)
    parts = tape.builder.add_many(ops.Split(axis, sizes), error.value, name=f"{output}.split")
    for name, part in zip(node.inputs, parts, strict=True):
        tape.push(name, Scaled(part, error.scale))


def _max_pool(tape: Tape, node: Node, error: Scaled) -> None:
    assert isinstance(node.op, ops.MaxPool2D)
    output, op = node.outputs[0], node.op
    error = tape.narrow_error(output, error, tape.config.activation_error_bits)
    size = tape.forward.tensors[node.inputs[0]].shape[1:3]
    back = t.MaxPoolGradient(op.kernel, op.stride, (size[0], size[1]), op.padding)
    value = tape.add(back, error.value, tape.masks[output], name=f"{output}.gradient")
    tape.push(node.inputs[0], Scaled(value, error.scale))


def _resize(tape: Tape, node: Node, error: Scaled) -> None:
    assert isinstance(node.op, ops.ResizeBilinear)
    output, op, config = node.outputs[0], node.op, tape.config
    bits = config.logit_bits if output in tape.scores else config.activation_error_bits
    error = tape.narrow_error(output, error, bits)
    height, width = tape.forward.tensors[node.inputs[0]].shape[1:3]
    if (height, width) == (1, 1):
        value = tape.add(t.SumSpatial(), error.value, name=f"{output}.gradient")
        tape.push(node.inputs[0], Scaled(value, error.scale))
        return
    back = t.BilinearGradient((height, width), op.align_corners, op.half_pixel_centers)
    # Each input pixel sums the errors of many: of 16 bits they may leave 32.
    format = INT64 if tape.bits(error.value) > _NARROW_BITS else None
    tape.push(node.inputs[0], tape.scaled(back, error.value, error.scale, name=f"{output}.gradient", format=format))


def _mean(tape: Tape, node: Node, error: Scaled) -> None:
    output = node.outputs[0]
    error = tape.narrow_error(output, error, tape.config.activation_error_bits)
    height, width = tape.forward.tensors[node.inputs[0]].shape[1:3]
    back = t.MeanGradient((height, width))
    tape.push(node.inputs[0], tape.scaled(back, error.value, error.scale, name=f"{output}.gradient"))


def run_backward(tape: Tape, node: Node) -> None:
    """Write the backward nodes of a forward node, where an error reaches it."""
    error = tape.pull(node.outputs[0])
    if error is not None:
        BACKWARD[type(node.op)](tape, node, error)


BACKWARD: Mapping[type[Op], Rule] = {
    ops.Conv2D: _convolution,
    ops.TransposeConv2D: _convolution,
    ops.BatchNorm: _batch_norm,
    ops.Relu: _relu,
    ops.Add: _add,
    ops.Concat: _concat,
    ops.MaxPool2D: _max_pool,
    ops.ResizeBilinear: _resize,
    ops.Mean: _mean,
}
