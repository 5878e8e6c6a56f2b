"""What an exported file says of images and classes: written, read again, and what other readers find of it."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

import bittrue
from simulator.errors import NetworkError
from simulator.records.run import Segmentation
from support.training_small_nets import DEEPLAB_SIZE, small_deeplab
from workloads.images import prepare_image
from workloads.importers._tflite_metadata import stated_normalization
from workloads.network import ImageInput

PIXELS = np.random.default_rng(4).integers(0, 256, (*DEEPLAB_SIZE, 3), np.uint8)
CLASSES = Segmentation("labels", ("road", "Wald & Wiese", "ciel é"), ((1, 2, 3), (255, 0, 128), (0, 0, 0)))
IMAGES = [
    ImageInput(),
    ImageInput((123.675, 116.28, 103.53), (58.395, 57.12, 57.375)),
    ImageInput((127.5,) * 3, (127.5,) * 3),
    ImageInput((127.5,), (127.5,)),
]


@pytest.fixture(scope="module")
def integer():
    return small_deeplab().quantize(PIXELS)


def described(network, image):
    return replace(network, image=image, segmentation=CLASSES)


@pytest.mark.parametrize("image", IMAGES, ids=["pixels", "imagenet", "symmetric", "one"])
@pytest.mark.parametrize("suffix", [".onnx", ".tflite", ".npz"])
def test_pixels_and_classes_come_back(integer, image, suffix, tmp_path):
    pytest.importorskip({".onnx": "onnx", ".tflite": "tflite"}.get(suffix, "numpy"))
    network = described(integer, image)
    again = bittrue.load_network(network.export(tmp_path / f"net{suffix}"))
    assert again.image == image
    assert again.segmentation == CLASSES
    ours, theirs = prepare_image(network, PIXELS), prepare_image(again, PIXELS)
    assert list(ours) == list(theirs)
    np.testing.assert_array_equal(ours["image"], theirs["image"])


def test_onnx_s_own_keys_say_what_they_can(integer, tmp_path):
    onnx = pytest.importorskip("onnx")
    found = []
    for number, image in enumerate([*IMAGES, None]):
        path = replace(integer, image=image).export(tmp_path / f"{number}.onnx")
        found.append({entry.key: entry.value for entry in onnx.load(path).metadata_props})
        assert json.loads(found[-1].pop("bittrue.network"))["segmentation"]["output"] == "labels"
    rgb = {"Image.BitmapPixelFormat": "Rgb8"}
    assert found == [rgb, rgb, *[{**rgb, "Image.NominalPixelRange": "Normalized_1_1"}] * 2, {}]


def test_tflite_s_own_metadata_hold_mean_and_deviation(integer, tmp_path):
    pytest.importorskip("tflite")
    path = described(integer, IMAGES[1]).export(tmp_path / "net.tflite")
    stated = stated_normalization(path, 3)  # the reader of files that others wrote
    np.testing.assert_array_equal(np.float32(stated.mean), np.float32(IMAGES[1].mean))
    np.testing.assert_array_equal(np.float32(stated.std), np.float32(IMAGES[1].std))
    path = described(integer, IMAGES[0]).export(tmp_path / "bare.tflite")
    assert stated_normalization(path, 3) is None


@pytest.mark.oracle
def test_litert_runs_a_file_with_metadata(integer, tmp_path):
    interpreter = pytest.importorskip("ai_edge_litert.interpreter")
    path = described(integer, IMAGES[1]).export(tmp_path / "net.tflite")
    session = interpreter.Interpreter(str(path), experimental_op_resolver_type=interpreter.OpResolverType.BUILTIN_REF)
    session.allocate_tensors()
    (given,), (wanted,) = session.get_input_details(), session.get_output_details()
    session.set_tensor(given["index"], prepare_image(integer, PIXELS)["image"])
    session.invoke()
    assert session.get_tensor(wanted["index"]).shape == (1, *DEEPLAB_SIZE)


@pytest.mark.parametrize(
    "text",
    [
        "no JSON",
        "{}",
        '{"image": {"mean": [1], "std": [0]}, "segmentation": null}',
        '{"image": null, "segmentation": {"output": "x", "class_names": [], "palette": []}}',
        '{"image": null, "segmentation": {"output": "labels", "class_names": [], "palette": [[1, 2, 300]]}}',
    ],
)
def test_a_damaged_description_names_file_and_entry(integer, text, tmp_path):
    onnx = pytest.importorskip("onnx")
    path = integer.export(tmp_path / "net.onnx")
    model = onnx.load(path)
    next(entry for entry in model.metadata_props if entry.key == "bittrue.network").value = text
    onnx.save(model, path)
    with pytest.raises(NetworkError, match=r"net\.onnx: its entry bittrue\.network is damaged"):
        bittrue.load_network(path)
