"""A segmentation network that is small enough to run on dozens of images, float and integer, and a data set for it."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from simulator.graph import ops
from simulator.graph.builder import GraphBuilder
from simulator.graph.ops import Padding
from simulator.numerics.formats import FLOAT32
from simulator.records.run import Segmentation
from support import dataset_folders as folders
from workloads.network import ImageInput, Network

INPUT = (12, 16)
CLASSES = ("sky", "tree", "road", "car")
IGNORE = 9
_SAME = Padding(1, 1, 1, 1)


def float_segmenter(seed: int = 0, labels: bool = False) -> Network:
    """Two convolutions, float: [1, 12, 16, 3] to scores [1, 6, 8, 4], or to their labels [1, 6, 8]."""
    rng = np.random.default_rng(seed)
    net = GraphBuilder("segmenter")

    def constant(name: str, shape: tuple[int, ...]) -> str:
        return net.constant(name, rng.normal(size=shape).astype(np.float32))

    x = net.input("image", (1, *INPUT, 3), FLOAT32)
    stem = net.add(ops.Conv2D((2, 2), padding=_SAME), x, constant("stem.w", (8, 3, 3, 3)), None, name="stem")
    stem = net.add(ops.Relu(), stem)
    scores = net.add(
        ops.Conv2D(padding=_SAME), stem, constant("head.w", (4, 3, 3, 8)), constant("head.b", (4,)), name="head"
    )
    output = net.add(ops.ArgMax(3), scores, name="labels") if labels else scores
    network = Network(net.build([output]), segmentation=Segmentation(output, CLASSES))
    return Network(network.graph, image=ImageInput((120.0,), (60.0,)), segmentation=network.segmentation)


def integer_segmenter(seed: int = 0, labels: bool = False) -> Network:
    """The same quantized on noise: int8, sums that need about 20 bits."""
    return float_segmenter(seed, labels).quantize([folders.noise(99, INPUT)])


def write_dataset(root: Path, images: int = 5, sizes: tuple[tuple[int, int], ...] = ((12, 16), (9, 20))) -> str:
    """A data set of kind `folder` with the split all, images of noise and random labels; its specification."""
    rows = [f"{label},{name}" for label, name in enumerate(CLASSES)]
    for index in range(images):
        size = sizes[index % len(sizes)]
        folders.write(root / f"images/im{index:02}.png", folders.noise(index, size))
        folders.write(root / f"masks/im{index:02}.png", folders.labels(index, (*range(4), IGNORE), size))
    (root / "classes.csv").write_text("\n".join(["label,name", *rows, f"{IGNORE},ignore", ""]))
    return f"folder:{root}"
