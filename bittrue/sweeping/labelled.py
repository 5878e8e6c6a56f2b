"""What registers cost on labelled images: mIoU with 32 bits minus mIoU with those of a design point."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

from simulator.accelerator.spec import Accelerator
from simulator.errors import InputError
from workloads.datasets import open_dataset
from workloads.network import Network


def miou_loss(network: Network, accelerator: Accelerator, accuracy: Mapping[str, Any]) -> float:
    """Return the mIoU that is lost to overflow, 0 to 1; below 0 where narrow registers happen to be right more often.

    Parameters
    ----------
    network
        Integer, or float and then quantized as `bittrue.evaluate` does.
    accelerator
        The device; it is held to itself with 32-bit registers.
    accuracy
        ``dataset``, ``split`` and ``images``, see `bittrue.sweeping.space.Accuracy`.

    Raises
    ------
    InputError
        A sample that cannot be read: with others the figure would be that of another data set.
    BittrueError
        Otherwise as `bittrue.evaluate`.

    """
    from bittrue.evaluation.evaluate import evaluate

    found = evaluate(network, accelerator, accuracy["dataset"], split=accuracy["split"], limit=accuracy["images"])
    if found.unusable:
        raise InputError(f"{found.dataset}: {found.unusable[0].problem}")
    return found.overflow_loss


def sample_digests(dataset: str, split: str, images: int) -> list[str]:
    """Return a digest of pixels and labels of each of the first samples of a data set, and of its classes.

    Raises
    ------
    InputError
        A data set that cannot be opened, fewer samples than that, or one that cannot be read.

    """
    opened = open_dataset(dataset, split)
    if len(opened) < images:
        raise InputError(f"{dataset}: {images} samples are wanted, {split} has {len(opened)}")
    found = [repr((opened.classes, opened.ignore_label))]
    for index in range(images):
        sample = opened.sample(index)
        content = hashlib.sha256(repr(sample.image.shape).encode())
        content.update(sample.image.tobytes())
        content.update(sample.labels.tobytes())
        found.append(content.hexdigest())
    return found
