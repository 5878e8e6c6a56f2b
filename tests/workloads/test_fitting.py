"""Images of any size in an input of one size, and back."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from simulator.errors import InputError
from simulator.graph import ops
from simulator.graph.builder import GraphBuilder
from simulator.numerics.formats import FLOAT32, INT8, UINT8
from simulator.numerics.quant import QuantParams
from support import dataset_folders as folders
from support.segmenter import float_segmenter
from workloads.fitting import fit_image, labels_on_image, place, zero_pixel
from workloads.images import load_image
from workloads.network import ImageInput, Network

SIDES = st.tuples(st.integers(1, 40), st.integers(1, 40))


@given(SIDES, SIDES, SIDES, st.sampled_from(["stretch", "pad"]))
def test_each_pixel_takes_the_cell_of_its_centre(image, size, cells, fit):
    placement = place(image, size, fit)
    labels = np.arange(cells[0] * cells[1]).reshape(cells)
    found = labels_on_image(labels, placement)
    assert found.shape == image
    for axis, index in ((0, found // cells[1]), (1, found % cells[1])):
        scale = Fraction(placement.area[axis], image[axis]) * Fraction(cells[axis], size[axis])
        expected = [min(int((i + Fraction(1, 2)) * scale), cells[axis] - 1) for i in range(image[axis])]
        assert (np.moveaxis(index, axis, 0) == np.array(expected)[:, None]).all()


def test_an_image_of_the_input_size_is_left_alone():
    image = folders.noise(0)
    for fit in ("stretch", "pad"):
        placement = place(folders.SIZE, folders.SIZE, fit)
        np.testing.assert_array_equal(fit_image(image, placement, (0, 0, 0)), image)
        labels = folders.labels(0, (1, 2, 3))
        assert labels_on_image(labels, placement) is labels


def test_stretching_is_what_run_does_to_a_file(tmp_path):
    image = folders.noise(0, (9, 31))
    Image.fromarray(image).save(tmp_path / "a.png")
    pixels = fit_image(image, place((9, 31), (20, 16), "stretch"), (0, 0, 0))
    np.testing.assert_array_equal(pixels, load_image(tmp_path / "a.png", (20, 16)))


def test_padding_keeps_proportions_and_fills_the_rest():
    image = folders.noise(0, (4, 6))
    pixels = fit_image(image, place((4, 6), (5, 9), "pad"), (1, 2, 3))
    np.testing.assert_array_equal(pixels[:4, :6], image)
    assert (pixels[4:] == (1, 2, 3)).all()
    assert (pixels[:, 6:] == (1, 2, 3)).all()
    assert place((40, 60), (20, 20), "pad").area == (13, 20)
    grey = fit_image(image, place((4, 6), (5, 9), "pad"), (7,))
    assert grey.shape == (5, 9, 1)
    assert grey[4, 0, 0] == 7


def one_input(format, quant=None, image=None, shape=(1, 4, 6, 3)):
    builder = GraphBuilder("net")
    builder.input("image", shape, format, quant)
    builder.add(ops.Reshape((-1,)), "image")
    return Network(builder.build(), image=image or ImageInput())


def test_the_pixel_that_stands_for_zero():
    assert zero_pixel(float_segmenter()) == (120, 120, 120)
    assert zero_pixel(one_input(FLOAT32, image=ImageInput((1.4, 2.0, 300.0), (1.0, 1.0, 1.0)))) == (1, 2, 255)
    first = one_input(UINT8, QuantParams.per_tensor(1 / 128, 9), shape=(1, 1, 4, 6))
    assert zero_pixel(first) == (9,), "channels first"
    assert zero_pixel(one_input(UINT8, QuantParams.per_tensor(1 / 128, 127))) == (127, 127, 127)
    assert zero_pixel(one_input(INT8, QuantParams.per_tensor(1 / 128, -3))) == (125, 125, 125)


def test_a_fit_that_does_not_exist():
    with pytest.raises(InputError, match="stretch, pad"):
        place((1, 1), (1, 1), "crop")
