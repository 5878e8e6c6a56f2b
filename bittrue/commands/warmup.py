"""`bittrue warmup`: compile the kernels before they are needed."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from bittrue.console import refusals, stderr, stdout

if TYPE_CHECKING:
    from bittrue.progress import RunProgress

SMALL, LARGE = 32, 257
"""Input sizes: every kernel runs on a small image but those that are for large tensors only."""


@refusals
def warmup() -> None:
    """Compile the kernels that the built-in networks use, so that the next run starts at once."""
    from accel_models.load import preset_names
    from bittrue.progress import RunProgress
    from workloads.nets import registry

    began = time.perf_counter()
    with RunProgress(stderr()) as progress:
        _run("deeplabv3_resnet50", LARGE, preset_names()[:1], progress)
        for name in registry.names():
            _run(name, SMALL, preset_names(), progress)
    stdout().print(f"kernels compiled and kept, in {time.perf_counter() - began:.1f} s")


def _run(name: str, size: int, accelerators: tuple[str, ...], progress: RunProgress) -> None:
    """Run a thin network on noise."""
    import numpy as np

    from accel_models.load import load_accelerator
    from bittrue.api import prepare
    from workloads.images import prepare_image
    from workloads.load import load_network

    network = load_network(name, size=size, width=0.125, weights="seeded")
    pixels = np.random.default_rng(0).integers(0, 256, (size, size, 3), np.uint8)
    network = network.quantize(pixels)
    for accelerator in accelerators:
        progress.phase(f"compile {name} on {accelerator}")
        prepared = prepare(network, load_accelerator(accelerator))
        prepared.run(prepare_image(network, pixels), lambda *step: _show(progress, *step))


def _show(progress: RunProgress, done: int, total: int, label: str) -> None:
    """Show a step without the phase it names: all are phases of compiling here."""
    progress.update(done, total, label.partition(": ")[2])
