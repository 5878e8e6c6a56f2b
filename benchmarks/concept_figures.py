"""Draw the figures of docs/concepts: what filling an array costs, engines at work on a layer, where energy goes.

python -m benchmarks.concept_figures docs/figures
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np

import bittrue
from bittrue import networks
from reports.figures import energy
from reports.figures_style import BLUE, GREEN, OCHRE, VERMILION, Drawing, legend, new_axes, styled
from simulator.mapping.array_cycles import weight_stationary
from simulator.records.run import RunRecord

_COLOURS = {"load dma": VERMILION, "array": BLUE, "store dma": OCHRE}
_FOLDS = 16
_SIZES = (16, 32, 64, 128)
_TICKS = (1, 4, 16, 64, 256, 1024, 4096)


def filling() -> Drawing:
    """Draw the share of the array's cycles in which all of it works, against the length of what streams through."""
    figure, axes = new_axes(3.4)
    length = np.unique(np.logspace(0, 12, 200, base=2).astype(np.int64))
    with styled():
        for rows, colour in zip(_SIZES, (BLUE, GREEN, OCHRE, VERMILION), strict=True):
            array = bittrue.load_accelerator("edge_32x32").evolve({"array.rows": rows, "array.cols": rows}).array
            cycles = weight_stationary(_FOLDS, length, array)
            axes.plot(length, 100 * _FOLDS * length / cycles, color=colour, label=f"{rows} x {rows}")
        axes.set_xscale("log", base=2)
        axes.set_xticks(_TICKS, [str(tick) for tick in _TICKS])
        axes.set_xlabel("output pixels that stream past the weights of a fold")
        axes.set_ylabel("mapping utilization, %")
        axes.set_ylim(0, 100)
        axes.grid(True)
        legend(axes)
    alt = f"Mapping utilization of {_FOLDS} whole folds rises with what streams, later on larger arrays"
    return Drawing("filling", figure, alt)


def engines(record: RunRecord) -> Drawing:
    """Draw when each engine works on a layer."""
    figure, axes = new_axes(2.0)
    with styled():
        for place, (track, colour) in enumerate(_COLOURS.items()):
            spans = [(e.start_cycle, e.duration_cycles) for e in record.events if e.track == track]
            axes.broken_barh(spans, (place - 0.35, 0.7), color=colour, edgecolor="white", linewidth=0.6)
        axes.set_yticks(range(len(_COLOURS)), list(_COLOURS))
        axes.invert_yaxis()
        axes.set_xlabel("cycles")
        axes.set_xlim(0, record.total_cycles)
    return Drawing("engines", figure, "Loads run ahead of the array, stores behind it; the first load stands alone")


def main(arguments: list[str] | None = None) -> int:
    """Write the figures and print what the text beside them says."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("folder", type=Path)
    folder = parser.parse_args(arguments).folder
    accelerator = bittrue.load_accelerator("edge_16x16_os")
    layer = bittrue.simulate(networks.conv2d(28, 28, 256, 128, 1), accelerator)
    network = bittrue.load_network("unet", size=128, width=0.25)
    spent = energy(bittrue.simulate(network, bittrue.load_accelerator("edge_32x32")).record)
    assert spent is not None
    for drawing in (filling(), engines(layer.record), spent):
        (folder / f"concept_{drawing.name}.svg").write_text(drawing.file_text(), encoding="utf-8")
    told = layer.layers[0]
    waited = f"{told.load_stall_cycles:,} for loads and {told.store_stall_cycles:,} for stores"
    print(
        f"{told.tile_ops} tile operations in {told.total_cycles:,} cycles: {told.compute_cycles:,} computing, {waited}"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
