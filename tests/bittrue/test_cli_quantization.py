"""`bittrue run` on a float network: the scheme that the device needs, or the one asked for."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

import bittrue
from bittrue.cli import app
from bittrue.quantization import choose_quantization
from support.accelerators import device

NET = ("unet", "--net", "size=32", "--net", "width=0.05", "--values-only")


@pytest.fixture
def cli(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    pixels = np.random.default_rng(0).integers(0, 256, (32, 32, 3), np.uint8)
    Image.fromarray(pixels).save("photo.png")

    def invoke(*arguments):
        return CliRunner().invoke(app, ["run", *NET, "-i", "photo.png", "-o", "out", *arguments])

    return invoke


def notes():
    return json.loads(Path("out/run.json").read_text())["notes"]


@pytest.mark.parametrize(
    ("accelerator", "told", "scheme"),
    [
        ("edge_32x32", "", "scheme affine"),
        ("max78000_like", "max78000_like requantizes by shifts: scheme power_of_two", "scheme power_of_two"),
        ("paper_device", "it rounds stochastically", "scheme power_of_two"),
    ],
)
def test_the_device_decides(cli, accelerator, told, scheme):
    result = cli("-a", accelerator)
    assert result.exit_code == 0, result.stderr
    assert told in result.stderr
    assert ("requantizes by shifts" in result.stderr) == bool(told)
    assert any(scheme in note for note in notes())


def test_what_is_asked_for_is_done(cli):
    result = cli("-a", "max78000_like", "--scheme", "paper", "--calibration", "mse")
    assert result.exit_code == 0, result.stderr
    assert "requantizes by shifts" not in result.stderr
    assert any("scheme paper: one weight shift per layer, mse ranges" in note for note in notes())


def test_scales_of_the_tensor_at_hand_suit_any_device(cli):
    result = cli("-a", "edge_32x32", "--activation-scales", "dynamic")
    assert result.exit_code == 0, result.stderr
    assert any("scheme paper: one weight shift per layer, min-max ranges, dynamic" in note for note in notes())
    kinds = {layer["op"] for layer in json.loads(Path("out/run.json").read_text())["layers"]}
    assert "ScaleQuantize" in kinds or "AffineQuantize" in kinds


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("-a", "max78000_like", "--scheme", "affine"), "give --scheme power_of_two or paper"),
        (("-a", "edge_32x32", "--scheme", "paper"), "--set arithmetic.requantizer=power_of_two"),
        (("-a", "edge_32x32", "--scheme", "ternary"), "there is 'affine'"),
        (("-a", "edge_32x32", "--calibration", "max"), "'minmax' or 'percentile'"),
        (("-a", "edge_32x32", "--activation-scales", "live"), "'frozen' or 'dynamic'"),
        (("-a", "edge_32x32", "--activation-scales", "dynamic", "--scheme", "affine"), "goes with scheme 'paper'"),
    ],
)
def test_what_cannot_be_is_refused_before_anything_runs(cli, arguments, words):
    result = cli(*arguments)
    assert result.exit_code == 2
    assert words in " ".join(result.stderr.split())
    assert "calibrate" not in result.stderr


def test_an_integer_network_takes_no_scheme(tmp_path):
    from workloads.exporters.npz import save_network

    weights = np.ones((8, 2), np.int8)
    save_network(bittrue.networks.gemm(3, 8, 2, out="int32").with_weights(weights), tmp_path / "gemm.npz")
    np.save(tmp_path / "x.npy", np.ones((3, 8), np.int8))
    arguments = ["run", tmp_path / "gemm.npz", "-a", "edge_32x32", "-i", tmp_path / "x.npy", "--scheme", "affine"]
    result = CliRunner().invoke(app, [str(argument) for argument in arguments])
    assert result.exit_code == 2
    assert "is integer already" in result.stderr


@pytest.mark.parametrize("option", [("--scheme", "affine"), ("--calibration", "mse")])
def test_time_alone_takes_neither(option):
    result = CliRunner().invoke(app, ["run", "unet", "--net", "size=32", "-a", "edge_32x32", *option])
    assert result.exit_code == 2
    assert f"{option[0]} needs values" in result.stderr


def test_any_shift_scheme_suits_a_device_that_shifts():
    shifting = device(arithmetic__requantizer="power_of_two")
    assert choose_quantization(shifting, "paper", "kl").calibration == "kl"
    assert choose_quantization(device(), "power_of_two", "minmax").scheme == "power_of_two"
