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
from workloads.nets.backbone_names import BACKBONE_FITS, is_numbered_backbone, torchvision_names


@dataclass(frozen=True)
class WeightFile:
    """The arrays of a file, by the name of the constant they are for."""

    arrays: Mapping[str, NDArray[Any]]
    torch_layout: bool | None
    """Convolution weights are [filters, channels, kernel_h, kernel_w], else [filters, kernel_h, kernel_w, channels];
    None = the shapes of the arrays alone do not tell."""
    partial: bool = False
    """A backbone alone, in which constants may be missing."""
    hint: str = ""
    """Where the file can be used, if not in any network."""


def read_weights(path: Path) -> WeightFile:
    """Return the arrays of `path`.

    ``.pth`` and ``.pt``: a torch state dict, read without running code from it (extra `torch`). ``.safetensors``: the
    same names, without torch (extra `safetensors`). ``.npz``: the same names, in torch's layout or the network's own,
    told apart by the square sides of the filters; where all float arrays are called `<layer>.w` and `<layer>.b`, a
    backbone in torch's layout, whose missing rest is seeded. Such a backbone comes from Caffe and takes images in blue,
    green, red: its first filters are turned for ours.

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
        backbone = {_long_name(name): _for_rgb(values) for name, values in floats.items()}
        if is_numbered_backbone(backbone):
            return WeightFile(dict(torchvision_names(backbone)), True, partial=True, hint=BACKBONE_FITS)
        return WeightFile(backbone, True, partial=True)
    return WeightFile(arrays, _is_torch_layout(floats, path))


def _is_torch_layout(arrays: Mapping[str, NDArray[Any]], path: Path) -> bool | None:
    """Tell by filters with as many rows as columns but another number of channels; None where there are none."""
    shapes = {name: values.shape for name, values in arrays.items() if values.ndim == 4}
    torch = [name for name, (_, a, b, c) in shapes.items() if b == c != a]
    own = [name for name, (_, a, b, c) in shapes.items() if a == b != c]
    if torch and own:
        raise NetworkError(
            f"weights {path}: {torch[0]} {shapes[torch[0]]} is [filters, channels, height, width], {own[0]} "
            f"{shapes[own[0]]} is [filters, height, width, channels]; give all arrays one layout"
        )
    return bool(torch) if torch or own else None


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
