"""One image through every machine of a plan: read, run, count."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bittrue.evaluation.plan import Plan, network_pixels
from simulator.records.evaluation import DEVICE, FLOAT
from workloads.datasets import Sample
from workloads.datasets.matching import IGNORED
from workloads.fitting import labels_on_image, place
from workloads.images import image_input, image_shape, prepare_image
from workloads.metrics import Confusion, confusion
from workloads.network import Network

Arrays = Mapping[str, NDArray[Any]]


@dataclass(frozen=True, eq=False)
class ReadySample:
    """A sample, and what the networks run on."""

    sample: Sample
    inputs: Arrays
    """Inputs of the integer network."""
    float_inputs: Arrays | None
    """Inputs of the float network, where there is one."""


@dataclass(frozen=True, eq=False)
class Predicted:
    """What each machine made of a sample."""

    sample: Sample
    outputs: tuple[tuple[Network, NDArray[Any]], ...]
    """One for each machine of the plan: the network, and its output of labels or scores."""
    events: tuple[int | None, ...]
    """Overflow events of each machine; None in float."""


@dataclass(frozen=True, eq=False)
class MachineScore:
    """What one machine made of one image."""

    confusion: Confusion
    """Pixels by true and predicted class."""
    events: int | None
    """Overflow events; None in float."""


@dataclass(frozen=True, eq=False)
class ImageScore:
    """What all machines made of one image."""

    sample: str
    """Name of the sample."""
    machines: tuple[MachineScore, ...] = field(default=())
    """One for each machine of the plan."""


def read_sample(plan: Plan, index: int) -> ReadySample:
    """Read sample `index` and prepare it for the networks; SampleError where a file cannot be used."""
    sample = plan.dataset.sample(index)
    inputs = prepare_image(plan.network, network_pixels(plan.network, sample.image, plan.fit))
    twin = plan.float_network
    floats = None if twin is None else prepare_image(twin, network_pixels(twin, sample.image, plan.fit))
    return ReadySample(sample, inputs, floats)


def predict(plan: Plan, ready: ReadySample) -> Predicted:
    """Run a sample on every machine."""
    run = plan.prepared.run(ready.inputs)
    points = {point.accumulator_bits: point for point in run.record.accumulator_sweep}
    found: list[tuple[Network, NDArray[Any]]] = []
    events: list[int | None] = []
    for machine in plan.machines:
        if machine.kind == FLOAT:
            found.append(_float_output(plan, ready))
            events.append(None)
            continue
        outputs = run.outputs
        if machine.kind == DEVICE or machine.accumulator_bits is None:
            events.append(run.record.overflow_events)
        else:
            outputs = dict(run.sweep_outputs[machine.accumulator_bits])
            events.append(points[machine.accumulator_bits].events)
        found.append((plan.network, outputs[_label_output(plan.network)]))
    return Predicted(ready.sample, tuple(found), tuple(events))


def _float_output(plan: Plan, ready: ReadySample) -> tuple[Network, NDArray[Any]]:
    from workloads.quantization.float_execute import run_float

    assert plan.float_network is not None
    assert ready.float_inputs is not None
    name = _label_output(plan.float_network)
    return plan.float_network, run_float(plan.float_network.graph, ready.float_inputs).outputs[name]


def _label_output(network: Network) -> str:
    assert network.segmentation is not None
    return network.segmentation.output


def score(plan: Plan, predicted: Predicted) -> ImageScore:
    """Count the pixels of a sample by true and predicted class, for every machine; machines that agree count once."""
    truth = plan.match.table[predicted.sample.labels]
    counted: dict[int, Confusion] = {}
    scores = []
    for (network, output), events in zip(predicted.outputs, predicted.events, strict=True):
        if id(output) not in counted:
            labels = predicted_labels(plan, network, output, truth.shape)
            counted[id(output)] = confusion(truth, labels, plan.classes, IGNORED)
        scores.append(MachineScore(counted[id(output)], events))
    return ImageScore(predicted.sample.name, tuple(scores))


def predicted_labels(
    plan: Plan, network: Network, output: NDArray[Any], image: tuple[int, int]
) -> NDArray[np.integer[Any]]:
    """Return the class of each pixel of an image, [H, W].

    Parameters
    ----------
    plan
        Says how the image met the input.
    network, output
        A network, and its output of labels [1, h, w] or [1, h, w, 1] or scores [1, h, w, classes], of which the highest
        wins, the first among equals.
    image
        Height and width of the image.

    """
    labels = output.argmax(axis=3) if output.ndim == 4 and output.shape[3] > 1 else output
    labels = labels.reshape(labels.shape[1:3])
    height, width, _ = image_shape(image_input(network)[0])
    found: NDArray[np.integer[Any]] = labels_on_image(labels, place(image, (height, width), plan.fit))
    return found
