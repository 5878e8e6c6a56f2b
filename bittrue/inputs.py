"""What `bittrue run -i` takes: an image, a .npy array, a .npz of arrays, or vectors by their manifest."""

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
from simulator.records.vectors.files import read_vectors
from workloads.images import prepare_image
from workloads.network import Network

Arrays = dict[str, NDArray[Any]]

_IMAGES = (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".tif", ".tiff", ".webp", ".ppm", ".pgm")
_ARRAYS = (".npy", ".npz", ".json")


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
        raise InputError(
            f"input {path}: give an image ({', '.join(_IMAGES)}), a .npy or a .npz file, or vectors' .json"
        )


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
    """Read a .npy (named '') or .npz file, or the stimuli of a manifest; InputError where it holds no plain arrays."""
    if path.suffix.lower() == ".json":
        return read_vectors(path, roles=("stimulus",))
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
        image,
        quantization.scheme,
        on_progress=progress.update,
        calibration=quantization.calibration,
        activation_scales=quantization.activation_scales,
    )


def _quantized(network: Network, name: str, value: NDArray[Any]) -> NDArray[Any]:
    tensor = network.graph.tensors[name]
    if value.dtype.kind != "f" or not isinstance(tensor.format, IntFormat):
        return value
    stored = np.rint(value / tensor.scale) + tensor.zero_point
    quantized: NDArray[Any] = np.clip(stored, tensor.format.min, tensor.format.max).astype(tensor.format.dtype)
    return quantized


def random_inputs(network: Network, seed: int) -> Arrays:
    """Draw every input uniformly from all integers of its format, the same ones on any machine and NumPy.

    The n-th input takes, element by element, the upper bits of the raw 64-bit output of PCG64 seeded by
    SeedSequence([seed, n]); both streams are frozen by NumPy's compatibility policy (NEP 19).

    Raises
    ------
    InputError
        An input that does not take integers.

    """
    found = {}
    for index, tensor in enumerate(network.graph.input_tensors):
        format = tensor.format
        if not isinstance(format, IntFormat):
            raise InputError(
                f"{network.name} takes {tensor.name} as {format}; random integers are for integer inputs: give a file"
            )
        raw = np.random.PCG64(np.random.SeedSequence([seed, index])).random_raw(tensor.elements)
        top = np.asarray(raw, np.uint64) >> np.uint64(64 - format.bits)
        offset = np.uint64(format.min % 2**64)  # modulo 2^64, so that 64-bit formats come out right too
        found[tensor.name] = (top + offset).view(np.int64).astype(format.dtype).reshape(tensor.shape)
    return found
