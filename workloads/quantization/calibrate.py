"""What is seen of a network's values on calibration images: ranges, histograms, means."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from simulator.errors import NetworkError
from simulator.graph.graph import Graph
from workloads.quantization.float_execute import run_float
from workloads.quantization.histogram import Histogram

Progress = Callable[[int, int, str], None]


@dataclass
class Observation:
    """What was seen of one tensor."""

    low: float
    high: float
    histogram: Histogram | None = None
    channel_sums: NDArray[np.float64] | None = None
    """Sum of the values of each index of the last axis."""
    rows: int = 0
    """Values that each of those sums holds."""

    @property
    def channel_means(self) -> NDArray[np.float64]:
        """Mean of each index of the last axis."""
        assert self.channel_sums is not None
        return self.channel_sums / max(self.rows, 1)


@dataclass
class Observer:
    """Takes note of every float tensor, in memory that does not grow with the number of images."""

    histograms: bool = False
    means_of: frozenset[str] = frozenset()
    """Tensors whose channel means are wanted."""
    seen: dict[str, Observation] = field(default_factory=dict)

    def __call__(self, name: str, values: NDArray[Any]) -> None:
        """Take note of a tensor's values; NetworkError where they are not finite."""
        if values.dtype.kind != "f":
            return
        low, high = float(values.min()), float(values.max())
        if not np.isfinite([low, high]).all():
            raise NetworkError(
                f"tensor {name} has values from {low} to {high}: the float network overflows or is broken, or what "
                "went into it is not finite"
            )
        known = self.seen.setdefault(name, Observation(low, high))
        known.low, known.high = min(low, known.low), max(high, known.high)
        if self.histograms:
            known.histogram = known.histogram or Histogram()
            known.histogram.add(values, max(abs(low), abs(high)))
        if name in self.means_of:
            rows = values.reshape(-1, values.shape[-1])
            sums = rows.sum(axis=0, dtype=np.float64)
            known.channel_sums = sums if known.channel_sums is None else known.channel_sums + sums
            known.rows += len(rows)


def calibrate(
    graph: Graph,
    inputs: Iterable[Mapping[str, NDArray[Any]]],
    observer: Observer,
    *,
    images: int,
    measure_norms: bool = False,
    on_progress: Progress | None = None,
) -> dict[str, NDArray[np.float32]]:
    """Run a float network on every input, show its tensors to `observer`, and return measured statistics.

    Parameters
    ----------
    graph
        A float network with weights.
    inputs
        One dict of float32 arrays by input name for each image.
    observer
        Told of every tensor.
    images
        How many there are, for the progress.
    measure_norms
        Measure the statistics of batch norms on the first input, and use them for all.
    on_progress
        Called with (done, total, label).

    """
    statistics: dict[str, NDArray[np.float32]] = {}
    steps = len(graph.nodes)
    for index, values in enumerate(inputs):

        def step(done: int, _: int, label: str, offset: int = index * steps) -> None:
            if on_progress:
                on_progress(offset + done, steps * images, f"calibrate: {label}")

        first = measure_norms and index == 0
        run = run_float(graph, values, on_tensor=observer, on_progress=step, measure_norms=first)
        if first:
            statistics = run.statistics
            graph = _with_statistics(graph, statistics)
    return statistics


def _with_statistics(graph: Graph, statistics: Mapping[str, NDArray[np.float32]]) -> Graph:
    measured = {name: replace(graph.tensors[name], data=data) for name, data in statistics.items()}
    return replace(graph, tensors={**graph.tensors, **measured})
