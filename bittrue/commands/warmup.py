"""`bittrue warmup`: compile the kernels before they are needed."""

from __future__ import annotations

import time
from collections.abc import Hashable, Sequence
from typing import TYPE_CHECKING

from bittrue.console import refusals, refuse, stderr, stdout

if TYPE_CHECKING:
    from bittrue.progress import RunProgress
    from simulator.accelerator.spec import Accelerator
    from workloads.network import Network

SMALL, LARGE = 32, 257
"""Input sizes: every kernel runs on a small image but those that are for large tensors only."""


@refusals
def warmup() -> None:
    """Compile the kernels that the built-in networks and their training use, so that the next run starts at once."""
    from bittrue.progress import RunProgress
    from bittrue.training.warmup import train_on_noise
    from simulator.kernels import _jit
    from workloads.nets import registry

    if not _jit.KEEPS_KERNELS:
        raise refuse(f"nothing to warm up: {_jit.NOT_KEPT}")
    began = time.perf_counter()
    with RunProgress(stderr()) as progress:
        devices = _devices()
        _run("deeplabv3_resnet50", LARGE, devices[:1], progress)
        for name in registry.builtin_names():
            _run(name, SMALL, devices, progress)
        trained = time.perf_counter()
        train_on_noise(progress.phase, lambda *step: _show(progress, *step))
    ended = time.perf_counter()
    stdout().print(f"kernels compiled and kept, in {ended - began:.1f} s, those of training in {ended - trained:.1f} s")


def _devices() -> list[Accelerator]:
    """Return a preset of each kind that kernels tell apart: what executes values, and what drives the device."""
    from accel_models.load import load_accelerator, preset_names

    kinds: dict[Hashable, Accelerator] = {}
    for device in map(load_accelerator, preset_names()):
        registers = device.partial_sum, device.arithmetic.accumulator
        kind = (device.array.dataflow, *registers, device.arithmetic.requantizer, device.controller is None)
        kinds.setdefault(kind, device)
    return list(kinds.values())


def _run(name: str, size: int, accelerators: Sequence[Accelerator], progress: RunProgress) -> None:
    """Run a thin network on noise."""
    import numpy as np

    from bittrue.api import prepare
    from bittrue.quantization import choose_quantization
    from workloads.images import prepare_image
    from workloads.load import load_network

    network = load_network(name, size=size, width=0.125, weights="seeded")
    pixels = np.random.default_rng(0).integers(0, 256, (size, size, 3), np.uint8)
    integer: dict[str, Network] = {}
    for accelerator in accelerators:
        progress.phase(f"compile {name} on {accelerator.name}")
        scheme = choose_quantization(accelerator, None, "minmax").scheme
        if scheme not in integer:
            integer[scheme] = network.quantize(pixels, scheme)
        prepared = prepare(integer[scheme], accelerator)
        prepared.run(prepare_image(integer[scheme], pixels), lambda *step: _show(progress, *step))


def _show(progress: RunProgress, done: int, total: int, label: str) -> None:
    """Show a step without the phase it names: all are phases of compiling here."""
    progress.update(done, total, label.partition(": ")[2])
