"""Files of weights: torch state dicts, safetensors, .npz."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from simulator.errors import NetworkError
from simulator.records.arrays import read_arrays


@dataclass(frozen=True)
class WeightFile:
    """The arrays of a file, by the name of the constant they are for."""

    arrays: Mapping[str, NDArray[Any]]
    torch_layout: bool
    """Convolution weights are [filters, channels, kernel_h, kernel_w], else [filters, kernel_h, kernel_w, channels]."""
    partial: bool = False
    """A backbone alone, in which constants may be missing."""


def read_weights(path: Path) -> WeightFile:
    """Return the arrays of `path`.

    ``.pth`` and ``.pt``: a torch state dict, read without running code from it (extra `torch`). ``.safetensors``: the
    same names, without torch (extra `safetensors`). ``.npz``: names and layout of the network's own constants; where
    all float arrays are called `<layer>.w` and `<layer>.b`, a backbone in torch's layout, whose missing rest is seeded.
    Such a backbone comes from Caffe and takes images in blue, green, red: its first filters are turned for ours.

    Raises
    ------
    NetworkError
        No such file, another format, a damaged file, or an extra that is not installed.

    """
    if not path.is_file():
        kinds = "a .pth, .safetensors or .npz file"
        raise NetworkError(f'weights {path}: no such file; weights is None, "seeded" or {kinds}')
    suffix = path.suffix.lower()
    if suffix in (".pth", ".pt"):
        return WeightFile(_state_dict(path), torch_layout=True)
    if suffix == ".safetensors":
        return WeightFile(_safetensors(path), torch_layout=True)
    if suffix != ".npz":
        raise NetworkError(f"weights {path}: {suffix or 'no suffix'} is no kind of weights: .pth, .safetensors, .npz")
    try:
        arrays = read_arrays(path)
    except (OSError, ValueError) as error:
        raise NetworkError(f"weights {path}: not a .npz of arrays ({error})") from None
    floats = {name: values for name, values in arrays.items() if values.dtype.kind == "f"}
    if floats and all(name.endswith((".w", ".b")) for name in floats):
        return WeightFile({_long_name(name): _for_rgb(values) for name, values in floats.items()}, True, partial=True)
    return WeightFile(arrays, torch_layout=False)


def _for_rgb(values: NDArray[Any]) -> NDArray[Any]:
    """Turn the channels of filters [filters, channels, height, width] that read an image; others stay."""
    return values[:, ::-1] if values.ndim == 4 and values.shape[1] == 3 else values


def _long_name(name: str) -> str:
    return name[:-1] + {"w": "weight", "b": "bias"}[name[-1]]


def _state_dict(path: Path) -> dict[str, NDArray[Any]]:
    torch = _extra("torch", "torch", path)
    try:
        loaded = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch hands on what its zip reader and unpickler raise
        first = (str(error).splitlines() or [""])[0]
        raise NetworkError(f"weights {path}: not a state dict ({type(error).__name__}: {first})") from None
    if not isinstance(loaded, Mapping) or not all(isinstance(value, torch.Tensor) for value in loaded.values()):
        raise NetworkError(f"weights {path}: not a state dict, which holds tensors by name; save model.state_dict()")
    return {
        str(name): np.asarray((value.float() if value.is_floating_point() else value).numpy())
        for name, value in loaded.items()
    }


def _safetensors(path: Path) -> dict[str, NDArray[Any]]:
    library = _extra("safetensors.numpy", "safetensors", path)
    try:
        return dict(library.load_file(path))
    except Exception as error:  # the reader's own error type, or KeyError for a type that NumPy does not have
        raise NetworkError(f"weights {path}: not readable ({type(error).__name__}: {error})") from None


def _extra(module: str, extra: str, path: Path) -> Any:
    try:
        return import_module(module)
    except ImportError:
        raise NetworkError(f"weights {path}: needs the extra {extra}: pip install 'bittrue[{extra}]'") from None
