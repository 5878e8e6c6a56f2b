"""The label map of a run as pictures for the page: the photo, the labels over it, and the labels alone."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from reports import labels
from reports.figures_style import printable
from simulator.errors import InputError
from simulator.records.run import RunRecord

_LARGEST = 1024


@dataclass(frozen=True)
class Picture:
    """The label map, with the photo where there is one, as data URIs."""

    photo: str | None
    """The photo that was put in."""
    overlay: str | None
    """Labels to lay over the photo: what is black is clear."""
    label_map: str
    """Labels alone."""
    caption: str
    """Their size, and the output they were read from."""
    classes: tuple[labels.ClassShare, ...]
    """Classes in it, the largest first."""


def picture_of(
    record: RunRecord, outputs: Mapping[str, NDArray[Any]], preview: NDArray[np.uint8] | None
) -> tuple[Picture | None, str | None]:
    """Return the label map beside the photo, or why there is none though the network promises one."""
    segmentation = record.segmentation
    output = outputs.get(segmentation.output) if segmentation else None
    if segmentation is None or output is None:
        return None, None
    try:
        found = labels.label_map(output)
    except InputError as error:
        return None, f"no label map is drawn: {error}"
    photo = None if preview is None else labels.thinned(preview, _LARGEST)
    height, width = found.shape if photo is None else photo.shape[:2]
    drawn = labels.resize_nearest(labels.coloured(found, labels.palette_of(segmentation)), height, width)
    caption = f"Labels at {found.shape[1]} x {found.shape[0]} pixels, from output {printable(segmentation.output)}"
    caption += f"; image 1 of {len(output)}." if output.ndim > 2 and len(output) > 1 else "."
    shares = labels.classes_present(found, segmentation)
    overlay = None if photo is None else _data_uri(_clear_where_black(drawn))
    return Picture(None if photo is None else _data_uri(photo), overlay, _data_uri(drawn), caption, shares), None


def _clear_where_black(picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Add an alpha channel: data sets paint the background black, and it shall not darken the photo."""
    alpha = np.where(picture.any(axis=2), 255, 0).astype(np.uint8)
    return np.dstack([picture, alpha])


def _data_uri(image: NDArray[np.uint8]) -> str:
    return "data:image/png;base64," + base64.b64encode(labels.png(image)).decode("ascii")
