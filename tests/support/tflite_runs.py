"""Run a TFLite model both ways, here and on the reference kernels, and compare every tensor."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from simulator.accelerator.spec import Accelerator
from simulator.execution.context import ExecutionContext
from simulator.execution.execute import Execution, execute
from simulator.graph.graph import Graph
from simulator.lowering.lower import lower
from support.accelerators import reference_device
from support.tflite_builder import ModelBuilder, run_reference
from workloads.importers.tflite import TfliteImporter


def load(model: bytes) -> Graph:
    """Import a model from a temporary file."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.tflite"
        path.write_bytes(model)
        return TfliteImporter().load(path)


def run_here(model: bytes, inputs: dict[str, NDArray[Any]], accelerator: Accelerator | None = None) -> Execution:
    """Import, lower and execute, keeping every tensor."""
    graph = load(model)
    layers = lower(graph, accelerator or reference_device())
    return execute(graph, layers, inputs, ExecutionContext(), keep_tensors=True)


def assert_equals_reference(
    builder: ModelBuilder, inputs: list[int], outputs: list[int], values: dict[str, NDArray[Any]]
) -> dict[str, NDArray[Any]]:
    """Compare every non-constant tensor bit for bit (any NaN equals any NaN); the tensors computed here."""
    model = builder.build(inputs, outputs)
    expected = run_reference(model, values)
    run = run_here(model, values)
    for name, value in {**run.tensors, **run.outputs}.items():
        assert_same_bits(name, value, expected[name])
    return run.tensors


def assert_same_bits(name: str, value: NDArray[Any], expected: NDArray[Any]) -> None:
    """Compare shape, dtype and bits; negative zero differs from zero, any NaN equals any NaN."""
    assert value.dtype == expected.dtype, f"{name}: {value.dtype}, the reference gives {expected.dtype}"
    assert value.shape == expected.shape, f"{name}: {value.shape}, the reference gives {expected.shape}"
    differing = differing_values(value, expected)
    if differing:
        where = np.flatnonzero(value.ravel() != expected.ravel())[:5]
        raise AssertionError(
            f"{name}: {differing} of {value.size} values differ; at {where.tolist()}: "
            f"{value.ravel()[where].tolist()}, the reference gives {expected.ravel()[where].tolist()}"
        )


def differing_values(value: NDArray[Any], expected: NDArray[Any]) -> int:
    """How many values differ in their bits; any NaN equals any NaN."""
    different = value != expected
    if value.dtype == np.float32:
        different = (value.view(np.int32) != expected.view(np.int32)) & ~(np.isnan(value) & np.isnan(expected))
    return int(np.count_nonzero(different))
