"""What `bittrue run -i` takes: an image, a .npy array or a .npz of arrays."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bittrue.progress import RunProgress
from bittrue.quantization import Quantization
from simulator.errors import InputError
from simulator.numerics.formats import IntFormat
from simulator.records.arrays import read_arrays
from workloads.images import prepare_image
from workloads.network import Network

Arrays = dict[str, NDArray[Any]]

_IMAGES = (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".tif", ".tiff", ".webp", ".ppm", ".pgm")
_ARRAYS = (".npy", ".npz")


@dataclass(frozen=True, eq=False)
class ReadyNetwork:
    """A network that can be run, and what it runs on."""

    network: Network
    inputs: Arrays


def check_input_file(path: Path) -> None:
    """Raise InputError where `path` is missing or of a kind that `prepare_input` does not read."""
    if not path.is_file():
        raise InputError(f"input {path}: {'it is a folder' if path.is_dir() else 'no such file'}")
    if path.suffix.lower() not in (*_IMAGES, *_ARRAYS):
        raise InputError(f"input {path}: give an image ({', '.join(_IMAGES)}), a .npy or a .npz file")


def prepare_input(network: Network, path: Path, progress: RunProgress, quantization: Quantization) -> ReadyNetwork:
    """Read an input file; a float network is calibrated on it and made integer.

    Raises
    ------
    InputError
        A file that is damaged or does not suit the network.

    """
    if path.suffix.lower() in _IMAGES:
        integer = _calibrated(network, path, path, progress, quantization)
        return ReadyNetwork(integer, prepare_image(integer, path))
    arrays = by_name(network, read_input_arrays(path), path)
    if not network.is_float:
        return ReadyNetwork(network, arrays)
    if len(arrays) != 1:
        raise InputError(
            f"{network.name} is float; only a network of one input is calibrated by `run`: make it integer"
        )
    integer = _calibrated(network, next(iter(arrays.values())), path, progress, quantization)
    return ReadyNetwork(integer, {name: _quantized(integer, name, value) for name, value in arrays.items()})


def read_input_arrays(path: Path) -> Arrays:
    """Read a .npy (named '') or .npz file; InputError where it holds no plain arrays."""
    try:
        return read_arrays(path)
    except ValueError as error:
        raise InputError(f"input {path}: not a readable {path.suffix} file of plain arrays ({error})") from None


def by_name(network: Network, arrays: Arrays, path: Path) -> Arrays:
    """Give arrays the names of the network's inputs: their own where they match, else the order of the file.

    Raises
    ------
    InputError
        Too many or too few arrays, or names of which only some are the network's.

    """
    wanted = network.graph.inputs
    if set(arrays) == set(wanted):
        return {name: arrays[name] for name in wanted}
    takes = f"{network.name} takes {', '.join(wanted)}"
    strangers = [name for name in arrays if name and name not in wanted and not name.startswith("arr_")]
    if strangers:
        raise InputError(f"input {path}: {strangers[0]!r} is no input of the network; {takes}")
    if len(arrays) != len(wanted):
        raise InputError(f"input {path}: holds {len(arrays)} arrays; {takes}")
    return dict(zip(wanted, arrays.values(), strict=True))


def _calibrated(
    network: Network, image: Path | NDArray[Any], path: Path, progress: RunProgress, quantization: Quantization
) -> Network:
    if not network.is_float:
        return network
    progress.phase("calibrate", f"{network.name} on {path.name}")
    if quantization.reason:
        progress.note(quantization.reason)
    return network.quantize(
        image, quantization.scheme, on_progress=progress.update, calibration=quantization.calibration
    )


def _quantized(network: Network, name: str, value: NDArray[Any]) -> NDArray[Any]:
    tensor = network.graph.tensors[name]
    if value.dtype.kind != "f" or not isinstance(tensor.format, IntFormat):
        return value
    stored = np.rint(value / tensor.scale) + tensor.zero_point
    quantized: NDArray[Any] = np.clip(stored, tensor.format.min, tensor.format.max).astype(tensor.format.dtype)
    return quantized
