"""The accuracy that a design point's registers cost: labels that are not those of 32-bit registers, or mIoU.

Values depend on arithmetic, dataflow and, weight stationary, the rows of the array: points that agree in these share
them.
"""

from __future__ import annotations

import json
from collections.abc import Hashable, Mapping
from dataclasses import dataclass, field
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np
from numpy.typing import NDArray

from bittrue.api import prepare
from bittrue.quantization import choose_quantization
from bittrue.sweeping.labelled import miou_loss
from simulator.accelerator.spec import Accelerator
from simulator.errors import InputError
from simulator.execution.sweep_errors import label_disagreement
from simulator.graph.graph import Graph
from simulator.numerics.modes import Dataflow
from workloads.images import image_input, image_shape, load_image, prepare_image
from workloads.network import Network

Pixels = NDArray[np.uint8]

_PATCH = 8
"""Side of the patches of one colour that a drawn image consists of, pixels."""
_REFERENCE = {"arithmetic.accumulator": {"bits": 32, "overflow": "wrap"}, "arithmetic.partial_sum": None}


@dataclass
class _Known:
    """What was computed of a network."""

    integer: dict[Hashable, tuple[Network, list[Pixels]]] = field(default_factory=dict)
    labels: dict[Hashable, list[NDArray[Any]]] = field(default_factory=dict)
    """Of 32-bit registers."""
    losses: dict[Hashable, float] = field(default_factory=dict)


_known: WeakKeyDictionary[Graph, _Known] = WeakKeyDictionary()


def figure_of_values(network: Network, accelerator: Accelerator, accuracy: Mapping[str, Any]) -> dict[str, float]:
    """Return ``accuracy_loss``, or where `accuracy` names a data set ``miou_loss``."""
    if "dataset" not in accuracy:
        return {"accuracy_loss": accuracy_loss(network, accelerator, accuracy)}
    known = _known.setdefault(network.graph, _Known())
    key = json.dumps(accuracy, sort_keys=True), *_decides_values(accelerator)
    if key not in known.losses:
        known.losses[key] = miou_loss(network, accelerator, accuracy)
    return {"miou_loss": known.losses[key]}


def accuracy_loss(network: Network, accelerator: Accelerator, accuracy: Mapping[str, Any]) -> float:
    """Return the share of pixels whose label differs from that of the same device with 32-bit registers.

    Parameters
    ----------
    network
        Integer, or float and then quantized as the device needs, calibrated on the images.
    accuracy
        ``images`` and ``seed``, see `bittrue.sweeping.space.Accuracy`.

    Raises
    ------
    InputError
        A network that does not segment images.
    NetworkError
        A network without weights.
    OverflowTrap
        An overflow in a register whose mode is trap.

    """
    if network.segmentation is None:
        raise InputError(f"{network.name} does not label pixels, so it has no accuracy_loss")
    known = _known.setdefault(network.graph, _Known())
    images = json.dumps(accuracy, sort_keys=True)
    key = images, *_decides_values(accelerator)
    if key not in known.losses:
        reference = accelerator.evolve(_REFERENCE)
        reference_key = images, *_decides_values(reference)
        if reference_key not in known.labels:
            known.labels[reference_key] = _outputs(network, reference, accuracy, known)
        found = _outputs(network, accelerator, accuracy, known)
        shares = [label_disagreement(a, b) for a, b in zip(found, known.labels[reference_key], strict=True)]
        if None in shares:
            raise InputError(f"{network.name}: its output {network.segmentation.output} is no map of labels or scores")
        known.losses[key] = sum(share or 0.0 for share in shares) / len(shares)
    return known.losses[key]


def _decides_values(accelerator: Accelerator) -> tuple[Hashable, ...]:
    array = accelerator.array
    rows = array.rows if array.dataflow is Dataflow.WEIGHT_STATIONARY else 0
    return accelerator.arithmetic.model_dump_json(), array.dataflow, rows


def _outputs(
    network: Network, accelerator: Accelerator, accuracy: Mapping[str, Any], known: _Known
) -> list[NDArray[Any]]:
    """Return the labels or scores of every image."""
    quantization = choose_quantization(accelerator, None, "minmax")
    key = json.dumps(accuracy, sort_keys=True), quantization.scheme
    if key not in known.integer:
        pixels = _pixels(network, accuracy)
        integer = network.quantize(pixels, quantization.scheme) if network.is_float else network
        known.integer[key] = integer, pixels
    integer, pixels = known.integer[key]
    assert integer.segmentation is not None
    prepared = prepare(integer, accelerator, values_only=True)
    return [prepared.run(prepare_image(integer, image)).outputs[integer.segmentation.output] for image in pixels]


def _pixels(network: Network, accuracy: Mapping[str, Any]) -> list[Pixels]:
    height, width, channels = image_shape(image_input(network)[0])
    images = accuracy["images"]
    if not isinstance(images, int):
        return [load_image(name, (height, width), channels) for name in images]
    generator = np.random.default_rng(accuracy["seed"])
    patches = (-(-height // _PATCH), -(-width // _PATCH), channels)
    drawn = [generator.integers(256, size=patches, dtype=np.uint8) for _ in range(images)]
    return [image.repeat(_PATCH, 0).repeat(_PATCH, 1)[:height, :width].copy() for image in drawn]
