"""A sheet of label maps: image, truth and prediction beside each other, one row a sample."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from reports.labels import Colour, coloured, png, voc_palette

Row = tuple[NDArray[np.uint8], NDArray[Any], NDArray[Any]]
"""Pixels [H, W, 3], true labels [H, W], predicted labels [H, W]."""

_GAP = 4
_IGNORED: Colour = (0, 0, 0)


def label_sheet(rows: Sequence[Row], palette: Sequence[Colour], ignore_label: int) -> NDArray[np.uint8]:
    """Return the sheet, RGB uint8 [H, W, 3]; pixels without a true label are black in the truth."""
    colours = (*palette, *voc_palette()[len(palette) :])
    strips = []
    for pixels, truth, predicted in rows:
        drawn = coloured(np.asarray(truth, np.int64), colours)
        drawn[truth == ignore_label] = _IGNORED
        tiles = [pixels, drawn, coloured(np.asarray(predicted, np.int64), colours)]
        strips.append(_joined(tiles, axis=1))
    return _joined(strips, axis=0)


def save_sheet(path: Path, rows: Sequence[Row], palette: Sequence[Colour], ignore_label: int) -> None:
    """Write the sheet as a PNG; all rows of one size."""
    staged = path.with_name(f".{path.name}.tmp")
    staged.write_bytes(png(label_sheet(rows, palette, ignore_label)))
    staged.replace(path)


def _joined(tiles: Sequence[NDArray[np.uint8]], axis: int) -> NDArray[np.uint8]:
    """Join along an axis with white gaps."""
    shape = list(tiles[0].shape)
    shape[axis] = _GAP
    gap = np.full(shape, 255, np.uint8)
    parts = [part for tile in tiles for part in (gap, tile)][1:]
    return np.concatenate(parts, axis)
