"""Where the time of a run goes: engine by engine, and what is spent outside of all executors."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from numpy.typing import NDArray

from benchmarks.timing import Statistic, clock
from simulator.execution import execute
from simulator.execution.context import ExecutionContext, LayerResult
from simulator.lowering.layer import Engine, Layer

BOOKKEEPING = "bookkeeping"
"""Total time less that of the executors: checks, freeing of tensors, the record."""
PARTS = {Engine.ARRAY: "array", Engine.VECTOR: "vector", Engine.DMA: "movement", Engine.HOST: "host"}
"""What each engine's share is called."""


@contextmanager
def executor_times(now: Callable[[], float]) -> Iterator[dict[str, float]]:
    """Time the layers of every run in the body; the mapping (part -> seconds) fills as they finish."""
    seconds: dict[str, float] = defaultdict(float)
    original = execute.run_layer

    def timed(layer: Layer, arrays: Sequence[NDArray[Any] | None], context: ExecutionContext) -> LayerResult:
        begin = now()
        result = original(layer, arrays, context)
        seconds[PARTS[layer.engine]] += now() - begin
        return result

    execute.run_layer = timed
    try:
        yield seconds
    finally:
        execute.run_layer = original


def break_down(
    run: Callable[[], object], repeats: int, threads: int, statistic: Statistic = Statistic.MEDIAN
) -> dict[str, float]:
    """Return the time of each part of a run, seconds; RuntimeError where no layer was seen."""
    now = clock(threads)
    samples: dict[str, list[float]] = defaultdict(list)
    run()
    for _ in range(repeats):
        with executor_times(now) as seconds:
            begin = now()
            run()
            total = now() - begin
        if not seconds:
            raise RuntimeError("no layer went through simulator.execution.execute.run_layer: nothing to break down")
        for part in PARTS.values():
            samples[part].append(seconds[part])
        samples[BOOKKEEPING].append(total - sum(seconds.values()))
    return {part: statistic.of(values) for part, values in samples.items()}
