"""miou_loss: what registers cost on labelled images, and what decides a point's key."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path
from runpy import run_path

import numpy as np
import pytest
from PIL import Image

import bittrue
from bittrue.sweeping.points import design_points
from bittrue.sweeping.space import read_space
from simulator.errors import SpecError
from workloads.images import prepare_image

EXAMPLES = Path(__file__).parents[2] / "examples"
SIZE, CLASSES, IGNORED = 32, 4, 9
SPACE = """
name: widths
accelerator: edge_32x32
networks: [{network: net.npz}]
fixed: {mapper: fixed_rule, arithmetic.partial_sum: null}
accuracy: {dataset: "folder:labelled", images: 2, split: all}
vary: {arithmetic.accumulator.bits: [9, 12, 15, 24], dram.bytes_per_cycle: [8, 16]}
objectives: [miou_loss, total_energy_pj]
"""


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A folder with a space, an integer network and three labelled images, of which two are taken."""
    folder = tmp_path_factory.mktemp("made")
    rng = np.random.default_rng(2)
    for name in ("images", "masks"):
        (folder / "labelled" / name).mkdir(parents=True)
    names = "".join(f"{label},kind {label}\n" for label in range(CLASSES))
    (folder / "labelled" / "classes.csv").write_text(f"label,name\n{names}{IGNORED},ignore\n")
    images = []
    for index in range(3):
        images.append(rng.integers(256, size=(SIZE, SIZE, 3), dtype=np.uint8))
        labels = rng.integers(CLASSES, size=(SIZE, SIZE), dtype=np.uint8)
        labels[:4] = IGNORED
        Image.fromarray(images[-1]).save(folder / "labelled" / "images" / f"{index}.png")
        Image.fromarray(labels).save(folder / "labelled" / "masks" / f"{index}.png")
    net = bittrue.load_network("unet", size=SIZE, width=0.125, classes=CLASSES, weights="seeded")
    net.quantize(images).save(folder / "net.npz")
    (folder / "space.yaml").write_text(SPACE)
    return folder


@pytest.fixture
def space(made, tmp_path):
    """A copy that a test may change; its space.yaml."""
    return shutil.copytree(made, tmp_path / "here") / "space.yaml"


def miou(network, accelerator, folder):
    """Intersection over union by its definition, class by class, over two images together."""
    hits, unions = np.zeros(CLASSES), np.zeros(CLASSES)
    for index in range(2):
        inputs = prepare_image(network, folder / "labelled" / "images" / f"{index}.png")
        outputs = bittrue.simulate(network, accelerator, inputs, values_only=True).outputs
        found = outputs[network.segmentation.output].reshape(SIZE, SIZE)
        truth = np.asarray(Image.open(folder / "labelled" / "masks" / f"{index}.png"))
        counts = truth != IGNORED
        for label in range(CLASSES):
            hits[label] += ((found == label) & (truth == label) & counts).sum()
            unions[label] += (((found == label) | (truth == label)) & counts).sum()
    return (hits[unions > 0] / unions[unions > 0]).mean()


def test_the_loss_is_the_miou_of_32_bits_less_that_of_the_point(space, tmp_path):
    found = bittrue.sweep(space, tmp_path / "out")
    network = bittrue.load_network(space.parent / "net.npz")
    losses = {}
    for point in found.evaluated:
        device = bittrue.load_accelerator("edge_32x32").evolve(point.changes)
        wide = device.evolve({"arithmetic.accumulator.bits": 32})
        expected = miou(network, wide, space.parent) - miou(network, device, space.parent)
        assert point.figures["miou_loss"] == pytest.approx(expected, abs=1e-12)
        losses[point.changes["arithmetic.accumulator.bits"]] = expected
    assert len(found.evaluated) == 8
    assert losses[24] == 0
    assert any(losses[bits] for bits in (9, 12, 15))
    assert "accuracy_loss" not in found.evaluated[0].figures


def test_a_key_has_the_bytes_of_network_and_samples_and_not_their_place(space, made, tmp_path):
    def key(path):
        return design_points(read_space(path)).points[0].key

    first = key(space)
    assert first == key(made / "space.yaml")
    mask = space.parent / "labelled" / "masks" / "1.png"
    labels = np.asarray(Image.open(mask)).copy()
    labels[20, 20] ^= 1
    Image.fromarray(labels).save(mask)
    second = key(space)
    assert second != first
    shutil.copy(space.parent / "labelled" / "masks" / "1.png", space.parent / "labelled" / "masks" / "2.png")
    assert key(space) == second  # the third is not taken
    other = bittrue.load_network("unet", size=SIZE, width=0.125, classes=CLASSES, weights="seeded", seed=1)
    other.quantize([np.zeros((SIZE, SIZE, 3), np.uint8)]).save(space.parent / "net.npz")
    assert key(space) != second


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("miou_loss, total_energy_pj", "accuracy_loss, total_energy_pj", "miou_loss one with a data set"),
        ("miou_loss, total_energy_pj", "total_time_s, total_energy_pj", "miou_loss one with a data set"),
        ("folder:labelled", "folder:none", "accuracy.dataset: no folder"),
        ("folder:labelled", "labelled", "write KIND:PATH"),
        ("images: 2", "images: [a.png]", "a number of samples"),
    ],
)
def test_what_does_not_go_together_is_refused(space, old, new, told):
    assert old in SPACE
    space.write_text(SPACE.replace(old, new))
    with pytest.raises(SpecError, match=told):
        read_space(space)


def test_more_samples_than_there_are_is_refused(space, tmp_path):
    space.write_text(SPACE.replace("images: 2", "images: 4"))
    with pytest.raises(bittrue.BittrueError, match="4 samples are wanted, all has 3"):
        bittrue.sweep(space, tmp_path / "out")


def test_a_sample_that_cannot_be_read_is_told_before_anything_runs(space, tmp_path):
    (space.parent / "labelled" / "masks" / "0.png").write_text("no picture")
    with pytest.raises(bittrue.BittrueError, match=r"0\.png"):
        bittrue.sweep(space, tmp_path / "out")


def test_the_example_of_a_trained_network_runs_in_small(tmp_path, monkeypatch):
    nuclei = Path(shutil.copytree(EXAMPLES / "nuclei", tmp_path / "examples" / "nuclei"))
    stained = tmp_path / "out" / "stained"
    for kind, shape in (("images", (256, 256, 3)), ("masks", (256, 256))):
        (stained / kind / "val").mkdir(parents=True)
        for index in range(5):
            pixels = np.full(shape, index if kind == "images" else index % 3, np.uint8)
            Image.fromarray(pixels).save(stained / kind / "val" / f"{index}.png")
    (stained / "classes.csv").write_text("label,name\n0,background\n1,nucleus\n2,boundary\n")
    monkeypatch.setattr(sys, "argv", ["mosaic.py", str(stained), str(tmp_path / "out" / "mosaics")])
    run_path(str(nuclei / "mosaic.py"), run_name="__main__")
    (mosaic,) = (tmp_path / "out" / "mosaics" / "images" / "val").iterdir()
    corners = np.asarray(Image.open(mosaic))[::511, ::511, 0]
    assert corners.tolist() == [[0, 1], [2, 3]]
    space = nuclei / "registers_space.yaml"
    space.write_text(space.read_text().replace("images: 4", "images: 1"))
    found = bittrue.sweep(read_space(space).small(2, {}), tmp_path / "sweep")
    losses = {p.changes["arithmetic.accumulator.bits"]: p.figures["miou_loss"] for p in found.evaluated}
    assert losses[32] == 0
    assert losses.keys() == {14, 32}
