"""What a run on values will take of this machine: memory and time, before it begins."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from simulator.accelerator.spec import Accelerator
from simulator.errors import InputError
from simulator.graph.liveness import LiveNode, host_bytes, live_plan, weights_bytes
from workloads.counting import ARRAY_OPS
from workloads.network import Network

CODE_BYTES = 64 << 20
"""What compiled kernels and their buffers take once they run; measured, see docs/memory.md."""
_LAPS = 5
_MEMINFO = Path("/proc/meminfo")


@dataclass(frozen=True)
class Foresight:
    """Memory of one run on values, estimated from the network alone."""

    plan: tuple[LiveNode, ...]
    """What is alive at each node."""
    weights_bytes: int
    """All constants, once more as the kernels pack them."""
    tensors_bytes: int
    """Most that is alive at one time, in NumPy's elements, with what a layer of the array copies of its input; with
    keep_tensors all tensors."""

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
    copied = [host_bytes(graph.tensors[node.inputs[0]]) * isinstance(node.op, ARRAY_OPS) for node in graph.nodes]
    tensors = max((step.host_bytes + copy for step, copy in zip(plan, copied, strict=True)), default=0)
    if keep_tensors:
        everything = sum(host_bytes(tensor) for tensor in graph.tensors.values() if not tensor.is_constant)
        tensors = everything + max(copied, default=0)
    return Foresight(plan, weights_bytes(graph), tensors)


LONG_MACS = 20e9
"""From so many MACs on, `bittrue run` says beforehand what a run will take."""


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
    """Estimate seconds of a run on values from three convolutions timed now, in the accelerator's own arithmetic.

    One of 57.8 MMAC says what a MAC takes, one of sixteen MACs a byte what a byte of an intermediate takes beside them,
    one of a single MAC what a layer takes whatever it computes; each is the fastest of five runs after a first.
    """
    layer_s, _, _ = _timed_layer(accelerator, threads, side=1, channels=1, filters=1, kernel=1)
    dense_s, dense_macs, _ = _timed_layer(accelerator, threads, side=28, channels=64, filters=128, kernel=3)
    thin_s, thin_macs, thin_bytes = _timed_layer(accelerator, threads, side=112, channels=16, filters=16, kernel=1)
    mac_s = max(0.0, dense_s - layer_s) / dense_macs
    byte_s = max(0.0, thin_s - layer_s - thin_macs * mac_s) / thin_bytes
    written = sum(host_bytes(network.graph.tensors[name]) for node in network.graph.nodes for name in node.outputs)
    return network.macs * mac_s + written * byte_s + len(network.graph.nodes) * layer_s


def _timed_layer(
    accelerator: Accelerator, threads: int | None, *, side: int, channels: int, filters: int, kernel: int
) -> tuple[float, int, int]:
    """Return seconds, MACs and bytes written of a convolution of a square image."""
    from bittrue.api import prepare
    from workloads.nets.single import conv2d

    rng = np.random.default_rng(0)
    layer = conv2d(side, side, channels, filters, kernel, padding=kernel // 2)
    layer = layer.with_weights(rng.integers(-100, 101, (filters, kernel, kernel, channels)))
    inputs = [rng.integers(-100, 101, (1, side, side, channels), np.int8)]
    prepared = prepare(layer, accelerator, values_only=True, threads=threads)
    prepared.run(inputs)
    laps = []
    for _ in range(_LAPS):
        began = time.perf_counter()
        prepared.run(inputs)
        laps.append(time.perf_counter() - began)
    return min(laps), layer.macs, side * side * filters
