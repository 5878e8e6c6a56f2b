"""The first step of tiny training runs, so that the kernels of training are compiled."""

from __future__ import annotations

import csv
from collections.abc import Callable
from itertools import product
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from PIL import Image

from accel_models.load import load_accelerator
from bittrue.training.plan import Request, make_plan
from workloads.training.config import preset

_SIZE, _CLASSES, _BATCHES = (64, 64), 4, (4, 2)
"""Filters of gradients are packed from what lies behind them in batches of whole groups of 4, else another way."""
_RUNS = (
    ("deeplabv3_resnet50", "paper", {"width": 0.125}),
    ("deeplabv3_resnet50", "e2_8", {"width": 0.125}),
    ("fcn_vgg16", "paper", {"width": 0.125}),
    ("unet", "paper", {"width": 0.125}),
)
"""Network, preset and options: together they reach the operators of these presets; `wageubn` and `niti` have more."""

Step = Callable[[int, int, str], None]
Phase = Callable[[str], None]


def write_noise(folder: Path) -> None:
    """Write a data set of noise: a batch of images and masks in each of two splits, and the table of its classes."""
    rng = np.random.default_rng(0)
    for split in ("train", "val"):
        for kind in ("images", "masks"):
            (folder / kind / split).mkdir(parents=True)
        for number in range(max(_BATCHES)):
            pixels = rng.integers(0, 256, (*_SIZE, 3), np.uint8)
            labels = rng.integers(0, _CLASSES, _SIZE, np.uint8)
            Image.fromarray(pixels).save(folder / "images" / split / f"{number}.png")
            Image.fromarray(labels).save(folder / "masks" / split / f"{number}.png")
    with (folder / "classes.csv").open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([("label", "name"), *((label, f"class {label}") for label in range(_CLASSES))])


def train_on_noise(phase: Phase, on_progress: Step) -> None:
    """Do the first step of a run of each kind, and label an image.

    Parameters
    ----------
    phase
        Called with what is compiled now.
    on_progress
        Called with (done, total, label) of the layers of a step.

    """
    device = load_accelerator("paper_device")
    with TemporaryDirectory(prefix="bittrue-warmup-") as folder:
        write_noise(Path(folder))
        for (name, scheme, options), batch in product(_RUNS, _BATCHES):
            phase(f"compile a training step of {name}, {scheme}, batches of {batch}")
            request = Request(name, f"folder:{folder}", preset(scheme), device, options, _SIZE, batch, steps=1)
            plan = make_plan(request)
            state = dict(plan.first_state().arrays)
            state, _ = plan.trainer.run_step(0, state, on_progress)
            plan.trainer.label(0, state)
