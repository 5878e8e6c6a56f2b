"""accuracy_loss: what it compares, that points share values, and what is refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import bittrue
from bittrue.sweeping import accuracy
from bittrue.sweeping.points import design_points
from bittrue.sweeping.space import Space, read_space
from simulator.errors import SpecError
from workloads.images import prepare_image

NETWORK = {"network": "unet", "size": 32, "width": 0.125, "weights": "seeded"}


def space(**changes) -> Space:
    data = {
        "name": "widths",
        "accelerator": "edge_32x32",
        "networks": [NETWORK],
        "fixed": {"mapper": "fixed_rule", "arithmetic.partial_sum": None},
        "accuracy": {"images": 2, "seed": 5},
        "vary": {"arithmetic.accumulator.bits": [10, 13, 24], "dram.bytes_per_cycle": [8, 16]},
        "objectives": ["accuracy_loss", "total_energy_pj"],
        **changes,
    }
    return Space.model_validate(data)


def test_the_loss_is_the_share_of_labels_that_differ(tmp_path):
    generator = np.random.default_rng(0)
    files = []
    for index in range(2):
        files.append(tmp_path / f"{index}.png")
        Image.fromarray(generator.integers(256, size=(32, 32, 3), dtype=np.uint8)).save(files[-1])
    found = bittrue.sweep(space(accuracy={"images": [str(f) for f in files]}), tmp_path / "out")
    # By hand, with the public calls that a user would make.
    network = bittrue.load_network(**{"name_or_path": NETWORK["network"], **dict(list(NETWORK.items())[1:])})
    integer = network.quantize([str(f) for f in files])
    output = integer.segmentation.output
    for point in found.points:
        accelerator = bittrue.load_accelerator("edge_32x32").evolve(point.changes)
        wide = accelerator.evolve({"arithmetic.accumulator.bits": 32})
        differing = []
        for file in files:
            inputs = prepare_image(integer, file)
            maps = [bittrue.simulate(integer, a, inputs, values_only=True).outputs[output] for a in (accelerator, wide)]
            labels = [m.argmax(-1) if m.ndim == 4 and m.shape[-1] > 1 else m for m in maps]
            differing.append((labels[0] != labels[1]).mean())
        assert point.figures["accuracy_loss"] == pytest.approx(np.mean(differing))
    losses = [p.figures["accuracy_loss"] for p in found.points]
    assert losses[0] > 0
    assert losses[-1] == 0


def test_points_that_differ_in_no_value_share_them(tmp_path, monkeypatch):
    runs = []
    original = accuracy.prepare

    def counted(network, accelerator, **options):
        runs.append(accelerator)
        return original(network, accelerator, **options)

    monkeypatch.setattr(accuracy, "prepare", counted)
    varied = {
        "arithmetic.accumulator.bits": [11, 12],
        "dram.bytes_per_cycle": [8, 16],
        "array.cols": [16, 32],
        "memories.input_scratchpad.size": ["64 KiB", "128 KiB"],
    }
    network = NETWORK | {"seed": 77}
    found = bittrue.sweep(space(vary=varied, networks=[network]), tmp_path / "ws")
    assert len(found.evaluated) == 16
    assert len(runs) == 3  # two widths and the reference
    varied = {"arithmetic.accumulator.bits": [11, 12], "array.rows": [8, 16]}
    runs.clear()
    bittrue.sweep(space(vary=varied, networks=[network]), tmp_path / "rows")
    assert len(runs) == 6  # weight stationary: rows decide where partial sums end
    runs.clear()
    fixed = {"mapper": "fixed_rule", "array.dataflow": "output_stationary"}
    bittrue.sweep(space(vary=varied, networks=[network], fixed=fixed), tmp_path / "os")
    assert len(runs) == 3


def test_drawn_images_follow_their_seed_and_are_part_of_the_key():
    keys = [design_points(space(accuracy={"images": 2, "seed": seed})).points[0].key for seed in (1, 1, 2)]
    assert keys[0] == keys[1] != keys[2]


def test_networks_without_weights_or_labels_are_quarantined(tmp_path):
    for name, choice, told in (
        ("weightless", {"network": "unet", "size": 32, "width": 0.125}, "weights"),
        ("gemm", {"network": "mobilenet_v2", "weights": "seeded", "size": 32}, "does not label pixels"),
    ):
        small = space(networks=[choice], vary={"arithmetic.accumulator.bits": [10, 32]})
        found = bittrue.sweep(small, tmp_path / name)
        assert len(found.quarantined) == 2
        assert all(told in point.error for point in found.quarantined)


def test_accuracy_goes_with_its_objective(tmp_path):
    with pytest.raises(ValueError, match="accuracy_loss needs accuracy"):
        space(accuracy=None)
    with pytest.raises(ValueError, match="accuracy_loss needs accuracy"):
        space(objectives=["total_time_s", "total_energy_pj"])
    with pytest.raises(ValueError, match="images is a number from 1 on"):
        space(accuracy={"images": 0})
    path = Path(tmp_path / "space.yaml")
    path.write_text(
        "name: s\naccelerator: edge_32x32\nnetworks: [unet]\nvary: {arithmetic.accumulator.bits: [8, 9]}\n"
        "accuracy: {images: [none.png]}\nobjectives: [accuracy_loss, total_energy_pj]\n"
    )
    with pytest.raises(SpecError, match=r"no file .*none\.png"):
        read_space(path)
