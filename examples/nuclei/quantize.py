"""Make the demo's network of what was trained: the newest checkpoint, for images of 512x512, in int8.

python examples/nuclei/quantize.py out/nuclei out/stained examples/nuclei/nuclei_unet.npz
"""

from __future__ import annotations

import sys
from pathlib import Path

import bittrue

SIZE = (512, 512)
IMAGES = 16
"""Stained images that the ranges of activations are measured on: four of them make one of that size."""


def main() -> None:
    """Quantize and write."""
    run, stained, output = map(Path, sys.argv[1:])
    images = sorted((stained / "images" / "train").glob("*.png"))[:IMAGES]
    network = bittrue.load_network(run, size=SIZE).quantize(images)
    network.save(output)
    print(f"{output}: {output.stat().st_size:,} bytes, {network.macs:,} MACs")


if __name__ == "__main__":
    main()
