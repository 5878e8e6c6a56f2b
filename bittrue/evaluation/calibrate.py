"""The integer network of an evaluation, and the float one it is held to."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from inspect import signature
from typing import Any

from bittrue.evaluation.plan import network_pixels
from simulator.errors import InputError, NetworkError
from workloads.datasets import Dataset, SampleError, open_dataset
from workloads.fitting import Fit
from workloads.network import Network

_SPLIT = "train"


def integer_network(
    net: Network,
    float_network: Network | None,
    dataset: Dataset,
    spec: str | None,
    options: Mapping[str, Any],
    images: int,
    fit: Fit,
) -> tuple[Network, Network | None]:
    """Return an integer network and its float one; a float `net` is quantized on the first usable samples.

    Those are of the train split where the data set, opened from `spec`, has one, and else of the evaluated split.
    `options` are keywords of `Network.quantize`.
    """
    if not isinstance(net, Network):
        raise NetworkError(f"net is a Network, as bittrue.load_network gives it, not {net!r}")
    if not net.is_float:
        if options:
            raise InputError(f"{net.name} is integer already: {', '.join(options)} would change nothing")
        return net, float_network
    known = [name for name in signature(net.quantize).parameters if name not in ("images", "on_progress")]
    for name in options:
        if name not in known:
            raise InputError(f"quantize has no option {name!r}; it has {', '.join(known)}")
    if float_network is not None:
        raise InputError(f"{net.name} is float itself; give an integer network, or no float_network")
    if isinstance(images, bool) or not isinstance(images, int) or images < 1:
        raise InputError(f"calibration_images is a whole number from 1, not {images!r}")
    if not net.has_weights:
        net.ready(for_values=True)
    source = open_dataset(spec, _SPLIT) if spec is not None and _SPLIT in dataset.splits else dataset
    found = []
    for index in range(len(source)):
        try:
            found.append(network_pixels(net, source.sample(index).image, fit))
        except SampleError:
            continue
        if len(found) == images:
            break
    if not found:
        raise InputError(f"no sample of {source.name} {source.split} can be used to calibrate {net.name}")
    how = ", ".join(f"{key}={value}" for key, value in options.items())
    note = f"quantized on {len(found)} images of {source.name} {source.split}{f' ({how})' if how else ''}"
    integer = net.quantize(found, **options)
    return replace(integer, notes=(*integer.notes, note)), net
