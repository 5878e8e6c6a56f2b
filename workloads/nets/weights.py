"""Where the constants of a built-in network come from: nowhere, a seed, or a file."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Protocol
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

from simulator.errors import NetworkError
from simulator.records.arrays import read_arrays

Shape = tuple[int, ...]

_BRANCH_SCALE = 0.1


class WeightSource(Protocol):
    """Gives the constants of a network one by one."""

    def take(self, name: str, shape: Shape, role: str) -> NDArray[np.float32]:
        """Return a constant.

        `role` is conv, branch (last of a residual branch), score, bilinear, bias, gamma, branch_gamma, beta, mean or
        variance.
        """
        ...

    def finish(self, network: str) -> None:
        """Raise NetworkError if what was taken is not what there was."""
        ...


def weight_source(weights: str | Path | None, seed: int = 0) -> WeightSource | None:
    """Return the source that ``weights=`` of a built-in network names: None, ``"seeded"`` or a .npz file."""
    if weights is None:
        return None
    return SeededWeights(seed) if weights == "seeded" else FileWeights(Path(weights))


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
        if role == "score":
            values -= values.mean(axis=(1, 2, 3), keepdims=True)
        values *= np.float32(np.sqrt(2 / np.prod(shape[1:])) * (_BRANCH_SCALE if role == "branch" else 1))
        return values

    def finish(self, network: str) -> None:
        """Nothing can be left over."""


class FileWeights:
    """Weights from a .npz with one array per constant, named and laid out as the network's own tensors.

    Names are those of the graph's constants (``classifier.4.weight`` ...); convolution weights are
    [filters, kernel_h, kernel_w, channels].
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._problems: list[str] = []
        try:
            self._arrays: dict[str, NDArray[Any]] = read_arrays(path)
        except FileNotFoundError:
            raise NetworkError(f'weights {path}: no such file; weights is None, "seeded" or a .npz file') from None
        except (OSError, ValueError) as error:
            raise NetworkError(f"weights {path}: not a .npz of arrays ({error})") from None

    def take(self, name: str, shape: Shape, role: str) -> NDArray[np.float32]:
        """Return the constant `name`; what is wrong with it is told by `finish`."""
        values = self._arrays.pop(name, None)
        if values is None:
            self._problems.append(f"{name} {shape}: missing")
        elif values.shape != shape or values.dtype.kind != "f":
            self._problems.append(f"{name}: {values.dtype} {values.shape}, the network takes float {shape}")
        elif not np.isfinite(values).all():
            self._problems.append(f"{name}: not finite")
        else:
            return np.ascontiguousarray(values, np.float32)
        return np.zeros(shape, np.float32)

    def finish(self, network: str) -> None:
        """Raise one NetworkError that lists every wrong, missing and left-over array."""
        problems = self._problems + [f"{name}: the network has no such constant" for name in sorted(self._arrays)]
        if problems:
            lines = "\n".join(f"  {problem}" for problem in problems)
            raise NetworkError(f"{network}: weights {self.path} do not suit the network:\n{lines}")


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
