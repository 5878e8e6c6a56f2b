"""Hold an evaluation to the TFLite reference kernels: the same label maps, so the same scores.

    BITTRUE_ASSETS=... python -m benchmarks.evaluation_oracle [--images 80]

The int8 DeepLab on the VOC subset: each image goes through our run and through LiteRT's reference kernels; the label
maps of the network are compared value by value, and both sides' scores are counted on the images' own pixels.
"""

from __future__ import annotations

import argparse
import os
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks.evaluation import MODEL, plan_of
from benchmarks.litert import reference_interpreter
from bittrue.evaluation.score import predict, predicted_labels, read_sample
from workloads.datasets.matching import IGNORED
from workloads.metrics import Confusion, confusion


@dataclass(frozen=True)
class Agreement:
    """What the comparison came to."""

    images: int
    values: int
    """Values of the label maps that were compared."""
    differing: int
    """Those that differ."""
    here: Confusion
    """Counts of our label maps."""
    there: Confusion
    """Counts of the reference kernels'."""


def compare(assets: Path, images: int) -> Agreement:
    """Run the first `images` images of the subset both ways."""
    plan = plan_of(assets, images, 1)
    interpreter = reference_interpreter((assets / MODEL).read_bytes())
    (input_there,), (output_there,) = interpreter.get_input_details(), interpreter.get_output_details()
    here = there = Confusion.empty(plan.classes)
    values = differing = 0
    for index in range(plan.limit):
        ready = read_sample(plan, index)
        ((network, output),) = predict(plan, ready).outputs
        interpreter.set_tensor(input_there["index"], next(iter(ready.inputs.values())))
        interpreter.invoke()
        expected = interpreter.get_tensor(output_there["index"])
        values += expected.size
        differing += int(np.count_nonzero(output != expected)) if output.shape == expected.shape else expected.size
        truth = plan.match.table[ready.sample.labels]
        ours, theirs = (predicted_labels(plan, network, labels, truth.shape) for labels in (output, expected))
        here += confusion(truth, ours, plan.classes, IGNORED)
        there += confusion(truth, theirs, plan.classes, IGNORED)
    return Agreement(plan.limit, values, differing, here, there)


def main(arguments: list[str] | None = None) -> int:
    """Print the comparison; 1 where a value differs."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--images", type=int, default=80)
    chosen = parser.parse_args(arguments)
    assets = os.environ.get("BITTRUE_ASSETS")
    if not assets:
        parser.error("BITTRUE_ASSETS names no folder")
    found = compare(Path(assets), chosen.images)
    print(f"{found.images} images, {found.values:,} values of label maps compared, {found.differing:,} differ")
    for name, counts in (("bittrue", found.here), ("LiteRT reference", found.there)):
        print(f"{name:<18}mIoU {100 * counts.miou:.4f} %  pixel accuracy {100 * counts.pixel_accuracy:.4f} %")
    return 1 if found.differing or (found.here.counts != found.there.counts).any() else 0


if __name__ == "__main__":
    sys.exit(main())
