"""What each way to quantize costs: `python -m benchmarks.quantization`.

A float network is quantized on some images and run on others. SQNR is 10 log10 of the power of the float logits over
that of the error of the integer network's; agreement is the part of pixels whose label, from those logits, is the float
network's. `hed` has trained weights and real images (both from BITTRUE_ASSETS); any built-in network is seeded, which
says how schemes compare, not what a trained network loses.
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import bittrue
from benchmarks.hed import hed
from benchmarks.plain_table import PlainTable
from simulator.accelerator.spec import Accelerator
from simulator.graph import ops
from workloads.images import prepare_image
from workloads.network import Network
from workloads.quantization.float_execute import run_float
from workloads.quantization.options import SHIFT_SCHEMES

Options = Mapping[str, Any]

_FOUR: Options = {"bits": {"*": {"weight_bits": 4}}}
ROWS: Mapping[str, Options] = {
    "affine": {},
    "affine, percentile 99.99": {"calibration": "percentile"},
    "affine, percentile 99.9": {"calibration": "percentile", "percentile": 99.9},
    "affine, mse": {"calibration": "mse"},
    "affine, kl": {"calibration": "kl"},
    "affine, bias correction": {"bias_correction": True},
    "affine, per-tensor weights": {"weight_scales": "per_tensor"},
    "affine, per tensor, equalized": {"weight_scales": "per_tensor", "equalize": True},
    "symmetric": {"scheme": "symmetric"},
    "power of two": {"scheme": "power_of_two"},
    "power of two, mse": {"scheme": "power_of_two", "calibration": "mse"},
    "power of two, per-tensor weights": {"scheme": "power_of_two", "weight_scales": "per_tensor"},
    "paper": {"scheme": "paper"},
    "paper, scales up": {"scheme": "paper", "scale_rounding": "up"},
    "paper, mse": {"scheme": "paper", "calibration": "mse"},
    "paper, dynamic scales": {"scheme": "paper", "activation_scales": "dynamic"},
    "paper, no weight shift": {"scheme": "paper", "weight_shift": "none"},
    "affine, 4-bit weights": _FOUR,
    "affine, 4-bit weights, bias correction": {**_FOUR, "bias_correction": True},
    "power of two, 4-bit weights": {**_FOUR, "scheme": "power_of_two"},
    "paper, 4-bit weights": {**_FOUR, "scheme": "paper"},
}
"""Ways to quantize, by the name that the table gives them."""


@dataclass(frozen=True)
class Score:
    """How near an integer network comes to its float self."""

    sqnr_db: float
    agreement: float
    """Part of the pixels with the same label."""


def score(network: Network, options: Options, calibration: list[Any], images: list[Any], floats: list[Any]) -> Score:
    """Quantize and run; `floats` are the float logits of `images`."""
    quantized = network.quantize(calibration, **options)
    prepared = bittrue.prepare(quantized, device_for(options), values_only=True, keep_tensors=True)
    power = noise = same = pixels = 0.0
    for image, exact in zip(images, floats, strict=True):
        run = prepared.run(prepare_image(quantized, image))
        found = real_logits(quantized, {**run.tensors, **run.outputs})
        power += float(np.square(exact, dtype=np.float64).sum())
        noise += float(np.square(found - exact).sum())
        same += int((labels(found) == labels(exact)).sum())
        pixels += labels(exact).size
    return Score(10 * float(np.log10(power / noise)), same / pixels)


def device_for(options: Options) -> Accelerator:
    """Return a preset that takes the scheme; where it shifts, it rounds to nearest, as inference does."""
    if options.get("scheme") not in SHIFT_SCHEMES:
        return bittrue.load_accelerator("edge_32x32")
    return bittrue.load_accelerator("paper_device").evolve({"arithmetic.requantizer.rounding": "ties_pos"})


def logits_name(network: Network) -> str:
    """Return the tensor that labels are made from: what the network's argmax reads, else its output."""
    (output,) = network.graph.outputs
    writer = next(node for node in network.graph.nodes if output in node.outputs)
    return writer.inputs[0] if isinstance(writer.op, ops.ArgMax) else output


