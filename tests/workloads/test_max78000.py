"""The MAX78000's CamVid U-Net: its golden, bit for bit, on the preset; and tensors that are not its own."""

from __future__ import annotations

import numpy as np
import pytest

import bittrue
from simulator.errors import NetworkError
from workloads.importers.max78000 import _SHAPES
from workloads.load import load_network

NAME = "adi_camvid_unet_int8.npz"


@pytest.mark.assets
@pytest.mark.parametrize("image", [0, 1])
def test_golden_bit_for_bit(assets, image):
    network = load_network(assets / NAME)
    golden = np.load(assets / "golden" / NAME)
    folded = golden[f"image{image}"].reshape(88, 4, 88, 4, 3).transpose(1, 3, 4, 0, 2).reshape(48, 88, 88)
    np.testing.assert_array_equal(golden[f"in{image}"], folded.astype(np.int16) - 128)
    run = bittrue.simulate(network, bittrue.load_accelerator("max78000_like"), [golden[f"in{image}"]], values_only=True)
    np.testing.assert_array_equal(run.outputs["output"], golden[f"out{image}"])
    # Unfolded as the vendor's model does it: channel 4 * (4 * row + column) + class.
    scores = run.outputs["output"].reshape(4, 4, 4, 88, 88).transpose(2, 3, 0, 4, 1).reshape(4, 352, 352)
    np.testing.assert_array_equal(scores.argmax(0), golden[f"argmax{image}"])
    assert sum(layer.overflow.events for layer in run.layers) == 0


@pytest.mark.assets
def test_is_timed_on_the_preset(assets):
    run = bittrue.simulate(load_network(assets / NAME), bittrue.load_accelerator("max78000_like"))
    assert run.record.total_cycles > 0


def zeros():
    arrays = {}
    for layer, shape in _SHAPES.items():
        arrays[f"{layer}.w"] = np.zeros(shape, np.int8)
        arrays[f"{layer}.shift"] = np.int32(0)
        if layer != "pt":
            arrays[f"{layer}.b"] = np.zeros(shape[1] if layer.startswith("upconv") else shape[0], np.int32)
    return arrays


def test_every_wrong_tensor_is_listed(tmp_path):
    arrays = zeros()
    del arrays["dec2.b"]
    arrays["enc1.w"] = arrays["enc1.w"].astype(np.int16)
    arrays["bneck.shift"] = np.int32(40)
    arrays["extra.w"] = np.zeros(3, np.int8)
    np.savez(tmp_path / "u.npz", **arrays)
    with pytest.raises(NetworkError) as error:
        load_network(tmp_path / "u.npz")
    for part in ("u.npz", "dec2.b is missing", "enc1.w is int16", "bneck.shift is 40", "extra.w is not of this"):
        assert part in str(error.value)


def test_compressed_files_are_read_and_pickles_are_not(tmp_path):
    arrays = zeros()
    np.savez_compressed(tmp_path / "u.npz", **arrays)
    assert load_network(tmp_path / "u.npz").graph.inputs == ("input",)
    arrays["conv.b"] = np.array([None])
    np.savez(tmp_path / "u.npz", **arrays)
    with pytest.raises(NetworkError, match="damaged"):
        load_network(tmp_path / "u.npz")
