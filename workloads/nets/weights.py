"""Where the constants of a built-in network come from: nowhere, a seed, or a file."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Protocol
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

from simulator.errors import NetworkError
from workloads.nets.weight_files import read_weights

Shape = tuple[int, ...]

TRANSPOSED = ("bilinear", "transposed")
"""Roles of a transposed convolution's filters."""
_BRANCH_SCALE = 0.1
_SEEDED_NOTE = "weights are seeded random numbers, not trained: labels mean nothing, arithmetic and time are real"


class WeightSource(Protocol):
    """Gives the constants of a network one by one."""

    def take(self, name: str, shape: Shape, role: str) -> NDArray[np.float32]:
        """Return a constant.

        `role` is conv, branch (last of a residual branch), score, bilinear or transposed (filters of transposed
        convolutions), bias, gamma, branch_gamma, beta, mean, variance, or linear (fully connected, last).
        """
        ...

    def finish(self, network: str) -> tuple[str, ...]:
        """Return notes for the reader of a result; NetworkError if what was taken is not what there was."""
        ...


def weight_source(weights: str | Path | None, seed: int = 0) -> WeightSource | None:
    """Return the source that ``weights=`` of a built-in network names: None, ``"seeded"`` or a file."""
    if weights is None:
        return None
    return SeededWeights(seed) if weights == "seeded" else FileWeights(Path(weights), seed)


class SeededWeights:
    """Random weights, the same on every machine: each constant has its own generator, keyed by seed and name.

    Convolutions: normal, variance 2 / fan-in (He), which keeps the variance through ReLU. Filters of scores sum to 0,
    or the mean of the features they see, positive after ReLU, would decide for one class everywhere. Transposed
    convolutions: bilinear interpolation of each channel. Batch norm: identity; quantizing then measures its mean and
    variance, so that no depth makes activations vanish or explode. The last layer of a residual branch is scaled by
    0.1: a random network of full depth at scale 1 is chaotic (an error of half a step in the first layer is noise as
    large as the signal after 50), which no trained network is, and would say nothing about quantization.
    """

    def __init__(self, seed: int = 0) -> None:
        self.seed = seed

    def take(self, name: str, shape: Shape, role: str) -> NDArray[np.float32]:
        """Return the constant `name`."""
        if role in ("bias", "beta", "mean"):
            return np.zeros(shape, np.float32)
        if role in ("gamma", "variance"):
            return np.ones(shape, np.float32)
        if role == "branch_gamma":
            return np.full(shape, _BRANCH_SCALE, np.float32)
        if role == "bilinear":
            return bilinear_filters(shape)
        generator = np.random.default_rng([self.seed, crc32(name.encode())])
        values = generator.standard_normal(shape, np.float32)
        if role in ("score", "linear"):
            values -= values.mean(axis=tuple(range(1, values.ndim)), keepdims=True)
        values *= np.float32(np.sqrt(2 / np.prod(shape[1:])) * (_BRANCH_SCALE if role == "branch" else 1))
        return values

    def finish(self, network: str) -> tuple[str, ...]:
        """Nothing can be left over."""
        return (_SEEDED_NOTE,)


class FileWeights:
    """Weights from a file, as `read_weights` finds them.

    Every constant must be there, with its shape; what a state dict holds beside (an auxiliary head that was not asked
    for, counters of batches) is no mistake. In a file of a backbone alone (`partial`), what is missing is seeded.
    """

    def __init__(self, path: Path, seed: int = 0) -> None:
        self.path = path
        self._file = read_weights(path)
        self._arrays: dict[str, NDArray[Any]] = dict(self._file.arrays)
        self._seeded = SeededWeights(seed)
        self._problems: list[str] = []
        self._missing: list[str] = []
        self._taken = 0

    def take(self, name: str, shape: Shape, role: str) -> NDArray[np.float32]:
        """Return the constant `name`; what is wrong with it is told by `finish`."""
        values = self._arrays.pop(name, None)
        if values is None and role == "bilinear" and self._file.torch_layout:
            return bilinear_filters(shape)
        if values is None:
            self._missing.append(name)
            if self._file.partial:
                return self._seeded.take(name, shape, role)
            self._problems.append(f"{name} {shape}: missing")
            return np.zeros(shape, np.float32)
        if self._file.torch_layout is not False:
            turned = _own_layout(values, shape, role)
            if self._file.torch_layout:
                values = turned
            elif values.ndim == 4 and values.shape == turned.shape == shape and not np.array_equal(values, turned):
                self._problems.append(
                    f"{name} {shape}: reads as [filters, channels, height, width] and as [filters, height, width, "
                    "channels]; torch's layout is clear in a .safetensors or .pth file"
                )
                return np.zeros(shape, np.float32)
            elif values.shape != shape:
                values = turned
        if values.shape != shape or values.dtype.kind != "f":
            self._problems.append(f"{name}: {values.dtype} {values.shape}, the network takes float {shape}")
        elif not np.isfinite(values).all():
            self._problems.append(f"{name}: not finite")
        else:
            self._taken += 1
            return np.ascontiguousarray(values, np.float32)
        return np.zeros(shape, np.float32)

    def finish(self, network: str) -> tuple[str, ...]:
        """Raise one NetworkError that lists every wrong, missing and left-over array; return what was seeded."""
        left = () if self._file.partial else sorted(name for name in self._arrays if not _may_be_left(name))
        problems = self._problems + [f"{name}: the network has no such constant" for name in left]
        if self._file.partial and not self._taken:
            problems.append("none of its arrays is a constant of the network")
        if problems and self._file.hint:
            problems.append(self._file.hint)
        if problems:
            lines = "\n".join(f"  {problem}" for problem in problems)
            raise NetworkError(f"{network}: weights {self.path} do not suit the network:\n{lines}")
        if not self._missing:
            return ()
        missing = ", ".join(self._missing)
        return (f"{self.path.name} holds {self._taken} constants of the network; the rest is seeded: {missing}",)


def _own_layout(values: NDArray[Any], shape: Shape, role: str) -> NDArray[Any]:
    """Torch's [filters, channels, height, width] as [filters, height, width, channels].

    Transposed convolutions have [channels, filters, height, width] there.
    """
    if values.ndim == 4 and role in TRANSPOSED:
        return values.transpose(1, 2, 3, 0)
    if values.ndim == 2 and len(shape) == 4:  # a product over a flattened map, which is a convolution of all of it
        filters, height, width, channels = shape
        if values.shape == (filters, channels * height * width):
            values = values.reshape(filters, channels, height, width)
    return values.transpose(0, 2, 3, 1) if values.ndim == 4 else values


def _may_be_left(name: str) -> bool:
    return name.startswith("aux_classifier.") or name.endswith(".num_batches_tracked")


def bilinear_filters(shape: Shape) -> NDArray[np.float32]:
    """Return filters [channels, kernel, kernel, channels] that interpolate each channel bilinearly on its own.

    Source: upsample_filt of surgery.py, Shelhamer, Long, Darrell, "Fully convolutional networks".
    """
    filters, height, width, channels = shape
    values = np.zeros(shape, np.float32)
    for channel in range(min(filters, channels)):
        values[channel, :, :, channel] = np.outer(_triangle(height), _triangle(width))
    return values


def _triangle(size: int) -> NDArray[np.float64]:
    factor = (size + 1) // 2
    centre = factor - 1 if size % 2 else factor - 0.5
    return np.asarray(1 - np.abs(np.arange(size) - centre) / factor)