def real_logits(quantized: Network, values: Mapping[str, NDArray[Any]]) -> NDArray[np.float64]:
    """Return the logits of a run as real numbers: by the scale of their tensor, or that which the device found."""
    name = logits_name(quantized)
    tensor, stored = quantized.graph.tensors[name], values[name].astype(np.float64)
    if tensor.quant is not None:
        return np.asarray((stored - tensor.zero_point) * tensor.scale)
    writer = next(node for node in quantized.graph.nodes if name in node.outputs)
    mantissa, exponent = values[writer.outputs[1]].tolist()
    return np.asarray(np.ldexp(stored * mantissa, exponent))


def labels(logits: NDArray[Any]) -> NDArray[Any]:
    """Return the class of every pixel; of a single logit, whether it is above 0."""
    return np.asarray(logits[..., 0] > 0 if logits.shape[-1] == 1 else logits.argmax(axis=-1))


def float_logits(network: Network, images: list[Any]) -> Iterator[NDArray[Any]]:
    """Yield the float logits of every image."""
    name = logits_name(network)
    for image in images:
        kept: dict[str, NDArray[Any]] = {}

        def keep(tensor: str, values: NDArray[Any], kept: dict[str, NDArray[Any]] = kept) -> None:
            if tensor == name:
                kept[tensor] = values.copy()

        run_float(network.graph, prepare_image(network, image), on_tensor=keep)
        yield kept[name]


def _network(name: str, size: tuple[int, int], assets: Path, first: Path) -> Network:
    if name == "hed":
        return hed(assets / "assets" / "vgg16_hed_fp16.npz", size)
    network = bittrue.load_network(name, size=size, width=0.25, classes=11, weights="seeded")
    return with_measured_norms(network, first)


def with_measured_norms(network: Network, image: Path) -> Network:
    """Return a seeded network whose batch norms hold the statistics of an image, so that it has one float self."""
    measured = run_float(network.graph, prepare_image(network, image), measure_norms=True).statistics
    tensors = {name: replace(network.graph.tensors[name], data=data) for name, data in measured.items()}
    graph = replace(network.graph, tensors={**network.graph.tensors, **tensors})
    return replace(network, graph=graph, seeded=False)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--network", default="hed", help="hed (trained), or a built-in name (seeded)")
    parser.add_argument("--size", default="176x240", help="HEIGHTxWIDTH")
    parser.add_argument("--calibration", type=int, default=4, help="images to calibrate on")
    parser.add_argument("--images", type=int, default=2, help="images to score")
    parser.add_argument("--only", default="", help="rows whose name contains this")
    options = parser.parse_args()
    assets = Path(os.environ["BITTRUE_ASSETS"])
    folder = assets / "datasets" / "camvid_360x480"
    calibration: list[Any] = _spread(folder / "train", options.calibration)
    images: list[Any] = _spread(folder / "test", options.images)
    height, width = (int(side) for side in options.size.split("x"))
    network = _network(options.network, (height, width), assets, calibration[0])
    print(f"{network.name} {height}x{width}, CamVid: calibrated on {len(calibration)}, scored on {len(images)} images")
    floats = list(float_logits(network, images))
    table = PlainTable(("quantization", 38), ("SQNR dB", 8), ("agreement %", 11), ("s", 6))
    print(table.header())
    for name, row in ROWS.items():
        if options.only in name:
            began = time.perf_counter()
            found = score(network, row, calibration, images, floats)
            cells = f"{found.sqnr_db:.2f}", f"{100 * found.agreement:.2f}", f"{time.perf_counter() - began:.1f}"
            print(table.row([name, *cells]), flush=True)


def _spread(folder: Path, count: int) -> list[Any]:
    """Return so many images of a folder, evenly spread over it."""
    files = sorted(folder.iterdir())
    return [files[index * len(files) // count] for index in range(count)]


if __name__ == "__main__":
    main()
