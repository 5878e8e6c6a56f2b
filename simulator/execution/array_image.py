"""The image that register tiles convolve in place: activations with their border filled in."""

from __future__ import annotations

import numpy as np

from simulator.execution.array_filling import FilledImage, Filling, ImagePlan, image_plan
from simulator.execution.array_operands import Operands, centred
from simulator.kernels.dot_tile import BYTES, GROUP_BYTES, UNROLLED
from simulator.kernels.isa import INSTRUCTION_SETS

_WHOLE_K = min(isa.weight_bytes // (GROUP_BYTES * isa.channels) for isa in INSTRUCTION_SETS.values()) * GROUP_BYTES
"""K that any kernel takes in one piece."""


def _is_its_own_image(operands: Operands, plan: ImagePlan) -> bool:
    """Whether x, unsigned bytes, has no border, and no piece of K that the cache cuts reads past its end."""
    # A run of K is some taps' channels of one group.
    whole = operands.geometry.k <= _WHOLE_K and operands.geometry.channels % (GROUP_BYTES * UNROLLED) == 0
    # The shape alone will not do: strides may leave out as many lines at the end as the border has at the beginning.
    is_all = plan.shape == plan.x_shape and plan.holds_all
    return whole and is_all and operands.x.dtype == np.uint8


def filled_image(operands: Operands, kind: str, *, overruns: bool = False) -> FilledImage:
    """Return the filled-in image of a layer.

    Where it is a copy that holds all of `operands.x`, the range of that is found on the way.

    Parameters
    ----------
    operands
        The layer's; they keep the image.
    kind
        BYTES: less the least number of the format, uint8; PAIRS: less the zero point, int16.
    overruns
        Whether pieces of K, cut for whatever reason, read past the end of the last pixel: behind x may be no memory.

    """
    kept = operands.images.get(kind)
    if kept is None or (overruns and kept.filling.is_x):
        kept = operands.images[kind] = _fill(operands, kind, may_be_x=not overruns)
    return kept


def _fill(operands: Operands, kind: str, *, may_be_x: bool) -> FilledImage:
    plan = image_plan(operands.geometry)
    less = operands.x_format.min if kind == BYTES else operands.x_zero_point
    source = operands.source if kind == BYTES else None
    is_x = may_be_x and kind == BYTES and less == 0 and source is None and _is_its_own_image(operands, plan)
    filling = Filling(plan, kind, less, operands.x_zero_point - less, is_x)
    if source is not None:
        return filling.turn(source)
    filled = filling.fill(operands.x)
    if filled.span is not None:
        operands.hold_range(centred(*filled.span, operands.x_zero_point))
    return filled
