"""Images to network inputs, and back for the report."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from simulator.errors import InputError
from simulator.graph import ops
from simulator.graph.builder import GraphBuilder
from simulator.numerics.formats import FLOAT32, INT8, UINT8
from simulator.numerics.quant import QuantParams
from workloads.images import demo_photo, input_preview, load_image, prepare_image
from workloads.network import ImageInput, Network

PIXELS = np.random.default_rng(3).integers(0, 256, (4, 6, 3), np.uint8)


def network(format, quant=None, image=None, shape=(1, 4, 6, 3)):
    builder = GraphBuilder("net")
    builder.input("image", shape, format, quant)
    builder.add(ops.MaxPool2D((2, 2), (2, 2)), "image")
    return Network(builder.build(), image=image or ImageInput())


def test_the_demo_photo_is_there():
    photo = load_image(demo_photo())
    assert photo.dtype == np.uint8
    assert photo.shape == (600, 512, 3)
    assert load_image(demo_photo(), (30, 20)).shape == (30, 20, 3)


def test_pixels_go_in_as_they_are_to_imported_networks(tmp_path):
    Image.fromarray(PIXELS).save(tmp_path / "photo.png")
    for source in (PIXELS, tmp_path / "photo.png"):
        unsigned = prepare_image(network(UINT8, QuantParams.per_tensor(1 / 128, 128)), source)
        signed = prepare_image(network(INT8, QuantParams.per_tensor(1 / 128)), source)
        np.testing.assert_array_equal(unsigned["image"][0], PIXELS)
        np.testing.assert_array_equal(signed["image"][0].astype(int), PIXELS.astype(int) - 128)
        assert (unsigned["image"].dtype, signed["image"].dtype) == (np.uint8, np.int8)


@pytest.mark.parametrize("format", [INT8, FLOAT32])
def test_built_in_networks_normalise_and_quantize(format):
    how = ImageInput(mean=(100.0, 110.0, 120.0), std=(50.0, 60.0, 70.0))
    quant = QuantParams.per_tensor(0.0183, 11) if format is INT8 else None
    net = network(format, quant, how)
    value = prepare_image(net, PIXELS)["image"]
    real = (PIXELS.astype(np.float64) - [100, 110, 120]) / [50, 60, 70]
    if format is INT8:
        assert value.dtype == np.int8
        exact = real / 0.0183 + 11
        inside = (exact > -128) & (exact < 127)
        assert inside.mean() > 0.5
        assert np.abs(value[0] - exact)[inside].max() <= 0.5
        assert set(np.unique(value[0][~inside])) <= {-128, 127}
    else:
        np.testing.assert_allclose(value[0], real, rtol=1e-6, atol=1e-6)
        np.testing.assert_array_equal(input_preview(net, {"image": value}), PIXELS)


def test_previews_show_the_image():
    net = network(UINT8, QuantParams.per_tensor(1 / 128, 128))
    np.testing.assert_array_equal(input_preview(net, prepare_image(net, PIXELS)), PIXELS)
    grey = network(INT8, QuantParams.per_tensor(1), shape=(1, 4, 6, 1))
    preview = input_preview(grey, prepare_image(grey, PIXELS[:, :, :1]))
    np.testing.assert_array_equal(preview, np.repeat(PIXELS[:, :, :1], 3, axis=2))
    assert input_preview(Network(grey.graph), {}) is None


def test_files_are_resized_and_turned_upright(tmp_path):
    image = Image.fromarray(np.zeros((10, 20, 3), np.uint8))
    exif = image.getexif()
    exif[0x0112] = 6
    image.save(tmp_path / "turned.jpg", exif=exif)
    assert load_image(tmp_path / "turned.jpg").shape == (20, 10, 3)
    assert prepare_image(network(UINT8), tmp_path / "turned.jpg")["image"].shape == (1, 4, 6, 3)


def test_bad_images_are_named(tmp_path):
    net = network(UINT8)
    (tmp_path / "text.png").write_text("not an image")
    Image.fromarray(PIXELS).save(tmp_path / "whole.png")
    (tmp_path / "cut.png").write_bytes((tmp_path / "whole.png").read_bytes()[:60])
    for name in ("text.png", "cut.png", "absent.png"):
        with pytest.raises(InputError, match=name):
            prepare_image(net, tmp_path / name)
    with pytest.raises(InputError, match=r"\[4, 6, 3\]"):
        prepare_image(net, PIXELS[:3])
    with pytest.raises(InputError, match="float64"):
        prepare_image(net, PIXELS / 255)
    with pytest.raises(InputError, match="float32"):
        prepare_image(network(FLOAT32), PIXELS)
    with pytest.raises(InputError, match="does not take an image"):
        prepare_image(network(INT8, shape=(1, 4, 6, 8)), PIXELS)
