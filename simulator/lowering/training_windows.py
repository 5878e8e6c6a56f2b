"""Constants of the interpolation of integer training."""

from __future__ import annotations

from dataclasses import dataclass

from simulator.graph import training_ops as ops
from simulator.graph.graph import Tensor
from simulator.numerics.training_windows import axis_weights

Weights = tuple[tuple[int, int, int], ...]


@dataclass(frozen=True)
class InterpolationConstants:
    """Neighbours and weight of every row and column of the larger image (`numerics.training_windows.axis_weights`)."""

    rows: Weights
    columns: Weights

    def greatest_sum(self, weight_bits: int) -> int:
        """Greatest sum of weights with which one pixel is read."""
        return _greatest_sum(self.rows, weight_bits) * _greatest_sum(self.columns, weight_bits)


def _greatest_sum(weights: Weights, weight_bits: int) -> int:
    sums = [0] * (max(upper for _, upper, _ in weights) + 1)
    for low, upper, weight in weights:
        sums[low] += (1 << weight_bits) - weight
        sums[upper] += weight
    return max(sums)


def interpolation(
    op: ops.TrainingOp, inputs: list[Tensor], outputs: tuple[Tensor, ...]
) -> InterpolationConstants | None:
    """Return the weights of an interpolation; None for any other operator."""
    if not isinstance(op, ops.BilinearForward | ops.BilinearGradient):
        return None
    small, large = inputs[0].shape, outputs[0].shape
    if isinstance(op, ops.BilinearGradient):
        small, large = large, small
    rows, columns = (
        tuple(axis_weights(small[axis], large[axis], op.align_corners, op.half_pixel_centers, op.weight_bits))
        for axis in (1, 2)
    )
    return InterpolationConstants(rows, columns)
