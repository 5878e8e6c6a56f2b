"""Built-in networks against published sizes: torchvision's model card, FCN's reference, the integer training paper."""

from __future__ import annotations

import numpy as np
import pytest

from simulator.errors import NetworkError
from simulator.graph import ops
from workloads.counting import node_macs
from workloads.load import load_network

DEEPLAB = "deeplabv3_resnet50"


@pytest.mark.parametrize(
    ("name", "keywords", "macs", "parameters"),
    [
        (DEEPLAB, {"layout": "torchvision", "size": 513}, 168_652_962_240, 39_638_869),
        (DEEPLAB, {"layout": "torchvision", "size": 500}, 158_436_392_960, 39_638_869),
        (DEEPLAB, {"layout": "deeplab", "size": 513}, 50_435_832_256, 39_048_533),
        (DEEPLAB, {"layout": "deeplab", "size": 512}, 47_800_123_392, 39_048_533),
        (DEEPLAB, {"layout": "deeplab", "size": 512, "output_stride": 8}, 161_163_509_760, 39_048_533),
        (DEEPLAB, {"layout": "paper", "size": 513}, 47_879_928_256, 39_036_736),
        (DEEPLAB, {"layout": "paper", "size": 512}, 45_283_540_992, 39_036_736),
        ("fcn_vgg16", {"variant": "8s", "layout": "paper", "size": 512}, 111_306_461_184, 134_477_280),
        ("fcn_vgg16", {"variant": "8s", "layout": "paper", "size": 513}, 117_023_611_872, 134_477_280),
        ("fcn_vgg16", {"layout": "paper", "size": 512, "classes": 151}, 135_551_340_544, 141_549_280),
        ("fcn_vgg16", {"variant": "32s", "layout": "caffe", "size": 500}, 181_365_854_976, 136_152_917),
        ("fcn_vgg16", {"variant": "16s", "layout": "caffe", "size": 500}, 181_448_086_272, 134_815_994),
        ("fcn_vgg16", {"variant": "8s", "layout": "caffe", "size": 500}, 181_529_034_048, 134_489_759),
    ],
)
def test_macs_and_parameters_are_the_published_ones(name, keywords, macs, parameters):
    net = load_network(name, **{"classes": 21, **keywords})
    assert (net.macs, net.parameters) == (macs, parameters)
    assert net.is_float
    assert not net.has_weights


def test_layers_of_the_paper_deeplab_have_the_published_work():
    graph = load_network(DEEPLAB, layout="paper", size=512).graph
    work = {node.name: node_macs(graph, node) / 1e6 for node in graph.nodes}

    def unit(name):
        return round(sum(macs for node, macs in work.items() if node.startswith(f"{name}.")), 1)

    assert round(work["conv1"], 1) == 616.6
    published = {
        **{"block1.unit1": 1208.0, "block1.unit2": 1140.9, "block1.unit3": 285.2, "block2.unit1": 1543.5},
        **{"block2.unit4": 285.2, "block3.unit1": 1543.5, "block3.unit6": 1140.9, "block4.unit1": 6174.0},
        **{"block4.unit3": 4563.4},
    }
    assert {name: unit(name) for name in published} == published
    assert round(work["aspp.rate12"], 1) == 4831.8


def test_torchvision_layout_has_the_dilations_of_the_model():
    graph = load_network(DEEPLAB).graph
    found = {
        node.name: node.op.dilation[0]
        for node in graph.nodes
        if isinstance(node.op, ops.Conv2D) and node.op.dilation != (1, 1)
    }
    assert found == {
        **{f"backbone.layer3.{block}.conv2": 2 for block in range(1, 6)},
        **{"backbone.layer4.0.conv2": 2, "backbone.layer4.1.conv2": 4, "backbone.layer4.2.conv2": 4},
        **{"classifier.0.convs.1.0": 12, "classifier.0.convs.2.0": 24, "classifier.0.convs.3.0": 36},
    }
    assert graph.tensors["classifier.4"].shape == (1, 65, 65, 21)
    assert graph.tensors["labels"].shape == (1, 513, 513)


def test_reference_fcn_has_the_published_sizes():
    graph = load_network("fcn_vgg16", layout="caffe", size=500).graph
    published = {"conv1_1": 698, "pool1": 349, "pool2": 175, "pool3": 88, "pool4": 44, "pool5": 22, "fc6": 16}
    published |= {"upscore2": 34, "upscore_pool4": 70, "upscore8": 568, "score": 500}
    assert {name: graph.tensors[name].shape[1] for name in published} == published


