"""Trained float networks: our float executor against LiteRT, and what quantizing them costs."""

from __future__ import annotations

import numpy as np
import pytest
from typer.testing import CliRunner

import bittrue
from bittrue.cli import app
from simulator.graph import ops
from simulator.graph.builder import GraphBuilder
from simulator.numerics.formats import FLOAT32
from support.accelerators import device
from workloads.images import demo_photo, load_image, prepare_image
from workloads.importers.tflite import TfliteImporter
from workloads.load import load_network
from workloads.quantization.float_execute import run_float

pytestmark = [pytest.mark.assets]


def normalised(network):
    tensor = network.graph.input_tensors[0]
    return (load_image(demo_photo(), tensor.shape[1:3]).astype(np.float32) / 127.5 - 1)[None]


@pytest.mark.oracle
@pytest.mark.parametrize("name", ["deeplabv3", "pretrainedResnet"])
def test_float_executor_is_litert_up_to_rounding(assets, name):
    interpreter_module = pytest.importorskip("ai_edge_litert.interpreter")
    path = assets / f"{name}.tflite"
    network = load_network(path)
    image = normalised(network)
    reference = interpreter_module.Interpreter(
        str(path), experimental_op_resolver_type=interpreter_module.OpResolverType.BUILTIN_REF
    )
    reference.allocate_tensors()
    reference.set_tensor(reference.get_input_details()[0]["index"], image)
    reference.invoke()
    expected = reference.get_tensor(reference.get_output_details()[0]["index"])
    (output,) = run_float(network.graph, {network.graph.inputs[0]: image}).outputs.values()
    np.testing.assert_allclose(output, expected, rtol=1e-4, atol=1e-4 * np.abs(expected).max())


def test_a_trained_network_keeps_its_labels_when_quantized(assets):
    network = load_network(assets / "deeplabv3.tflite")
    image = normalised(network)
    quantized = network.quantize([image])
    tensor = quantized.graph.input_tensors[0]
    stored = np.clip(np.rint(image / tensor.scale) + tensor.zero_point, -128, 127).astype(np.int8)
    run = bittrue.simulate(quantized, device(), [stored], values_only=True)
    (scores,) = run.outputs.values()
    (floats,) = run_float(network.graph, {network.graph.inputs[0]: image}).outputs.values()
    assert scores.shape == (1, 257, 257, 21)
    assert len(np.unique(floats.argmax(-1))) > 1
    assert (scores.argmax(-1) == floats.argmax(-1)).mean() > 0.98


@pytest.mark.parametrize(
    ("name", "classes"),
    [("deeplabv3_mnv2_dm05_pascal_quant", 21), ("deeplabv3", 21), ("mobilenet_v2_1.0_224_quant", None)],
)
def test_segmentation_networks_are_recognised(assets, name, classes):
    found = load_network(assets / f"{name}.tflite").segmentation
    assert (found and len(found.class_names)) == classes


def test_metadata_tell_how_a_pixel_becomes_the_input(assets):
    network = load_network(assets / "deeplabv3.tflite")
    assert network.image.mean == network.image.std == (127.5, 127.5, 127.5)
    (value,) = prepare_image(network, demo_photo()).values()
    np.testing.assert_allclose(value, normalised(network), atol=1e-6)


def test_metadata_of_an_image_with_channels_first(assets):
    b = GraphBuilder("first")
    graph = b.build([b.add(ops.Relu(), b.input("x", (1, 3, 224, 200), FLOAT32))])
    stated = TfliteImporter().image_input(assets / "deeplabv3.tflite", graph)
    assert stated.mean == stated.std == (127.5, 127.5, 127.5)


def test_run_calibrates_on_the_image_and_says_so(assets, tmp_path):
    arguments = ["run", assets / "deeplabv3.tflite", "-a", "edge_32x32", "-i", demo_photo(), "--values-only"]
    done = CliRunner().invoke(app, [str(argument) for argument in arguments])
    assert done.exit_code == 0, done.output
    assert "calibrated on 1 image" in done.stdout.replace("\n", " ")


@pytest.mark.parametrize("name", ["deeplabv3", "pretrainedResnet"])
def test_damaged_metadata_is_no_metadata(assets, tmp_path, name):
    content = bytearray((assets / f"{name}.tflite").read_bytes())
    at = content.find(b"M001")
    if at > 0:
        content[at + 8 : at + 60] = b"\xff" * 52
    (tmp_path / "damaged.tflite").write_bytes(content)
    network = load_network(tmp_path / "damaged.tflite")
    assert network.image is None or network.image.mean is None


@pytest.mark.parametrize("number", [0, 1])
def test_float_executor_gives_the_golden(assets, number):
    network = load_network(assets / "pretrainedResnet.tflite")
    golden = np.load(assets / "golden" / "pretrainedResnet.tflite.npz")
    (output,) = run_float(network.graph, {network.graph.inputs[0]: golden[f"in{number}"]}).outputs.values()
    expected = golden[f"out{number}_0"]
    np.testing.assert_allclose(output, expected, rtol=1e-4, atol=1e-4 * np.abs(expected).max())
