"""A network trained here, as a float network: to be quantized, run, evaluated and exported like any other."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from simulator.errors import InputError, NetworkError
from simulator.graph import ops
from simulator.graph.graph import Graph
from simulator.records.run import Segmentation
from workloads.nets import registry
from workloads.network import ImageInput, Network
from workloads.training.checkpoint import CheckpointError, newest, read_checkpoint
from workloads.training.config import TrainingConfig
from workloads.training.derive import IMAGE_EXPONENT
from workloads.training.forward_rules import guard_bits, running_names
from workloads.training.parameters import find_parameters
from workloads.training.samples import image_mean

_COMPACT = ("deeplabv3_resnet50", "fcn_vgg16")
"""Networks that are trained in their layout "compact" where no other is asked for."""


def build_network(
    name: str, keywords: Mapping[str, Any], size: int | tuple[int, int], classes: int, seed: int
) -> Network:
    """Return the float network of a training run, with seeded weights.

    Raises
    ------
    InputError
        A keyword that training decides itself.
    NetworkError
        What the network refuses.

    """
    given = dict(keywords)
    if name in _COMPACT:
        given = {"layout": "compact", **given}
    fixed = {"size": size, "classes": classes, "weights": "seeded", "seed": seed}
    taken = sorted(set(given) & set(fixed))
    if taken:
        raise InputError(f"--net {taken[0]}: training decides it, by --size, the data set, --pretrained and --seed")
    return registry.build(name, **given, **fixed)


def newest_trained(folder: Path) -> Path:
    """Return the newest checkpoint of a run folder; NetworkError where it has none."""
    path = newest(folder)
    if path is None:
        raise NetworkError(
            f"{folder}: a folder without checkpoint; a network is a file, or a folder of `bittrue train`"
        )
    return path


def trained_network(path: Path, size: int | tuple[int, int] | None = None) -> Network:
    """Read a checkpoint of `bittrue train` as a float network.

    Weights, gamma and beta are the master copies; a batch norm divides by the running deviation that training kept
    (mean absolute deviation where its norm is L1), written as gain and offset. Nothing is rounded.

    Parameters
    ----------
    path
        The checkpoint.
    size
        Side, or height and width, of the images that the network is to take; None = as in training.

    Raises
    ------
    NetworkError
        A damaged checkpoint, one whose arrays do not fit its network, or a size that the network refuses.

    """
    try:
        stored = read_checkpoint(path)
        about = dict(stored.about)
        config = TrainingConfig.from_dict(about["config"])
        names = tuple(about["classes"])
        network = build_network(about["network"], about["net"], size or tuple(about["size"]), len(names), about["seed"])
        data = _constants(network.graph, config, about["weight_shifts"], stored.state)
    except CheckpointError as error:
        raise NetworkError(str(error)) from None
    except (KeyError, TypeError, ValueError) as error:
        raise NetworkError(
            f"{path}: the checkpoint does not fit its network ({type(error).__name__}: {error})"
        ) from None
    tensors = {
        name: replace(tensor, data=data[name]) if name in data else tensor
        for name, tensor in network.graph.tensors.items()
    }
    palette = tuple((red, green, blue) for red, green, blue in about["palette"])
    note = f"trained in integers on {about['dataset']}, {stored.step} of {about['steps']} steps, seed {about['seed']}"
    return Network(
        replace(network.graph, tensors=tensors),
        ImageInput(tuple(float(value) for value in image_mean(network.image)), (2.0**-IMAGE_EXPONENT,) * 3),
        Segmentation(network.graph.outputs[0], names, palette),
        (note,),
    )


def _constants(
    graph: Graph, config: TrainingConfig, shifts: Mapping[str, int], state: Mapping[str, NDArray[Any]]
) -> dict[str, NDArray[np.float32]]:
    """Return values of all constants of the float network, float32."""
    data = {
        parameter.name: _real(state[parameter.name], parameter.master_exponent, parameter.shape)
        for parameter in find_parameters(graph, config, shifts).values()
    }
    exponent = config.statistics_exponent - guard_bits(config.statistics_bits)
    for node in graph.nodes:
        if isinstance(node.op, ops.BatchNorm):
            gamma, _, mean, variance = node.inputs[1:]
            shape = graph.tensors[gamma].shape
            data[mean], deviation = (_real(state[name], exponent, shape) for name in running_names(node))
            if not (deviation > 0).all():
                raise ValueError(f"{running_names(node)[1]} is not above 0 everywhere")
            # Variance 1 and a gain that makes up for epsilon: whatever the deviation was, of either norm.
            data[gamma] = data[gamma] / deviation * np.float32(np.sqrt(1 + node.op.epsilon))
            data[variance] = np.ones(shape, np.float32)
    return data


def _real(steps: NDArray[Any], exponent: int, shape: tuple[int, ...]) -> NDArray[np.float32]:
    if steps.shape != shape or steps.dtype != np.int32:
        raise ValueError(f"{steps.dtype} {steps.shape} where int32 {shape} is wanted")
    return np.ldexp(steps.astype(np.float64), exponent).astype(np.float32)
