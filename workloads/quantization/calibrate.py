"""Ranges of a network's values on calibration images."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from simulator.errors import NetworkError
from simulator.graph.graph import Graph
from workloads.quantization.float_execute import run_float
from workloads.quantization.scales import Range

Progress = Callable[[int, int, str], None]


class RangeObserver:
    """Least and greatest value of every float tensor seen."""

    def __init__(self) -> None:
        self.ranges: dict[str, Range] = {}

    def __call__(self, name: str, values: NDArray[Any]) -> None:
        """Take note of a tensor's values; NetworkError where they are not finite."""
        if values.dtype.kind != "f":
            return
        low, high = float(values.min()), float(values.max())
        if not np.isfinite([low, high]).all():
            raise NetworkError(
                f"tensor {name} has values from {low} to {high}: the float network overflows or is broken"
            )
        before = self.ranges.get(name, (low, high))
        self.ranges[name] = min(low, before[0]), max(high, before[1])


def calibrate(
    graph: Graph,
    inputs: Sequence[Mapping[str, NDArray[Any]]],
    *,
    measure_norms: bool = False,
    on_progress: Progress | None = None,
) -> tuple[dict[str, Range], dict[str, NDArray[np.float32]]]:
    """Run a float network on every input and return the range of each tensor, and measured statistics.

    Parameters
    ----------
    graph
        A float network with weights.
    inputs
        One dict of float32 arrays by input name for each image.
    measure_norms
        Measure the statistics of batch norms on the first input, and use them for all.
    on_progress
        Called with (done, total, label).

    """
    observer = RangeObserver()
    statistics: dict[str, NDArray[np.float32]] = {}
    steps = len(graph.nodes)
    for index, values in enumerate(inputs):

        def step(done: int, _: int, label: str, offset: int = index * steps) -> None:
            if on_progress:
                on_progress(offset + done, steps * len(inputs), f"calibrate: {label}")

        first = measure_norms and index == 0
        run = run_float(graph, values, on_tensor=observer, on_progress=step, measure_norms=first)
        if first:
            statistics = run.statistics
            graph = _with_statistics(graph, statistics)
    return observer.ranges, statistics


def _with_statistics(graph: Graph, statistics: Mapping[str, NDArray[np.float32]]) -> Graph:
    measured = {name: replace(graph.tensors[name], data=data) for name, data in statistics.items()}
    return replace(graph, tensors={**graph.tensors, **measured})
