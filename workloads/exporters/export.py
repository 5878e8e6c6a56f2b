"""Write a network to a file of the kind that its suffix names, whole or not at all."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from simulator.errors import NetworkError
from workloads.exporters.files import whole_file
from workloads.network import Network


def _tflite(network: Network, path: Path) -> bytes:
    from workloads.exporters.tflite import tflite_bytes

    return tflite_bytes(network, path)


def _onnx(network: Network, path: Path) -> bytes:
    from workloads.exporters.onnx import onnx_bytes

    return onnx_bytes(network, path)


_FORMATS: Mapping[str, Callable[[Network, Path], bytes]] = {".tflite": _tflite, ".onnx": _onnx}
SUFFIXES = (*_FORMATS, ".npz")
"""Kinds of files that are written."""


def export(network: Network, path: str | Path) -> Path:
    """Write an integer network; see `Network.export`."""
    from workloads.exporters.npz import save_network

    target = Path(path)
    suffix = target.suffix.lower()
    check_target(target)
    content = None if suffix == ".npz" else _content(network, target)
    try:
        if content is None:
            return save_network(network, target)
        with whole_file(target) as file:
            file.write(content)
    except OSError as error:
        raise NetworkError(f"{target}: cannot be written ({error})") from None
    return target


def _content(network: Network, target: Path) -> bytes:
    suffix = target.suffix.lower()
    if network.is_float:
        raise NetworkError(
            f"{target}: {network.name} is float; {suffix} takes an integer network: call net.quantize(images) first"
        )
    if not network.has_weights:
        raise NetworkError(f"{target}: {network.name} has no weights, and a {suffix} file is nothing without them")
    return _FORMATS[suffix](network, target)


def check_target(path: Path) -> None:
    """Refuse, before anything is computed, a file of a kind that is not written or in a folder that is not there."""
    if path.suffix.lower() not in SUFFIXES:
        raise NetworkError(f"{path}: networks are written as {', '.join(SUFFIXES)}, by the suffix of the file")
    if path.is_dir() or not path.parent.is_dir():
        raise NetworkError(f"{path}: {'it is a folder' if path.is_dir() else f'there is no folder {path.parent}'}")
