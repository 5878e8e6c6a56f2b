"""The state that training begins with, from float weights: everything brought into the grids of the parameters.

A batch norm cancels any gain of the filters before it. So each such filter w becomes k w with a norm of sqrt(2) (and
|k w| <= 0.98), and one float run over some images measures mean and deviation of every channel, from which gamma =
deviation * gain / k and beta = mean * gain / k + offset: the same network, in +-1 and +-2.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from simulator.errors import InputError
from simulator.graph import ops
from simulator.graph.builder import GraphBuilder
from simulator.graph.graph import Graph, Node
from simulator.numerics.formats import FLOAT32
from workloads.network import ImageInput
from workloads.quantization.float_ops import FUNCTIONS, norm_affine
from workloads.training.config import Norm, TrainingConfig
from workloads.training.derive import IMAGE_EXPONENT, TrainingStep, velocity_name
from workloads.training.forward_rules import guard_bits, running_names
from workloads.training.parameters import Parameter
from workloads.training.pretrained import Pretrained

_FILTER_NORM = 2**0.5
_GREATEST_WEIGHT = 0.98
_FRESH_SCORE = 0.25
"""Scores that are not pretrained begin near 0, so that all classes begin alike."""

Floats = NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class InitialState:
    """All inputs of the first step but the batch: parameters, running statistics, velocities."""

    arrays: dict[str, NDArray[np.int32]]
    clipped: Mapping[str, int]
    """Parameter -> how many of its values lay outside its grid."""


def weight_shifts(pretrained: Pretrained) -> dict[str, int]:
    """Return for each weight that no batch norm follows the greatest shift s with |w| < 2^-s."""
    normed = _normed_layers(pretrained.graph)
    shifts = {}
    for node in pretrained.graph.nodes:
        if isinstance(node.op, ops.Conv2D | ops.TransposeConv2D) and node.name not in normed:
            data = pretrained.graph.tensors[node.inputs[1]].data
            assert data is not None
            greatest = float(np.abs(data).max())
            shifts[node.inputs[1]] = max(0, int(np.floor(-np.log2(greatest / _GREATEST_WEIGHT)))) if greatest else 0
    return shifts


def initial_state(
    pretrained: Pretrained, step: TrainingStep, image_input: ImageInput, images: NDArray[np.int16]
) -> InitialState:
    """Bring a float network into the grids of a training step.

    Parameters
    ----------
    pretrained
        The float network that `step` was derived from, with weights.
    step
        The step.
    image_input
        How that network took its images.
    images
        Some of the training images, as the step takes them: int16 [n, height, width, channels].

    Raises
    ------
    InputError
        No image.

    """
    if not len(images):
        raise InputError("the first state is measured on images of the training split; there is none")
    constants = {
        name: tensor.data.astype(np.float32)
        for name, tensor in pretrained.graph.tensors.items()
        if tensor.data is not None
    }
    _to_our_images(pretrained, constants, image_input)
    gains = _rescale_filters(pretrained, constants)
    averages = _measure(pretrained, constants, gains, images, step.config)
    arrays: dict[str, NDArray[np.int32]] = {}
    clipped = {}
    for parameter in step.parameters:
        arrays[parameter.name], clipped[parameter.name] = to_master(constants[parameter.name], parameter)
    arrays |= averages
    if step.config.momentum is not None:
        for parameter in filter(lambda given: given.trained, step.parameters):
            arrays[velocity_name(parameter.name)] = np.zeros(parameter.shape, np.int32)
    return InitialState(arrays, {name: count for name, count in clipped.items() if count})


def to_master(values: NDArray[Any], parameter: Parameter) -> tuple[NDArray[np.int32], int]:
    """Return real values on the grid of a master copy, and how many were clipped."""
    steps = np.floor(np.ldexp(values.astype(np.float64), -parameter.master_exponent) + 0.5)
    limit = parameter.master_limit
    return np.clip(steps, -limit, limit).astype(np.int32), int((np.abs(steps) > limit).sum())


def _to_our_images(pretrained: Pretrained, constants: dict[str, Floats], image_input: ImageInput) -> None:
    """Let a pretrained network take (pixel - mean) / 64: its first filters, or, without norms, all its biases."""
    graph = pretrained.graph
    normed = _normed_layers(graph)
    deviation = np.asarray(image_input.std or (1.0,), np.float32)
    factor = np.float32(2.0**-IMAGE_EXPONENT) / deviation
    for node in graph.nodes:
        if not isinstance(node.op, ops.Conv2D) or node.name not in pretrained.layers:
            continue
        if node.inputs[0] in graph.inputs and node.name in normed:
            constants[node.inputs[1]] = constants[node.inputs[1]] * factor
        if not normed and len(node.inputs) > 2 and node.inputs[2]:
            constants[node.inputs[2]] = constants[node.inputs[2]] / factor.mean()


def _normed_layers(graph: Graph) -> frozenset[str]:
    """Convolutions whose only reader is a batch norm."""
    readers: dict[str, list[Node]] = {}
    for node in graph.nodes:
        for name in filter(None, node.inputs):
            readers.setdefault(name, []).append(node)
    return frozenset(
        node.name
        for node in graph.nodes
        if isinstance(node.op, ops.Conv2D | ops.TransposeConv2D)
        and [type(reader.op) for reader in readers.get(node.outputs[0], [])] == [ops.BatchNorm]
    )


def _rescale_filters(pretrained: Pretrained, constants: dict[str, Floats]) -> dict[str, Floats]:
    """Rescale every filter before a batch norm; return by convolution's output what it was multiplied by."""
    gains = {}
    normed = _normed_layers(pretrained.graph)
    last = pretrained.graph.nodes[-1].inputs[0]
    for node in pretrained.graph.nodes:
        if not isinstance(node.op, ops.Conv2D | ops.TransposeConv2D):
            continue
        weights = constants[node.inputs[1]]
        if node.name in normed:
            flat = weights.reshape(len(weights), -1)
            gain = _FILTER_NORM / np.maximum(np.sqrt(np.square(flat, dtype=np.float64).sum(axis=1)), 1e-6)
            greatest = np.abs(flat).max(axis=1) * gain
            gain = np.where(greatest > _GREATEST_WEIGHT, gain * _GREATEST_WEIGHT / np.maximum(greatest, 1e-12), gain)
            gains[node.outputs[0]] = gain.astype(np.float32)
            constants[node.inputs[1]] = weights * gains[node.outputs[0]].reshape(-1, 1, 1, 1)
        elif (
            isinstance(node.op, ops.Conv2D)
            and node.name not in pretrained.layers
            and _feeds(pretrained.graph, node, last)
        ):
            constants[node.inputs[1]] = weights * np.float32(_FRESH_SCORE)
    return gains


