"""Compare every tensor of the real quantized networks with the TFLite reference kernels, value by value.

    BITTRUE_ASSETS=... python -m benchmarks.exactness [--accelerator edge_32x32]

For each int8 and uint8 model: two golden inputs, a photograph, and uniform noise over the whole range of the input.
Tensors inside a space-to-batch group that runs as one dilated convolution do not exist here: they are exempt, counted.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from accel_models.load import load_accelerator
from benchmarks.litert import reference_interpreter
from simulator.accelerator.spec import Accelerator
from simulator.execution.context import ExecutionContext
from simulator.execution.execute import execute
from simulator.graph.graph import Graph, Tensor
from simulator.lowering.lower import lower
from simulator.numerics.formats import IntFormat
from workloads.images import demo_photo, load_image
from workloads.importers._tflite_reader import read_model
from workloads.importers.tflite import TfliteImporter

MODELS = (
    "person_detect_qdimfix",
    "pretrainedResnet_quant",
    "vww_96_int8",
    "mobilenet_v1_0.25_128_quant",
    "mobilenet_v2_1.0_224_quant",
    "deeplabv3_mnv2_dm05_pascal_quant",
)
Arrays = Mapping[str, NDArray[Any]]


@dataclass(frozen=True)
class Comparison:
    """What one run of one model came to."""

    model: str
    input: str
    tensors: int
    """Inputs, intermediates and outputs compared."""
    exempt: tuple[str, ...]
    """Tensors of the file that do not exist here, inside recognised dilated convolutions."""
    values: int
    differing: int
    worst: str
    """Name of the tensor with most differing values, or ''."""


def inputs_of(assets: Path, model: str, tensor: Tensor) -> dict[str, NDArray[Any]]:
    """Two golden inputs, the photograph and the noise, each in the dtype and shape of the network's input."""
    golden = np.load(assets / "golden" / f"{model}.tflite.npz")
    _, height, width, channels = tensor.shape
    photo = load_image(demo_photo(), (height, width), channels)[None].astype(np.int16)
    assert isinstance(tensor.format, IntFormat)
    low, high = tensor.format.min, tensor.format.max
    noise = np.random.default_rng(2024).integers(low, high, tensor.shape, np.int16, endpoint=True)
    return {
        "golden 0": golden["in0"],
        "golden 1": golden["in1"],
        "photograph": (photo + low).astype(tensor.format.dtype),
        "noise": noise.astype(tensor.format.dtype),
    }


def golden_outputs(assets: Path, model: str, number: int, graph: Graph) -> dict[str, NDArray[Any]]:
    """Read the outputs that the golden file holds for input `number`, by name, in the network's dtype."""
    golden = np.load(assets / "golden" / f"{model}.tflite.npz")
    return {
        tensor.name: golden[f"out{number}_{k}"].astype(tensor.format.dtype)
        for k, tensor in enumerate(graph.output_tensors)
    }


def run_here(graph: Graph, accelerator: Accelerator, value: NDArray[Any]) -> dict[str, NDArray[Any]]:
    """Every tensor, computed by the simulator."""
    layers = lower(graph, accelerator)
    run = execute(graph, layers, {graph.inputs[0]: value}, ExecutionContext(), keep_tensors=True)
    return {**run.tensors, **run.outputs}


def run_there(path: Path, value: NDArray[Any]) -> dict[str, NDArray[Any]]:
    """Every tensor that is not a constant, computed by the reference kernels, by the names the importer gives."""
    interpreter = reference_interpreter(path.read_bytes())
    model = read_model(path)
    interpreter.set_tensor(model.inputs[0], value)
    interpreter.invoke()
    indices = [*model.inputs, *(index for node in model.nodes for index in node.outputs)]
    return {model.tensors[index].name: interpreter.get_tensor(index) for index in indices}


def compare(model: str, label: str, here: Arrays, there: Arrays) -> Comparison:
    """Count values that differ, over all tensors that exist on both sides."""
    common = [name for name in there if name in here]
    differing = {name: _differing(here[name], there[name]) for name in common}
    worst = max(common, key=lambda name: differing[name])
    return Comparison(
        model=model,
        input=label,
        tensors=len(common),
        exempt=tuple(name for name in there if name not in here),
        values=sum(there[name].size for name in common),
        differing=sum(differing.values()),
        worst=worst if differing[worst] else "",
    )


def _differing(here: NDArray[Any], there: NDArray[Any]) -> int:
    """Count values that differ; all of them where shape or dtype does."""
    if (here.shape, here.dtype) != (there.shape, there.dtype):
        return there.size
    return int(np.count_nonzero(here != there))


def compare_model(assets: Path, model: str, accelerator: Accelerator) -> list[Comparison]:
    """All four inputs of a model."""
    path = assets / f"{model}.tflite"
    graph = TfliteImporter().load(path)
    return [
        compare(model, label, run_here(graph, accelerator, value), run_there(path, value))
        for label, value in inputs_of(assets, model, graph.input_tensors[0]).items()
    ]


def main() -> int:
    """Print the table; 1 where any value differs, 2 where the models are not there."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--accelerator", default="edge_32x32", help="preset or YAML file")
    accelerator = load_accelerator(parser.parse_args().accelerator)
    assets = Path(os.environ.get("BITTRUE_ASSETS", "")) / "assets"
    if not (assets / "golden").is_dir():
        print("set BITTRUE_ASSETS to the folder that holds assets/", file=sys.stderr)
        return 2
    print(
        f"{'model':34} {'input':11} {'tensors':>7} {'exempt':>6} {'values':>11} {'differing':>9}  on {accelerator.name}"
    )
    rows = [row for model in MODELS for row in _shown(compare_model(assets, model, accelerator))]
    total, wrong = sum(row.values for row in rows), sum(row.differing for row in rows)
    tensors, exempt = sum(row.tensors for row in rows), sum(len(row.exempt) for row in rows)
    print(f"{'all':34} {len(rows):<11} {tensors:7} {exempt:6} {total:11} {wrong:9}")
    return 1 if wrong else 0


def _shown(rows: list[Comparison]) -> list[Comparison]:
    for row in rows:
        counts = f"{row.tensors:7} {len(row.exempt):6} {row.values:11} {row.differing:9}"
        print(f"{row.model:34} {row.input:11} {counts}  {row.worst}", flush=True)
    return rows


if __name__ == "__main__":
    sys.exit(main())
