"""What narrower registers would cost: one record per width of an accumulator sweep."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class OutputError:
    """How one output of the network differs from the run with 32-bit registers."""

    output: str
    """Name of the output tensor."""
    values: int
    """Elements of the tensor."""
    differing: int
    """Elements that differ from the 32-bit run."""
    max_difference: float | None
    """Greatest absolute difference, in LSBs of the output (a float output: in its own units; an output of
    labels: of their numbers, which says little). None where an infinity or NaN meets another value."""
    mean_difference: float | None
    """Mean absolute difference over all elements, equal ones included, in the unit of max_difference."""

    @property
    def differing_share(self) -> float:
        """Share of elements that differ: differing / values; 0 for an empty tensor."""
        return self.differing / self.values if self.values else 0.0


@dataclass(frozen=True)
class SweepPoint:
    """The network run with registers of one width, against the same network with 32-bit registers."""

    accumulator_bits: int
    """Width of the accumulator in this run."""
    partial_sum_bits: int | None
    """Width of the partial-sum register in this run, equal to accumulator_bits; None where the dataflow has none."""
    outputs: tuple[OutputError, ...]
    """Error of each output of the network, in its order."""
    label_disagreement: float | None
    """Pixels whose label differs from the 32-bit run's, of all pixels of all images (scores: the highest wins, the
    first among equals). None for a network that does not segment."""
    events: int
    """Overflow events in all layers."""
    layers_with_events: int
    """Layers with at least one event."""
    worst_layer: str | None
    """Name of the layer with the most events, the first among equals; None without events."""
    worst_layer_events: int
    """Events in that layer."""