def _feeds(graph: Graph, node: Node, last: str) -> bool:
    """Whether a convolution's output reaches the labels through no other convolution but transposed ones."""
    makers = {name: maker for maker in graph.nodes for name in maker.outputs}
    seen, wanted = [last], set()
    while seen:
        name = seen.pop()
        maker = makers.get(name)
        if maker is None:
            continue
        wanted.add(name)
        if not isinstance(maker.op, ops.Conv2D):
            seen += maker.inputs[:1] if isinstance(maker.op, ops.TransposeConv2D) else maker.inputs
    return node.outputs[0] in wanted


def _measure(
    pretrained: Pretrained,
    constants: dict[str, Floats],
    gains: Mapping[str, Floats],
    images: NDArray[np.int16],
    config: TrainingConfig,
) -> dict[str, NDArray[np.int32]]:
    """Run the float network once; set gamma and beta as its norms are met, and return the running statistics."""
    averages: dict[str, NDArray[np.int32]] = {}
    if not gains:
        return averages
    graph = with_batch(pretrained.graph, len(images))
    values: dict[str, Floats] = {graph.inputs[0]: np.ldexp(images.astype(np.float32), IMAGE_EXPONENT)}
    readers = {name: index for index, node in enumerate(graph.nodes) for name in node.inputs}
    makers = {name: node.name for node in graph.nodes for name in node.outputs}
    for index, node in enumerate(graph.nodes[:-1]):
        if isinstance(node.op, ops.BatchNorm):
            fresh = makers.get(node.inputs[0]) not in pretrained.layers
            gain = gains.get(node.inputs[0], np.float32(1))
            result, mean, deviation = _normalize(node, values[node.inputs[0]], constants, gain, fresh, config)
            for name, statistic in zip(running_names(node), (mean, deviation), strict=True):
                averages[name] = _average(statistic, config)
        else:
            inputs = [values[name] if name in values else constants[name] for name in filter(None, node.inputs)]
            result = FUNCTIONS[type(node.op)](node.op, inputs, graph.tensors[node.outputs[0]].shape)
        values[node.outputs[0]] = result
        for name in node.inputs:
            if readers[name] == index:
                values.pop(name, None)
    return averages


def _normalize(
    node: Node, x: Floats, constants: dict[str, Floats], gain: Floats | np.float32, fresh: bool, config: TrainingConfig
) -> tuple[Floats, NDArray[np.float64], NDArray[np.float64]]:
    """Return output, mean and deviation of a norm; gamma and beta change so that a pretrained one stays the same."""
    assert isinstance(node.op, ops.BatchNorm)
    rows = x.reshape(-1, x.shape[-1])
    mean = rows.mean(axis=0, dtype=np.float64)
    centred = rows - mean.astype(np.float32)
    if config.norm is Norm.L1:
        deviation = np.abs(centred).mean(axis=0, dtype=np.float64)
    else:
        deviation = np.sqrt(np.square(centred, dtype=np.float64).mean(axis=0))
    deviation += 2.0**-10
    if not fresh:
        slope, offset = norm_affine(node.op, *(constants[name] for name in node.inputs[1:]))
        constants[node.inputs[1]] = (deviation * slope / gain).astype(np.float32)
        constants[node.inputs[2]] = (mean * slope / gain + offset).astype(np.float32)
    gamma, beta = constants[node.inputs[1]], constants[node.inputs[2]]
    result = centred * (gamma / deviation.astype(np.float32)) + beta
    return result.reshape(x.shape), mean, deviation


def _average(statistic: NDArray[np.float64], config: TrainingConfig) -> NDArray[np.int32]:
    limit = (1 << (config.statistics_bits - 1)) - 1
    guard = guard_bits(config.statistics_bits)
    steps = np.floor(np.ldexp(statistic, guard - config.statistics_exponent) + 0.5)
    return np.clip(steps, -(limit << guard), limit << guard).astype(np.int32)


def with_batch(graph: Graph, batch: int) -> Graph:
    """Return a float network of batch 1 for `batch` images, by the same nodes."""
    builder = GraphBuilder(graph.name)
    for tensor in graph.tensors.values():
        if tensor.name in graph.inputs:
            builder.input(tensor.name, (batch, *tensor.shape[1:]), FLOAT32)
        elif tensor.is_constant:
            builder.placeholder(tensor.name, tensor.shape, tensor.format)
    for node in graph.nodes:
        builder.add(node.op, *node.inputs, name=node.outputs[0])
    built = builder.build(graph.outputs)
    # Nodes keep their names, which need not be those of their outputs.
    nodes = tuple(replace(new, name=old.name) for new, old in zip(built.nodes, graph.nodes, strict=True))
    return replace(built, nodes=nodes)
