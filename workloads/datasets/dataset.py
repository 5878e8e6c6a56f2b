"""What a data set is: names of classes, and samples that are read when they are asked for."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from simulator.errors import InputError

Colour = tuple[int, int, int]
"""RGB, 0..255."""


@dataclass(frozen=True, eq=False)
class Sample:
    """One image with its label map, both as the files have them: never resized."""

    image: NDArray[np.uint8]
    """Pixels RGB, uint8 [H, W, 3]."""
    labels: NDArray[np.uint8]
    """Class index of every pixel, or the data set's ignore_label; uint8 [H, W]."""
    name: str
    """Name of the sample: unique in the split, the same on every machine."""


class Dataset(Protocol):
    """One split of a data set. Samples stand in a fixed order and are read from disk at each call: nothing is kept."""

    @property
    def name(self) -> str:
        """Kind of data set: voc, ade20k, camvid, cityscapes, nuclei or folder."""

    @property
    def split(self) -> str:
        """Name of this split."""

    @property
    def splits(self) -> tuple[str, ...]:
        """Names of the splits that are there."""

    @property
    def classes(self) -> tuple[str, ...]:
        """Name of each class index; labels are 0 .. len(classes) - 1, or ignore_label."""

    @property
    def palette(self) -> tuple[Colour, ...]:
        """Colour of each class index."""

    @property
    def ignore_label(self) -> int:
        """Label of pixels that count neither in training nor in a metric; 255 where the data set has no such pixels."""

    @property
    def names(self) -> tuple[str, ...]:
        """Name of each sample, in order."""

    def __len__(self) -> int:
        """Count the samples of this split."""

    def sample(self, index: int) -> Sample:
        """Read sample `index`, 0 <= index < len; safe to call from several threads.

        Raises
        ------
        SampleError
            A file of the sample that is missing, damaged, of another size than its image, or with labels out of range.
        IndexError
            No such index.

        """


class SampleError(InputError):
    """One sample that cannot be used, while the others can; names its file."""

    def __init__(self, path: Path, problem: str) -> None:
        self.path = path
        self.problem = problem
        super().__init__(f"{path}: {problem}")
