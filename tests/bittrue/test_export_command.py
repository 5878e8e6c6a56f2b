"""`bittrue export`: what it writes, what it says, how it refuses."""

from __future__ import annotations

import pytest
from typer.testing import CliRunner

import bittrue
from bittrue.cli import app
from workloads.images import demo_photo

UNET = ("export", "unet", "--net", "size=32", "--net", "width=0.125")


def call(*arguments):
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


@pytest.mark.parametrize("suffix", [".tflite", ".npz"])
def test_a_built_in_network_is_calibrated_and_written(tmp_path, suffix):
    path = tmp_path / f"unet{suffix}"
    done = call(*UNET, "-i", demo_photo(), "-o", path)
    assert done.exit_code == 0, done.output
    assert "calibrated on 1 image" in done.stdout.replace("\n", " ")
    assert path.name in done.stdout.replace("\n", "")
    assert not bittrue.load_network(path).is_float


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((*UNET, "-o", "{}/a.tflite"), "is float: give images"),
        ((*UNET, "-i", demo_photo(), "-o", "{}/a.pb"), ".tflite, .onnx, .npz"),
        ((*UNET, "-i", demo_photo(), "-o", "{}/none/a.tflite"), "no folder"),
        ((*UNET, "-i", "{}/none.jpg", "-o", "{}/a.tflite"), "no such file"),
    ],
)
def test_refusals_write_nothing(tmp_path, arguments, words):
    done = call(*(str(argument).format(tmp_path) for argument in arguments))
    assert done.exit_code == 2
    assert words in done.stderr.replace("\n", " ")
    assert not list(tmp_path.iterdir())
