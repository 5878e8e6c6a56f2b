"""Label maps: from an output to colours and shares."""

from __future__ import annotations

import io

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.image import imread

from reports import labels
from simulator.errors import InputError
from simulator.records.run import Segmentation

LABELS = np.array([[0, 1, 2], [2, 2, 15]])


@pytest.mark.parametrize("dtype", [np.uint8, np.int8, np.int32, np.int64, np.float32])
@pytest.mark.parametrize("shape", [(2, 3), (1, 2, 3), (1, 2, 3, 1)])
def test_labels_of_any_whole_number_type(shape, dtype):
    found = labels.label_map(LABELS.reshape(shape).astype(dtype))
    assert found.dtype == np.int64
    assert (found == LABELS).all()


def test_of_a_batch_the_first_image_counts():
    assert (labels.label_map(np.stack([LABELS, LABELS + 1])) == LABELS).all()


def test_of_scores_the_highest_wins_and_the_first_among_equals():
    scores = np.zeros((1, 2, 2, 3), dtype=np.int8)
    scores[0, 0, 0] = [1, 5, 5]
    scores[0, 0, 1] = [-4, -3, -2]
    scores[0, 1, 0] = [-128, -128, -128]
    assert labels.label_map(scores).tolist() == [[1, 2], [0, 0]]


@pytest.mark.parametrize(
    "output",
    [np.zeros((1, 21)), np.zeros(5), np.full((1, 2, 2), 0.5), np.full((1, 2, 2), np.nan), np.zeros((1, 0, 4), np.int8)],
    ids=["rank 2 of scores is a map", "vector", "fractions", "not a number", "empty"],
)
def test_what_is_no_label_map_is_refused_or_whole(output):
    if output.shape == (1, 21):
        assert labels.label_map(output).shape == (1, 21)
        return
    with pytest.raises(InputError, match="label map"):
        labels.label_map(output)


@given(st.integers(1, 9), st.integers(1, 9), st.integers(1, 5))
def test_resize_by_a_whole_factor_repeats_pixels(height, width, factor):
    image = np.arange(height * width).reshape(height, width)
    expected = image.repeat(factor, axis=0).repeat(factor, axis=1)
    assert (labels.resize_nearest(image, height * factor, width * factor) == expected).all()


@given(st.integers(1, 12), st.integers(1, 30))
def test_resize_takes_the_pixel_under_the_centre(size, wanted):
    found = labels.resize_nearest(np.arange(size)[:, None], wanted, 1)[:, 0].tolist()
    assert found == [int((i + 0.5) * size / wanted + 1e-9) for i in range(wanted)]


def test_palette_is_that_of_pascal_voc():
    # The list printed in the VOC development kit: background, aeroplane, bicycle .. tv monitor, void.
    first = [(0, 0, 0), (128, 0, 0), (0, 128, 0), (128, 128, 0), (0, 0, 128), (128, 0, 128), (0, 128, 128)]
    palette = labels.voc_palette()
    assert list(palette[:7]) == first
    assert palette[20] == (0, 64, 128)
    assert palette[255] == (224, 224, 192)
    assert len(set(palette)) == 256


def test_a_networks_own_palette_comes_first():
    own = Segmentation("y", palette=((1, 2, 3), (4, 5, 6)))
    picture = labels.coloured(np.array([[0, 1, 2]]), labels.palette_of(own))
    assert picture.tolist() == [[[1, 2, 3], [4, 5, 6], [0, 128, 0]]]


def test_classes_present_with_their_shares():
    found = labels.classes_present(LABELS, Segmentation("y", ("sky", "road", "car")))
    assert [(c.index, c.name, c.share) for c in found] == [
        (2, "car", 0.5), (0, "sky", 1 / 6), (1, "road", 1 / 6), (15, "class 15", 1 / 6)
    ]  # fmt: skip


def test_labels_outside_any_palette_have_a_colour_all_the_same():
    odd = np.array([[-1, 300]])
    assert labels.coloured(odd, labels.voc_palette()).shape == (1, 2, 3)
    assert [c.name for c in labels.classes_present(odd, Segmentation("y", ("sky",)))] == ["class -1", "class 300"]


@given(st.integers(1, 40), st.integers(1, 40), st.integers(1, 12))
def test_a_thinned_photo_fits_and_keeps_a_flat_colour(height, width, largest):
    photo = np.full((height, width, 3), (10, 200, 77), dtype=np.uint8)
    small = labels.thinned(photo, largest)
    assert max(small.shape[:2]) <= max(largest, 1)
    assert (small == (10, 200, 77)).all()


def test_thinning_averages_blocks():
    photo = np.zeros((4, 4, 3), dtype=np.uint8)
    photo[:2, :2] = [[[0, 10, 100]] * 2, [[4, 20, 200]] * 2]
    assert labels.thinned(photo, 2)[0, 0].tolist() == [2, 15, 150]


def test_png_reads_back_the_same():
    image = np.random.default_rng(0).integers(0, 256, (5, 7, 3)).astype(np.uint8)
    data = labels.png(image)
    assert (np.rint(imread(io.BytesIO(data), format="png") * 255).astype(np.uint8)[..., :3] == image).all()
    assert labels.png(image) == data
