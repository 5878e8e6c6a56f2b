"""`bittrue warmup`: compile the kernels before they are needed."""

from __future__ import annotations

import time

from bittrue.console import refusals, stderr, stdout


@refusals
def warmup() -> None:
    """Compile the kernels that convolutional networks use, so that the next run starts at once."""
    import numpy as np

    from accel_models.load import load_accelerator, preset_names
    from bittrue.api import prepare
    from bittrue.progress import RunProgress
    from workloads.images import prepare_image
    from workloads.load import load_network

    began = time.perf_counter()
    size, width = 33, 0.125
    network = load_network("deeplabv3_resnet50", size=size, width=width, weights="seeded")
    pixels = np.random.default_rng(0).integers(0, 256, (size, size, 3), np.uint8)
    with RunProgress(stderr()) as progress:
        network = network.quantize(pixels, on_progress=progress.update)
        for name in preset_names():
            progress.phase(f"run {name}")
            prepare(network, load_accelerator(name)).run(prepare_image(network, pixels))
    stdout().print(f"kernels compiled and kept, in {time.perf_counter() - began:.1f} s")
