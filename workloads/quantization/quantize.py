"""From a float network and images to an integer network; and its outline, where only time is asked for."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from simulator.errors import InputError, NetworkError
from simulator.graph.graph import Graph, Tensor
from simulator.graph.ops import BatchNorm
from simulator.numerics.formats import Float32
from simulator.numerics.quant import QuantParams
from workloads.images import image_input, prepare_image
from workloads.network import Images, Network, Progress
from workloads.quantization.calibrate import calibrate
from workloads.quantization.rewrite import rewrite
from workloads.quantization.scales import activation_params
from workloads.quantization.simplify import simplify

Inputs = dict[str, NDArray[Any]]
Scheme = Callable[[Network, Sequence[Inputs], Progress | None], Graph]

_OUTLINE_ACTIVATION = QuantParams.per_tensor(2.0**-5)
_OUTLINE_WEIGHT_SCALE = 2.0**-7


def quantize(network: Network, images: Images, scheme: str = "affine", on_progress: Progress | None = None) -> Network:
    """Return the integer network; see `Network.quantize`."""
    if scheme not in SCHEMES:
        raise InputError(f"no quantization scheme {scheme!r}; there is {', '.join(map(repr, SCHEMES))}")
    if not network.is_float:
        raise NetworkError(f"{network.name}: the network is integer already; it needs no quantization")
    if not network.has_weights:
        raise NetworkError(f'{network.name}: no weights to quantize; load the network with weights="seeded" or a file')
    inputs = calibration_inputs(network, images)
    graph = SCHEMES[scheme](network, inputs, on_progress)
    count = f"{len(inputs)} image{'s' if len(inputs) > 1 else ''}"
    notes = [f"quantized to int8 (scheme {scheme}: per-filter weights, min-max ranges), calibrated on {count}"]
    if network.seeded and any(isinstance(node.op, BatchNorm) for node in network.graph.nodes):
        notes.append("batch-norm statistics were measured on the first calibration image")
    return network.with_graph(graph, notes)


def outline(network: Network) -> Network:
    """Return the integer network without values: shapes, formats and power-of-two scales, enough for its time."""
    bare = {
        name: Tensor(name, tensor.shape, tensor.format, tensor.quant, placeholder=True)
        if tensor.is_constant and isinstance(tensor.format, Float32)
        else tensor
        for name, tensor in network.graph.tensors.items()
    }
    graph = simplify(Graph(network.graph.name, bare, network.graph.nodes, network.graph.inputs, network.graph.outputs))
    params = {name: _OUTLINE_ACTIVATION for name, t in graph.tensors.items() if not t.is_constant}
    return network.with_graph(rewrite(graph, params, _outline_filter_params), ["timed as int8, without values"])


def _outline_filter_params(weights: Tensor, bias: Tensor | None, input_scale: float) -> QuantParams:
    return QuantParams((_OUTLINE_WEIGHT_SCALE,) * weights.shape[0], (0,) * weights.shape[0], 0)


def _affine(network: Network, inputs: Sequence[Inputs], on_progress: Progress | None) -> Graph:
    """int8 with zero point by least and greatest value; weights symmetric per filter."""
    ranges, statistics = calibrate(network.graph, inputs, measure_norms=network.seeded, on_progress=on_progress)
    graph = simplify(network.graph, statistics)
    return rewrite(graph, activation_params(graph, ranges))


SCHEMES: Mapping[str, Scheme] = {"affine": _affine}
"""Ways to quantize, by the name that `Network.quantize` takes."""


def calibration_inputs(network: Network, images: Images) -> list[Inputs]:
    """Return the network's float inputs for every image.

    Parameters
    ----------
    network
        A float network.
    images
        One or several of: a file, pixels uint8 [height, width, channels], a float32 array in the layout of the only
        input, or a dict of arrays by input name. A uint8 array [n, height, width, channels] is n images.

    Raises
    ------
    InputError
        None at all, or one that does not suit the network; names its number.

    """
    if isinstance(images, str | Path | Mapping) or (isinstance(images, np.ndarray) and not _is_stack(images)):
        images = [images]
    items: list[Any] = list(images)
    if not items:
        raise InputError(f"{network.name}: calibration needs at least one image")
    return [_calibration_input(network, item, index) for index, item in enumerate(items)]


def _is_stack(images: NDArray[Any]) -> bool:
    return images.dtype == np.uint8 and images.ndim == 4


def _calibration_input(network: Network, item: Any, index: int) -> Inputs:
    if isinstance(item, Mapping):
        return {name: np.asarray(value) for name, value in item.items()}
    if isinstance(item, np.ndarray) and item.dtype.kind == "f":
        tensors = network.graph.input_tensors
        if len(tensors) != 1 or item.shape != tensors[0].shape:
            wanted = ", ".join(f"{tensor.name} {list(tensor.shape)}" for tensor in tensors)
            raise InputError(f"{network.name}: calibration input {index} has shape {list(item.shape)}, not {wanted}")
        return {tensors[0].name: item.astype(np.float32)}
    image_input(network)
    return prepare_image(network, item)
