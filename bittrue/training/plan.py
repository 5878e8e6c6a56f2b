"""What is to be trained, on what, how: from names and files to a trainer and its first state."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from zlib import crc32

from accel_models.load import load_energy_table
from simulator.accelerator.spec import Accelerator
from simulator.engine import Options, Prepared
from simulator.engine import prepare as prepare_graph
from simulator.errors import InputError
from simulator.graph.graph import Graph
from workloads.datasets import open_dataset
from workloads.network import Network
from workloads.training.config import ErrorQuantizer, TrainingConfig
from workloads.training.derive import TrainingStep, derive_evaluation, derive_step
from workloads.training.initial import InitialState, initial_state, weight_shifts
from workloads.training.loop import Trainer
from workloads.training.pretrained import Pretrained, with_pretrained
from workloads.training.samples import Samples, class_weights, count_labels, open_samples
from workloads.training.trained import build_network

Progress = Callable[[int, int, str], None]

_MEASURED_IMAGES = 32


@dataclass(frozen=True)
class Request:
    """A training run, as it is asked for."""

    network: str
    """Name of a built-in network."""
    dataset: str
    """KIND:PATH."""
    config: TrainingConfig
    accelerator: Accelerator
    """Whose array computes."""
    net: Mapping[str, Any] = field(default_factory=dict)
    """Keywords of the network, but size, classes, weights and seed."""
    size: tuple[int, int] | None = None
    """Height and width of the images; None = those of the first of the training split."""
    batch: int = 8
    epochs: int | None = None
    """None = `steps` says how long."""
    steps: int | None = None
    seed: int = 0
    """Of order, flips, stochastic rounding, dropout and fresh weights."""
    threads: int | None = None
    pretrained: Path | None = None
    train_split: str = "train"
    validation_split: str = "val"
    shift_weights: bool = False
    """Give each weight without a batch norm behind it the finest grid that holds it, a power of two."""


@dataclass(frozen=True, eq=False)
class Plan:
    """A training run, ready to begin or to go on."""

    trainer: Trainer
    about: Mapping[str, Any]
    """What makes it this run and no other: a checkpoint of another is refused."""
    network: Pretrained
    image: Network

    def first_state(self) -> InitialState:
        """Return the state before the first step."""
        trainer = self.trainer
        images = trainer.train.first_images(trainer.seed, _MEASURED_IMAGES)
        assert self.image.image is not None
        return initial_state(self.network, trainer.step, self.image.image, images)


def make_plan(request: Request, on_progress: Progress | None = None) -> Plan:
    """Open the data, build the network, derive its step and prepare it for the device.

    Raises
    ------
    BittrueError
        Whatever of the request cannot be: the data set, the network, the sizes, the number of steps.

    """
    if request.seed < 0 or request.seed >= 1 << 63:
        raise InputError(f"seed is a whole number from 0 to 2^63 - 1, not {request.seed}")
    dataset = open_dataset(request.dataset, request.train_split)
    validation = open_dataset(request.dataset, request.validation_split)
    size = request.size or _first_size(dataset.sample(0).image.shape)
    network = build_network(request.network, request.net, size, len(dataset.classes), request.seed)
    train = open_samples(dataset, size, request.batch, network.image)
    steps = _steps(request, len(dataset))
    weights = class_weights(count_labels(train, on_progress), request.config.class_weighting)
    pretrained = with_pretrained(network.graph, request.pretrained)
    shifts = weight_shifts(pretrained) if request.shift_weights else {}
    step = derive_step(
        pretrained.graph,
        request.config,
        request.batch,
        class_weights=weights,
        ignore=dataset.ignore_label,
        weight_shifts=shifts,
    )
    evaluation = derive_evaluation(pretrained.graph, request.config, weight_shifts=shifts)
    device = suited(request.accelerator, request.config)
    trainer = Trainer(
        step,
        prepare_values(step.graph, device, request.threads),
        prepare_values(evaluation, device, request.threads),
        train,
        Samples(validation, size, train.mean),
        request.seed,
        steps,
    )
    return Plan(trainer, _about(request, step, trainer, weights, shifts, pretrained), pretrained, network)


def suited(accelerator: Accelerator, config: TrainingConfig) -> Accelerator:
    """Return the device with operands as wide as the errors that it multiplies: E2, or 16 bits of two grids."""
    is_flag = config.error_quantizer is ErrorQuantizer.FLAG
    bits = max(config.activation_error_bits, config.output_error_bits, 16 if is_flag else 0)
    arithmetic = accelerator.arithmetic
    changes = {
        f"arithmetic.{name}": f"int{bits}"
        for name, format in (("activation", arithmetic.activation), ("weight", arithmetic.weight))
        if format.bits < bits
    }
    return accelerator.evolve(changes) if changes else accelerator


def prepare_values(graph: Graph, accelerator: Accelerator, threads: int | None) -> Prepared:
    """Prepare a graph to be computed, not timed."""
    table = load_energy_table(accelerator.energy_table)
    return prepare_graph(graph, accelerator, table, Options(timing=False, threads=threads))


def _first_size(shape: tuple[int, ...]) -> tuple[int, int]:
    return shape[0], shape[1]


def _steps(request: Request, samples: int) -> int:
    if (request.epochs is None) == (request.steps is None):
        raise InputError("say how long to train: --epochs or --steps, one of the two")
    return request.steps if request.steps is not None else (request.epochs or 0) * (samples // request.batch)


def _about(
    request: Request,
    step: TrainingStep,
    trainer: Trainer,
    weights: tuple[int, ...],
    shifts: Mapping[str, int],
    pretrained: Pretrained,
) -> dict[str, Any]:
    dataset = trainer.train.dataset
    spec = request.accelerator.model_dump(mode="json", exclude_none=True)
    about = {
        "network": request.network,
        "net": dict(sorted(request.net.items())),
        "config": request.config.to_dict(),
        "dataset": dataset.name,
        "classes": dataset.classes,
        "palette": dataset.palette,
        "samples": [request.train_split, len(dataset), crc32("\n".join(dataset.names).encode())],
        "size": list(step.size),
        "batch": request.batch,
        "steps": trainer.steps,
        "seed": request.seed,
        "class_weights": list(weights),
        "weight_shifts": dict(shifts),
        "pretrained": sorted(pretrained.layers),
        "arithmetic": spec["arithmetic"],
        "array": {key: spec["array"][key] for key in ("rows", "dataflow")},
    }
    plain: dict[str, Any] = json.loads(json.dumps(about))  # as a checkpoint gives it back
    return plain
