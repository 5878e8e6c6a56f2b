"""How many outputs need how many bits: what a narrower accumulator would not hold, by layer and width."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.colors import LogNorm
from matplotlib.ticker import FuncFormatter, MaxNLocator
from numpy.typing import NDArray

from reports.figures_layers import MOST_ROWS, LayerAxes
from reports.figures_style import VERMILION, Drawing, legend, printable, styled
from simulator.records.layer import LayerRecord
from simulator.records.run import RunRecord

_LEAST_PERCENT = 1e-4
_NEARLY_ALL = 0.99
_COLOURS = "viridis_r"
"""Dark where all outputs need as much; told apart in grey too."""
_SHARES = (0.5, 0.9, 0.99, 0.999, 1.0)


def needed_bits(record: RunRecord) -> Drawing | None:
    """Draw the share of each layer's outputs that need at least so many bits; None where no layer was stepped."""
    stepped = [layer for layer in record.layers if layer.overflow and sum(layer.overflow.outputs_by_needed_bits)]
    if not stepped:
        return None
    layers = stepped if len(stepped) <= MOST_ROWS else list(record.layers)
    shares = np.array([_shares(layer) for layer in layers])
    # Of the widths that nearly all outputs of every layer need, one is shown; of those that none needs, none.
    nearly_all = shares[shares[:, 0] > 0].min(axis=0) >= _NEARLY_ALL
    low, high = int(nearly_all.sum()) - 1, int((shares > 0).any(axis=0).sum())
    places = LayerAxes.of(layers)
    _cells(places, shares[:, low:high], low)
    _widths(places, layers)
    ends = (low - 0.5, max(high, *_register_bits(layers)) + 1.0)
    places.finish(ends[1], "bits of the accumulator")
    places.axes.grid(visible=False)
    with styled():
        places.axes.set(**{"xlim" if places.rows else "ylim": ends})
        (places.axes.xaxis if places.rows else places.axes.yaxis).set_major_locator(MaxNLocator(integer=True))
        legend(places.axes, 3)
    titles = places.hover(ends[1], {i: _hover_text(layer) for i, layer in enumerate(layers) if layer in stepped})
    left_out = len(record.layers) - len(stepped)
    caption = (
        "Colour: the share of a layer's outputs that need at least so many bits, so what a register of one bit less "
        "would not hold. Empty: none."
    )
    caption += f" Not shown: {left_out} layers that were not stepped, or have no accumulator." if left_out else ""
    return Drawing("needed-bits", places.figure, f"Share of outputs by needed bits. {caption}", titles, caption)


def _shares(layer: LayerRecord) -> NDArray[np.float64]:
    """Share of the outputs that need 0, 1, 2, ... 65 bits at least; 0 of a layer that was not stepped."""
    counts = np.zeros(66)
    found = layer.overflow.outputs_by_needed_bits if layer.overflow else ()
    counts[: len(found)] = found
    at_least: NDArray[np.float64] = np.cumsum(counts[::-1])[::-1] / max(counts.sum(), 1)
    return at_least


def _cells(places: LayerAxes, shares: NDArray[np.float64], low: int) -> None:
    percent = np.ma.masked_less_equal(100 * shares, 0)
    bits, rows = (low - 0.5, low + shares.shape[1] - 0.5), (-0.5, len(shares) - 0.5)
    with styled():
        drawn = places.axes.imshow(
            percent if places.rows else percent.T,
            cmap=_COLOURS,
            norm=LogNorm(_LEAST_PERCENT, 100),
            aspect="auto",
            interpolation="nearest",
            origin="lower",
            extent=(*bits, *rows) if places.rows else (*rows, *bits),
        )
        bar = places.figure.colorbar(drawn, ax=places.axes, pad=0.015, aspect=24, extend="min")
        bar.set_label("% of outputs")
        bar.ax.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        bar.outline.set_visible(False)


def _register_bits(layers: Sequence[LayerRecord]) -> list[int]:
    return [layer.overflow.accumulator_bits or 0 for layer in layers if layer.overflow] or [0]


def _widths(places: LayerAxes, layers: Sequence[LayerRecord]) -> None:
    """Draw the width of each layer's accumulator, at the far side of the last bit that it has."""
    found = [(i, layer.overflow.accumulator_bits) for i, layer in enumerate(layers) if layer.overflow]
    at = np.array([i for i, bits in found if bits])
    widths = np.repeat(np.array([bits + 0.5 for _, bits in found if bits]), 2)
    edges = np.stack([at - 0.5, at + 0.5], axis=1).reshape(-1)
    across, up = (widths, edges) if places.rows else (edges, widths)
    places.axes.plot(across, up, color=VERMILION, linewidth=1.5, label="accumulator width")


def _hover_text(layer: LayerRecord) -> str:
    ledger = layer.overflow
    assert ledger is not None
    lines = [f"{layer.index} {printable(layer.name)} ({layer.op})"]
    lines += [f"{100 * share:g} % of the outputs need at most {ledger.bits_for(share)} bits" for share in _SHARES]
    return "\n".join([*lines, f"the accumulator has {ledger.accumulator_bits}"])
