"""The network of `make demo`: small, trained here, and the same mask in LiteRT's reference kernels."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import bittrue
from support.accelerators import reference_device
from workloads.images import prepare_image

FILE = Path(__file__).parents[2] / "examples" / "nuclei" / "nuclei_unet.npz"

data = pytest.importorskip("skimage.data")


@pytest.fixture(scope="module")
def mask_of_the_photograph():
    network, photograph = bittrue.load_network(FILE), data.immunohistochemistry()
    inputs = prepare_image(network, photograph)
    (mask,) = bittrue.simulate(network, reference_device(), inputs, values_only=True).outputs.values()
    return network, photograph, inputs, mask[0]


def test_the_network_is_small_and_says_where_it_comes_from():
    assert FILE.stat().st_size < 1.5e6
    network = bittrue.load_network(FILE)
    assert network.segmentation.class_names == ("background", "nucleus", "boundary")
    assert network.notes[0] == "trained in integers on folder, 670 of 670 steps, seed 0"


def test_what_it_calls_a_nucleus_is_blue_and_what_it_calls_background_is_not(mask_of_the_photograph):
    """Haematoxylin is blue, DAB is brown, glass is white: blue less red tells a nucleus from both."""
    _, photograph, _, mask = mask_of_the_photograph
    blueness = photograph[..., 2].astype(int) - photograph[..., 0]
    shares = [float((mask == label).mean()) for label in range(3)]
    assert shares[0] > 0.5
    assert min(shares[1:]) > 0.03
    assert np.quantile(blueness[mask == 1], 0.25) > np.median(blueness[mask == 0])


@pytest.mark.oracle
def test_litert_finds_the_same_mask(mask_of_the_photograph, tmp_path):
    pytest.importorskip("ai_edge_litert")
    from support.tflite_builder import run_reference

    network, _, inputs, mask = mask_of_the_photograph
    theirs = run_reference(network.export(tmp_path / "nuclei.tflite").read_bytes(), inputs)
    np.testing.assert_array_equal(theirs[network.segmentation.output][0], mask)
