"""What a run on values will take of this machine: memory and time, before it begins."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from simulator.accelerator.spec import Accelerator
from simulator.errors import InputError
from simulator.graph.liveness import LiveNode, host_bytes, live_plan, weights_bytes
from workloads.network import Network

CODE_BYTES = 56 << 20
"""What compiled kernels and their buffers take once they run; measured, see docs/memory.md."""
_MEMINFO = Path("/proc/meminfo")


@dataclass(frozen=True)
class Foresight:
    """Memory of one run on values, estimated from the network alone."""

    plan: tuple[LiveNode, ...]
    """What is alive at each node."""
    weights_bytes: int
    """All constants, once more as the kernels pack them."""
    tensors_bytes: int
    """Most that is alive at one time, in NumPy's elements; with keep_tensors all of them."""

    @property
    def peak(self) -> LiveNode | None:
        """The first node at which most is alive; None for a network without nodes."""
        return max(self.plan, key=lambda step: step.bytes, default=None)

    @property
    def run_bytes(self) -> int:
        """What the run adds to the process: kernels, packed weights, tensors."""
        return CODE_BYTES + self.weights_bytes + self.tensors_bytes


def foresee(network: Network, *, keep_tensors: bool = False) -> Foresight:
    """Estimate the memory of a run on values of `network`, lowered already or not."""
    graph = network.graph
    plan = live_plan(graph)
    tensors = max((step.host_bytes for step in plan), default=0)
    if keep_tensors:
        tensors = sum(host_bytes(tensor) for tensor in graph.tensors.values() if not tensor.is_constant)
    return Foresight(plan, weights_bytes(graph), tensors)


def refuse_what_cannot_fit(network: Network, keep_tensors: bool, available: int | None) -> None:
    """Raise InputError where a run on values is estimated to need more than `available` bytes (None = not known)."""
    needed = foresee(network, keep_tensors=keep_tensors)
    if available is None or needed.run_bytes <= available:
        return
    peak = needed.peak
    where = f", most at {peak.node}" if peak and not keep_tensors else ""
    keep = "leave --keep-tensors out, " if keep_tensors else ""
    raise InputError(
        f"{network.name}: the run would take about {needed.run_bytes >> 20:,} MiB more memory (tensors "
        f"{needed.tensors_bytes >> 20:,} MiB{where}), and {available >> 20:,} MiB are free; {keep}take a smaller input "
        "or batch, or go on all the same with --ignore-memory"
    )


def available_bytes() -> int | None:
    """Memory that new allocations can have without swapping, bytes: Linux's MemAvailable; None where it is not told."""
    try:
        lines = _MEMINFO.read_text(encoding="ascii").splitlines()
        return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable:"))
    except (OSError, StopIteration, ValueError):
        return None


def seconds_estimate(network: Network, accelerator: Accelerator, threads: int | None = None) -> float:
    """Estimate seconds of a run on values: the network's MACs at the pace of one layer measured now, on this machine.

    The layer is a convolution of 57.8 MMAC in the accelerator's own arithmetic, taken the second time that it runs.
    Layers of few MACs a byte (depthwise, vector unit) are slower than that.
    """
    from bittrue.api import prepare
    from workloads.nets.single import conv2d

    rng = np.random.default_rng(0)
    layer = conv2d(28, 28, 64, 128, 3, padding=1).with_weights(rng.integers(-100, 101, (128, 3, 3, 64)))
    inputs = [rng.integers(-100, 101, (1, 28, 28, 64), np.int8)]
    prepared = prepare(layer, accelerator, values_only=True, threads=threads)
    prepared.run(inputs)
    began = time.perf_counter()
    prepared.run(inputs)
    return network.macs * (time.perf_counter() - began) / layer.macs
