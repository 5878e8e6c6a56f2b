"""Lay four stained images each into one of 512x512, which is what the demo's network takes: labels to score it on.

    python examples/nuclei/mosaic.py out/stained out/mosaics

The images of the split that the network was not trained on, in the order of their names; what is left over of four is
not used.
"""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import numpy as np
from PIL import Image


def mosaic(files: list[Path]) -> Image.Image:
    """Return four images as one, two beside two."""
    a, b, c, d = (np.asarray(Image.open(file)) for file in files)
    return Image.fromarray(np.vstack([np.hstack([a, b]), np.hstack([c, d])]))


def main() -> None:
    """Write images, masks and the table of classes."""
    source, target = Path(sys.argv[1]), Path(sys.argv[2])
    for kind in ("images", "masks"):
        files = sorted((source / kind / "val").glob("*.png"))
        folder = target / kind / "val"
        folder.mkdir(parents=True, exist_ok=True)
        for index in range(len(files) // 4):
            mosaic(files[4 * index : 4 * index + 4]).save(folder / f"{index:03}.png")
    shutil.copy(source / "classes.csv", target / "classes.csv")


if __name__ == "__main__":
    main()
