"""What `bittrue train` leaves is a network like any other: it is loaded, quantized, evaluated and exported."""

from __future__ import annotations

import json

import numpy as np
import pytest
from typer.testing import CliRunner

import bittrue
from bittrue.cli import app
from simulator.errors import NetworkError
from simulator.graph import ops
from support.accelerators import device, reference_device
from support.dataset_folders import camvid, labels
from support.exported import noise
from workloads.quantization.float_execute import run_float
from workloads.training.checkpoint import newest, read_checkpoint, write_checkpoint

SIZE = (32, 48)
RUN = ["--size", "32x48", "--batch", "2", "--steps", "3", "--lr", "0.25", "--validate-every", "0"]


def invoke(*arguments):
    result = CliRunner().invoke(app, [str(argument) for argument in arguments])
    assert result.exit_code == 0, result.output
    return result.stdout


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    maps = {split: [labels(index, (0, 1, 2, 11), SIZE) for index in range(3)] for split in ("train", "val")}
    return camvid(tmp_path_factory.mktemp("camvid"), maps)


@pytest.fixture(scope="module", params=[("unet", 0.125), ("deeplabv3_resnet50", 0.0625)], ids=lambda param: param[0])
def folder(request, data, tmp_path_factory):
    name, width = request.param
    folder = tmp_path_factory.mktemp("runs") / name
    invoke("train", name, "--width", width, *RUN, "-d", data, "-o", folder)
    return folder


def images(network):
    rng = np.random.default_rng(5)
    (shape,) = (tensor.shape for tensor in network.graph.input_tensors)
    return [rng.integers(0, 256, shape[1:], dtype=np.uint8) for _ in range(3)]


def test_its_parameters_are_the_master_copies_in_real_numbers(folder):
    network, stored = bittrue.load_network(folder), read_checkpoint(newest(folder))
    assert network.is_float
    assert network.has_weights
    tensors = network.graph.tensors
    for node in network.graph.nodes:
        if isinstance(node.op, ops.Conv2D | ops.TransposeConv2D):
            np.testing.assert_array_equal(tensors[node.inputs[1]].data, stored.state[node.inputs[1]] / 2.0**23)


def test_a_norm_divides_by_the_running_deviation(folder):
    """gamma / deviation and beta of 24 and 28 bits, against the float64 formula on the integers of the checkpoint."""
    network, state = bittrue.load_network(folder), read_checkpoint(newest(folder)).state
    pixels = images(network)[0].astype(np.float32)
    mean, std = np.float32(network.image.mean), np.float32(network.image.std)
    assert (std == 64).all()
    norm = next(node for node in network.graph.nodes if isinstance(node.op, ops.BatchNorm))
    values = {}
    inputs = {network.graph.inputs[0]: ((pixels - mean) / std)[None]}
    run_float(network.graph, inputs, on_tensor=lambda name, value: values.update({name: value.copy()}))
    gamma, beta = (state[name] / 2.0**22 for name in norm.inputs[1:3])
    mu, deviation = (state[f"{norm.name}.running_{kind}"] / 2.0**24 for kind in ("mean", "deviation"))
    expected = gamma * (values[norm.inputs[0]].astype(np.float64) - mu) / deviation + beta
    np.testing.assert_allclose(values[norm.outputs[0]], expected, rtol=1e-4, atol=1e-4)


def test_it_knows_its_classes_and_where_it_comes_from(folder):
    network = bittrue.load_network(newest(folder))
    assert network.segmentation.class_names[:2] == ("sky", "building")
    assert network.notes == ("trained in integers on camvid, 3 of 3 steps, seed 0",)


def test_it_is_evaluated_like_any_other(folder, data):
    told = invoke("eval", folder, "-d", data, "-a", "edge_32x32", "--calibrate", 2)
    assert "trained in integers on camvid, 3 of 3 steps, seed 0" in told


@pytest.mark.oracle
def test_exported_to_tflite_it_gives_the_same_integers(folder, tmp_path):
    pytest.importorskip("ai_edge_litert")
    from support.tflite_builder import run_reference

    network = bittrue.load_network(folder)
    network = network.quantize(images(network))
    values = noise(network)
    path = network.export(tmp_path / "trained.tflite")
    ours = bittrue.simulate(network, reference_device(), values, values_only=True)
    theirs = run_reference(path.read_bytes(), values)
    for name, value in ours.outputs.items():
        np.testing.assert_array_equal(value, theirs[name], err_msg=name)


@pytest.mark.oracle
def test_exported_to_onnx_it_gives_the_same_integers(folder, tmp_path):
    runtime = pytest.importorskip("onnxruntime")
    pytest.importorskip("onnx")
    network = bittrue.load_network(folder)
    network = network.quantize(images(network))
    values = noise(network)
    path = network.export(tmp_path / "trained.onnx")
    ours = bittrue.simulate(network, device(arithmetic__requantizer="float32"), values, values_only=True)
    session = runtime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    for value, theirs in zip(ours.outputs.values(), session.run(None, values), strict=True):
        np.testing.assert_array_equal(value, theirs)


def test_refuses_a_folder_without_checkpoint_and_arrays_that_do_not_fit(folder, tmp_path):
    with pytest.raises(NetworkError, match="without checkpoint"):
        bittrue.load_network(tmp_path)
    stored = read_checkpoint(newest(folder))
    name = next(name for name in stored.state if name.endswith("weight"))
    stored.state[name] = stored.state[name][:, :1]
    write_checkpoint(tmp_path, stored)
    with pytest.raises(NetworkError, match=r"checkpoint-00000003\.npz: the checkpoint does not fit its network"):
        bittrue.load_network(tmp_path)


def test_keywords_of_the_network_come_back(folder):
    about = json.loads((folder / "training.json").read_text())
    assert about["net"]["width"] in (0.125, 0.0625)
    assert bittrue.load_network(folder).parameters < 1_000_000


def test_it_takes_images_of_another_size(folder):
    network = bittrue.load_network(folder, size=(64, 48))
    assert network.graph.tensors[network.graph.outputs[0]].shape == (1, 64, 48)
    (name,) = (node.inputs[1] for node in network.graph.nodes[:1])
    np.testing.assert_array_equal(
        network.graph.tensors[name].data, bittrue.load_network(folder).graph.tensors[name].data
    )
    with pytest.raises(NetworkError, match="no keyword but size, not classes, size"):
        bittrue.load_network(folder, size=64, classes=3)
