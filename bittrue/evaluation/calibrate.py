"""The integer network of an evaluation, and the float one it is held to."""

from __future__ import annotations

from dataclasses import replace

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
    scheme: str,
    images: int,
    fit: Fit,
) -> tuple[Network, Network | None]:
    """Return an integer network and its float one; a float `net` is quantized on the first usable samples.

    Those are of the train split where the data set, opened from `spec`, has one, and else of the evaluated split.
    """
    if not isinstance(net, Network):
        raise NetworkError(f"net is a Network, as bittrue.load_network gives it, not {net!r}")
    if not net.is_float:
        return net, float_network
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
    note = f"quantized ({scheme}) on {len(found)} images of {source.name} {source.split}"
    integer = net.quantize(found, scheme)
    return replace(integer, notes=(*integer.notes, note)), net
