"""A layer run once more: on activations of the same range, all but its image and its output is as it was.

What a layer is run with follows from its weights, its bias, the range of its activations, the instruction set and the
number of threads: the proof, the requantizer, the packed weights, the ledger but for its saturations. Finding all that
out takes as long as some tenths of a millisecond of its kernel, and more after others have had the caches.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from numpy.typing import NDArray

from simulator.execution.array_filling import FilledImage, Filling
from simulator.execution.array_operands import Operands, Range, centred
from simulator.execution.array_tile_run import TileRun
from simulator.execution.context import ExecutionContext, LayerResult
from simulator.kernels import isa
from simulator.kernels.extremes import extremes
from simulator.kernels.threads import threads_now
from simulator.lowering.layer import Layer
from simulator.records.changed import changed
from simulator.records.overflow import BOUNDS, OverflowRecord


@dataclass(frozen=True, eq=False)
class SeenImage:
    """The image of this run's activations."""

    image: FilledImage
    x_range: Range
    """Of them: see `Operands.x_range`."""


@dataclass(frozen=True, eq=False)
class Repeat:
    """How a layer of constant weights, that the range of its activations clears of events, ran on register tiles."""

    layer: Layer
    """Kept alive: `ExecutionContext.repeats` knows it by its identity, which then is no other's."""
    isa: str
    threads: int
    filling: Filling
    x_zero_point: int
    x_range: Range
    run: TileRun
    record: OverflowRecord
    """Its saturations are of no account."""

    def see(self, x: NDArray[Any] | None) -> SeenImage | None:
        """Make the image of x as in that run; None where it would be of no use."""
        is_alike = self.isa == isa.chosen() and self.threads == threads_now()
        if not is_alike or x is None or not x.flags.c_contiguous:
            return None
        image = self.filling.fill(x)
        low, high = image.span or extremes(x.reshape(-1))
        return SeenImage(image, centred(int(low), int(high), self.x_zero_point))

    def result(self, seen: SeenImage) -> LayerResult | None:
        """Run the layer; None where the range of its activations is another."""
        if seen.x_range != self.x_range:
            return None
        output, saturations = self.run.on(seen.image)
        return LayerResult((output,), changed(self.record, saturations=saturations))


def remember(
    layer: Layer,
    arrays: Sequence[NDArray[Any] | None],
    operands: Operands,
    record: OverflowRecord,
    context: ExecutionContext,
) -> None:
    """Keep how a layer ran without events, if it may run so again."""
    parameters = zip(layer.inputs[1:], arrays[1:], strict=True)
    constant = all(tensor is None or tensor.data is array for tensor, array in parameters)
    in_order = operands.source is None and operands.x.size
    # Norms are those of the very activations; bounds are the same for all of a range.
    if record.method == BOUNDS and constant and in_order and len(operands.runs) == 1:
        (run,) = operands.runs
        context.repeats[id(layer)] = Repeat(
            layer=layer,
            isa=isa.chosen(),
            threads=threads_now(),
            filling=operands.images[run.kind].filling,
            x_zero_point=operands.x_zero_point,
            x_range=operands.x_range,
            run=replace(run, shape=layer.outputs[0].shape),
            record=record,
        )
