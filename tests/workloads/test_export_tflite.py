"""Exported .tflite: our run, LiteRT's reference kernels on the file, and our run of the file give the same integers."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

pytest.importorskip("ai_edge_litert")

from hypothesis import given, settings

import bittrue
from simulator.errors import NetworkError, UnsupportedOp
from simulator.graph import ops
from simulator.graph.builder import GraphBuilder
from simulator.numerics.formats import INT8, IntFormat
from simulator.numerics.quant import QuantParams
from support.accelerators import reference_device
from support.exported import networks, noise
from support.tflite_builder import run_reference
from workloads.exporters.tflite import WRITERS
from workloads.load import load_network
from workloads.network import Network

pytestmark = [pytest.mark.oracle]
TFLITE = ("deeplabv3_mnv2_dm05_pascal_quant", "mobilenet_v1_0.25_128_quant", "mobilenet_v2_1.0_224_quant")
TFLITE += ("person_detect_qdimfix", "pretrainedResnet_quant", "vww_96_int8")


def assert_same_everywhere(network: Network, folder) -> None:
    """Every tensor of ours that the file still has, and every output of the file read again."""
    path = network.export(folder / "exported.tflite")
    values = noise(network)
    here = bittrue.simulate(network, reference_device(), values, values_only=True, keep_tensors=True)
    there = run_reference(path.read_bytes(), values)
    again = bittrue.simulate(load_network(path), reference_device(), values, values_only=True)
    compared = 0
    for name, value in {**here.tensors, **here.outputs}.items():
        if name in there and network.graph.tensors[name].data is None:
            compared += 1
            np.testing.assert_array_equal(value, there[name], err_msg=name)
    assert compared >= len(network.graph.nodes)
    assert list(again.outputs) == list(here.outputs)
    for name, value in here.outputs.items():
        np.testing.assert_array_equal(again.outputs[name], value, err_msg=name)


@settings(max_examples=25, deadline=None)
@given(network=networks())
def test_drawn_networks(network, tmp_path_factory):
    assert_same_everywhere(network, tmp_path_factory.mktemp("drawn"))


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("fcn_vgg16", {"size": 64, "variant": "8s", "layout": "paper"}),
        ("fcn_vgg16", {"size": 64, "variant": "16s", "layout": "caffe"}),
        ("deeplabv3_resnet50", {"size": 65, "layout": "paper"}),
        ("deeplabv3_resnet50", {"size": 65, "layout": "torchvision"}),
        ("unet", {"size": 64}),
        ("mobilenet_v2", {"size": 64}),
        ("resnet50", {"size": 64}),
    ],
)
def test_networks_quantized_here(name, options, tmp_path):
    network = bittrue.load_network(name, weights="seeded", width=0.125, classes=5, **options)
    photo = np.random.default_rng(0).integers(0, 256, (options["size"], options["size"], 3)).astype(np.uint8)
    assert_same_everywhere(network.quantize(photo), tmp_path)


@pytest.mark.assets
@pytest.mark.parametrize("name", TFLITE)
def test_imported_networks(assets, name, tmp_path):
    assert_same_everywhere(load_network(assets / f"{name}.tflite"), tmp_path)


def test_fully_connected_that_rounds_twice(tmp_path):
    rng = np.random.default_rng(3)
    for once in (False, True):
        b = GraphBuilder("product")
        x = b.input("x", (40, 30), INT8, QuantParams.per_tensor(0.0625, 5))
        w = b.constant("w", rng.integers(-127, 128, (20, 30)).astype(np.int8), INT8, QuantParams.per_tensor(0.0078125))
        y = b.add(ops.FullyConnected(single_rounding=once), x, w, quant=QuantParams.per_tensor(0.6875))
        assert_same_everywhere(Network(b.build([y])), tmp_path)


def test_every_operator_has_a_writer_or_is_known_to_have_none():
    every = {kind for kind in vars(ops).values() if isinstance(kind, type) and issubclass(kind, ops.Op)}
    assert every - set(WRITERS) == {ops.Op, ops.Rescaling, ops.BatchNorm}


def chain(format=INT8, scale=0.5, **changes) -> Network:
    b = GraphBuilder("refused")
    x = b.input("x", (1, 4, 4, 2), format, QuantParams.per_tensor(scale))
    w = b.constant("w", np.ones((2, 1, 1, 2), np.int8), INT8, QuantParams.per_tensor(0.5, changes.get("zero", 0)))
    y = b.add(ops.Conv2D(), x, w, name="conv", quant=QuantParams.per_tensor(1.0))
    pool = ops.AveragePool2D((2, 2), (1, 1), ops.Padding(1, 1, 1, 1))
    return Network(b.build([b.add(pool, y, name="average") if changes.get("pool") else y]))


@pytest.mark.parametrize(
    ("network", "reason"),
    [
        (chain(IntFormat(6)), "x is int6, for which TFLite has no type"),
        (chain(scale=0.1), "scale 0.1, which is no float32 number"),
        (chain(zero=3), "zero point other than 0"),
        (chain(pool=True), r"average \(AveragePool2D\): Padding.* neither TFLite's SAME nor VALID"),
    ],
)
def test_what_the_format_cannot_say_is_refused_and_nothing_is_written(network, reason, tmp_path):
    (tmp_path / "out.tflite").write_bytes(b"earlier")
    with pytest.raises(UnsupportedOp, match=reason):
        network.export(tmp_path / "out.tflite")
    assert [path.name for path in tmp_path.iterdir()] == ["out.tflite"]
    assert (tmp_path / "out.tflite").read_bytes() == b"earlier"


def test_bad_targets_and_networks_not_ready(tmp_path):
    network = chain()
    for path, reason in ((tmp_path / "a.pb", ".tflite, .onnx, .npz"), (tmp_path / "no" / "a.tflite", "no folder")):
        with pytest.raises(NetworkError, match=reason):
            network.export(path)
    with pytest.raises(NetworkError, match="quantize"):
        bittrue.load_network("unet", size=32, weights="seeded").export(tmp_path / "a.tflite")
    weightless = replace(network.graph.tensors["w"], data=None, placeholder=True)
    graph = replace(network.graph, tensors={**network.graph.tensors, "w": weightless})
    with pytest.raises(NetworkError, match="no weights"):
        Network(graph).export(tmp_path / "a.tflite")
    assert not list(tmp_path.iterdir())


def test_a_failed_write_leaves_nothing(tmp_path, monkeypatch):
    def full(*_):
        raise OSError("disk full")

    monkeypatch.setattr("pathlib.Path.replace", full)
    for suffix in (".tflite", ".npz"):
        with pytest.raises(NetworkError, match="disk full"):
            chain().export(tmp_path / f"a{suffix}")
    assert not list(tmp_path.iterdir())
