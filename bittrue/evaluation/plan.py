"""What is to be evaluated: the network on each machine, the samples, and how they meet."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bittrue.api import PreparedRun, prepare
from simulator.accelerator.spec import Accelerator
from simulator.errors import InputError, NetworkError
from simulator.execution.sweep import REFERENCE_BITS, sweep_widths
from simulator.numerics.modes import OverflowMode
from simulator.records.evaluation import DEVICE, FLOAT, REGISTERS
from simulator.records.hashing import content_hash
from simulator.reuse import identity
from workloads.datasets import Dataset
from workloads.datasets.matching import ClassMatch, match_classes
from workloads.fitting import Fit, fit_image, place, zero_pixel
from workloads.images import image_input, image_shape
from workloads.network import Network

Progress = Callable[[int, int, str], None]


@dataclass(frozen=True)
class Machine:
    """One row of the result."""

    kind: str
    """float, device or registers."""
    accumulator_bits: int | None = None
    """Width of the accumulator; None in float."""
    partial_sum_bits: int | None = None
    """Width of the partial-sum register; None in float and where there is none."""


@dataclass(frozen=True, eq=False)
class Plan:
    """Everything that decides the scores. Make it with `make_plan`."""

    network: Network
    """The integer network."""
    float_network: Network | None
    """The float network to compare with, or None."""
    prepared: PreparedRun
    """The integer network lowered for the device."""
    dataset: Dataset
    """The samples."""
    match: ClassMatch
    """The data set's classes in those of the network."""
    fit: Fit
    """How images meet the input."""
    machines: tuple[Machine, ...]
    """Rows of the result, in order."""
    limit: int
    """How many samples are to be evaluated: the first ones."""
    notes: tuple[str, ...]
    """What the reader must know."""

    @property
    def classes(self) -> int:
        """How many classes the network tells apart."""
        return len(self.match.classes)

    def key(self) -> dict[str, Any]:
        """Return what must be the same for finished images to be kept; not how many images are wanted."""
        engine = self.prepared.engine
        spec = engine.accelerator.model_dump(mode="json", exclude_none=True)
        twin = self.float_network
        return {
            "network": self.network.name,
            "network_hash": identity(self.network.graph).network_hash,
            "float_network_hash": None if twin is None else identity(twin.graph).network_hash,
            "accelerator": engine.accelerator.name,
            "spec_hash": content_hash(spec, engine.table.model_dump(mode="json")),
            "dataset": self.dataset.name,
            "split": self.dataset.split,
            "samples_hash": content_hash({"names": list(self.dataset.names)}, {}),
            "fit": self.fit,
            "classes": [int(label) for label in self.match.table],
            "machines": [[m.kind, m.accumulator_bits, m.partial_sum_bits] for m in self.machines],
            "seed": engine.options.seed,
        }


def make_plan(
    network: Network,
    accelerator: Accelerator,
    dataset: Dataset,
    *,
    float_network: Network | None,
    widths: Sequence[int],
    class_map: Mapping[str, str] | None,
    fit: Fit,
    limit: int | None,
    threads: int | None,
    seed: int,
) -> Plan:
    """Check that all parts suit each other, and lower the network; see `bittrue.evaluate` for what is refused."""
    if limit is not None and (isinstance(limit, bool) or not isinstance(limit, int) or limit < 1):
        raise InputError(f"limit is a whole number from 1, not {limit!r}")
    place((1, 1), (1, 1), fit)
    names, count = _classes_of(network)
    match = match_classes(names, count, dataset, class_map)
    if float_network is not None:
        _check_twin(float_network, count)
    image_input(network)
    asked = _widths_needed(accelerator, sweep_widths(widths))
    prepared = prepare(
        network, accelerator, values_only=True, threads=threads, seed=seed, accumulator_sweep=asked or None
    )
    machines = (Machine(FLOAT),) if float_network is not None else ()
    notes = (*network.notes, *((match.note,) if match.note else ()))
    return Plan(
        network=network,
        float_network=float_network,
        prepared=prepared,
        dataset=dataset,
        match=match,
        fit=fit,
        machines=(*machines, *_integer_machines(accelerator, asked)),
        limit=len(dataset) if limit is None else min(limit, len(dataset)),
        notes=notes,
    )


def _integer_machines(accelerator: Accelerator, widths: Sequence[int]) -> tuple[Machine, ...]:
    inner = accelerator.partial_sum
    device = Machine(DEVICE, accelerator.arithmetic.accumulator.bits, None if inner is None else inner.bits)
    return (device, *(Machine(REGISTERS, width, None if inner is None else width) for width in widths))


def _widths_needed(accelerator: Accelerator, widths: tuple[int, ...]) -> tuple[int, ...]:
    """Add the reference, so that overflow can be told from quantization, where the device itself is not it."""
    registers = [r for r in (accelerator.arithmetic.accumulator, accelerator.partial_sum) if r is not None]
    if all(register.bits == REFERENCE_BITS for register in registers) and not widths:
        return ()
    if any(register.overflow is OverflowMode.TRAP for register in registers):
        return widths  # a device that stops at the first overflow loses nothing to it, and cannot be swept
    return tuple(sorted({*widths, REFERENCE_BITS}))


def _classes_of(network: Network) -> tuple[tuple[str, ...], int]:
    """Names of the classes, and how many there are."""
    shown = network.segmentation
    if shown is None:
        raise NetworkError(
            f"{network.name} is no segmentation network: none of its outputs is a label map [1, H, W] or scores "
            "[1, H, W, classes]"
        )
    tensor = network.graph.tensors[shown.output]
    count = tensor.shape[3] if len(tensor.shape) == 4 and tensor.shape[3] > 1 else len(shown.class_names)
    names = shown.class_names if len(shown.class_names) == count else ()
    if not count:
        raise NetworkError(
            f"{network.name}: its output {shown.output} holds labels, but of how many classes is not said"
        )
    return names, count


def _check_twin(network: Network, count: int) -> None:
    if not network.is_float:
        raise NetworkError(f"{network.name} is given as the float network, but computes in integers")
    if not network.has_weights:
        network.ready(for_values=True)
    theirs = _classes_of(network)[1]
    if theirs != count:
        raise NetworkError(f"the float network tells {theirs} classes apart, the integer one {count}")
    image_input(network)


def network_pixels(network: Network, image: NDArray[np.uint8], fit: Fit) -> NDArray[np.uint8]:
    """Return an image as pixels of a network's input, uint8 [height, width, channels]."""
    height, width, _ = image_shape(image_input(network)[0])
    return fit_image(image, place(image.shape[:2], (height, width), fit), zero_pixel(network))