def test_unet_has_the_published_parameters():
    net = load_network("unet", size=64, width=1.0, classes=2)
    assert net.parameters == 31_037_698  # PyTorch-UNet's model with transposed convolutions, 3 channels, 2 classes
    odd = load_network("unet", size=(45, 30), classes=3).graph
    assert odd.tensors["labels"].shape == (1, 45, 30)


def test_size_width_and_classes_are_free():
    net = load_network(DEEPLAB, size=(33, 49), width=0.125, classes=5)
    assert net.graph.tensors["labels"].shape == (1, 33, 49)
    assert net.graph.tensors["classifier.4"].shape == (1, 5, 7, 5)
    assert net.segmentation.class_names == tuple(f"class {index}" for index in range(5))
    assert len(net.segmentation.palette) == 5


def test_seeded_weights_are_reproducible_and_keep_the_variance():
    first, second = (load_network(DEEPLAB, size=33, width=0.25, weights="seeded") for _ in range(2))
    other = load_network(DEEPLAB, size=33, width=0.25, weights="seeded", seed=1)
    name = "backbone.layer2.0.conv2.weight"
    data = first.graph.tensors[name].data
    np.testing.assert_array_equal(data, second.graph.tensors[name].data)
    assert not np.array_equal(data, other.graph.tensors[name].data)
    assert np.var(data) == pytest.approx(2 / np.prod(data.shape[1:]), rel=0.05)
    assert first.has_weights
    assert any("seeded" in note for note in first.notes)


def test_weights_from_a_file(tmp_path):
    seeded = load_network("fcn_vgg16", size=32, width=0.01, classes=3, weights="seeded")
    arrays = {tensor.name: tensor.data for tensor in seeded.graph.tensors.values() if tensor.is_constant}
    np.savez(tmp_path / "good.npz", **arrays)
    loaded = load_network("fcn_vgg16", size=32, width=0.01, classes=3, weights=tmp_path / "good.npz")
    assert not loaded.seeded
    for name, data in arrays.items():
        np.testing.assert_array_equal(loaded.graph.tensors[name].data, data)

    arrays["fc7.weight"] = arrays["fc7.weight"][:, :, :, :1]
    arrays["fc9.weight"] = arrays.pop("fc6.weight")
    np.savez(tmp_path / "bad.npz", **arrays)
    with pytest.raises(NetworkError) as error:
        load_network("fcn_vgg16", size=32, width=0.01, classes=3, weights=tmp_path / "bad.npz")
    assert all(word in str(error.value) for word in ("fc6.weight", "missing", "fc7.weight", "fc9.weight"))


@pytest.mark.parametrize(
    ("name", "keywords", "words"),
    [
        ("deeplabv3_resnet5", {}, "did you mean 'deeplabv3_resnet50'"),
        ("nothing.tflite", {}, "no such file"),
        (DEEPLAB, {"sise": 3}, "did you mean 'size'"),
        (DEEPLAB, {"size": 1_000_000}, "size is a whole number up to 32,768"),
        (DEEPLAB, {"layout": "tv"}, "'torchvision' or 'deeplab' or 'paper'"),
        (DEEPLAB, {"output_stride": 16}, "output_stride is 8"),
        (DEEPLAB, {"classes": 1}, "classes"),
        (DEEPLAB, {"width": 0}, "width"),
        (DEEPLAB, {"size": "big"}, "'big'"),
        (DEEPLAB, {"weights": "none.npz"}, "no such file"),
        ("fcn_vgg16", {"variant": "4s"}, "'4s'"),
    ],
)
def test_mistakes_are_named(name, keywords, words):
    with pytest.raises(NetworkError) as error:
        load_network(name, **keywords)
    assert words in str(error.value)


def test_values_need_weights_and_quantization():
    with pytest.raises(NetworkError, match=r"weights=\"seeded\""):
        load_network(DEEPLAB, size=33).ready(for_values=True)
    with pytest.raises(NetworkError, match=r"net\.quantize\(images\)"):
        load_network(DEEPLAB, size=33, width=0.1, weights="seeded").ready(for_values=True)
