"""Whole networks and who runs them besides us, from input array to output array."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import bittrue
from benchmarks.litert import default_interpreter, invoke
from benchmarks.onnx_qdq import onnx_input, qdq_model
from benchmarks.onnx_runtime import Setting, check_fused, open_session, optimised_operators, settings
from bittrue import Network
from workloads.images import demo_photo, prepare_image

Runner = Callable[[], NDArray[Any]]
"""One inference; returns the label map."""
MNV2_FILE = "deeplabv3_mnv2_dm05_pascal_quant.tflite"


@dataclass(frozen=True, eq=False)
class Rival:
    """Somebody else's implementation of the same quantized network."""

    name: str
    start: Callable[[int], Runner]
    """Number of threads -> what is timed."""
    operators: Counter[str] = field(default_factory=Counter)
    """Operators it runs after its own optimisations; empty where it does not tell."""


@dataclass(frozen=True, eq=False)
class NetworkCase:
    """A quantized network, an input, its rivals, and how much slower than they we may be."""

    name: str
    network: Network
    source: Path
    """File that `load_network` reads it from."""
    inputs: Mapping[str, NDArray[Any]]
    rivals: tuple[Rival, ...]
    targets: Mapping[int, float]
    """Number of threads -> our time over the rival's."""

    def our_runner(self, accelerator: bittrue.Accelerator, threads: int | None) -> Runner:
        """Return our run, prepared, from inputs to label map; threads None = all cores."""
        prepared = bittrue.prepare(self.network, accelerator, values_only=True, threads=threads)
        output = self.network.graph.outputs[0]
        return lambda: prepared.run(self.inputs).outputs[output]


def calibrated_network(name: str, size: int) -> Network:
    """Return a built-in network with seeded weights, quantized on the photograph."""
    variant = {"variant": "32s"} if name == "fcn_vgg16" else {}
    return bittrue.load_network(name, size=size, weights="seeded", **variant).quantize(demo_photo())


def seeded_case(name: str, size: int, folder: Path) -> NetworkCase:
    """Return a built-in network against ONNX Runtime; it is kept in `folder`.

    Raises
    ------
    NotFused
        ONNX Runtime would run a convolution in float32.

    """
    network = calibrated_network(name, size)
    inputs = prepare_image(network, demo_photo())
    rivals = tuple(_onnx_rival(network, inputs, setting) for setting in settings())
    path = network.save(folder / f"{name}.npz")
    return NetworkCase(f"{name} @{size}", network, path, inputs, rivals, {1: 1.10, 2: 1.15})


def _onnx_rival(network: Network, inputs: Mapping[str, NDArray[Any]], setting: Setting) -> Rival:
    model = qdq_model(network.graph).SerializeToString()
    operators = optimised_operators(model, setting)
    check_fused(operators)
    feed = {t.name: onnx_input(t, inputs[t.name]) for t in network.graph.input_tensors}

    def start(threads: int) -> Runner:
        session = open_session(model, threads, setting)
        return lambda: session.run(None, feed)[0]

    return Rival(f"ORT {setting}", start, operators)


def mnv2_case() -> NetworkCase | None:
    """Return the real MobileNetV2-DeepLab against XNNPACK, or None where $BITTRUE_ASSETS does not lead to it."""
    path = Path(os.environ.get("BITTRUE_ASSETS", "")) / "assets" / MNV2_FILE
    if not path.is_file():
        return None
    network = bittrue.load_network(path)
    inputs = prepare_image(network, demo_photo())
    (x,) = inputs.values()
    model = path.read_bytes()

    def start(threads: int) -> Runner:
        return partial(invoke, default_interpreter(model, threads), x)

    return NetworkCase("mnv2 (file)", network, path, inputs, (Rival("XNNPACK", start),), {1: 2.0, 2: 2.0})


def differing_share(ours: NDArray[Any], theirs: NDArray[Any]) -> float:
    """Share of labels that are not equal; a different shape is an error."""
    if ours.shape != theirs.shape:
        raise ValueError(f"label maps of {ours.shape} and {theirs.shape}")
    return float(np.mean(ours != theirs))
