"""Built-in networks layer by layer against sizes written anew from the published tables; small runs in integers."""

from __future__ import annotations

import numpy as np
import pytest

import bittrue
from simulator.errors import NetworkError
from simulator.graph import ops
from support import network_sizes as sizes
from support.accelerators import device
from support.numbered_resnet import numbered_resnet
from workloads.counting import ARRAY_OPS, count_parameters, node_macs
from workloads.load import load_network
from workloads.quantization.float_execute import run_float

DEEPLAB = "deeplabv3_resnet50"
CASES = [
    *(
        ("fcn_vgg16", {"variant": v, "layout": name, "size": side}, sizes.fcn(side, 21, v, caffe=name == "caffe"))
        for v in ("8s", "16s", "32s")
        for name, side in (("paper", 512), ("paper", 513), ("caffe", 500))
        if name == "caffe" or v == "8s"
    ),
    *((DEEPLAB, {"layout": "paper", "size": side}, sizes.paper_deeplab(side, 21)) for side in (500, 512, 513)),
    *(
        (DEEPLAB, {"layout": "deeplab", "size": 513, "output_stride": s}, sizes.deeplab(513, 21, s, torchvision=False))
        for s in (8, 16)
    ),
    (DEEPLAB, {"size": 513, "aux": True}, sizes.deeplab(513, 21, 8, torchvision=True, aux=True)),
    ("fcn_resnet50", {"size": 520}, sizes.fcn_resnet(520, 21)),
    ("resnet50", {}, sizes.resnet50(224)),
    ("vgg16", {}, sizes.vgg16()),
    ("mobilenet_v2", {}, sizes.mobilenet_v2()),
]


@pytest.mark.parametrize(("name", "keywords", "expected"), CASES)
def test_every_layer_has_the_work_and_the_weights_of_the_published_table(name, keywords, expected):
    graph = load_network(name, **keywords).graph
    found = {
        node.name: (node_macs(graph, node), sum(graph.tensors[name].elements for name in node.inputs[1:3] if name))
        for node in graph.nodes
        if isinstance(node.op, ARRAY_OPS)
    }
    assert found == expected


def test_mobilenet_v2_is_as_large_as_its_paper_says():
    """300 M multiply-adds and 3.4 M parameters (table 4): the latter without a few of gamma, beta or biases."""
    net = load_network("mobilenet_v2")
    layers = sizes.mobilenet_v2()
    norms = sum(2 * net.graph.tensors[n.inputs[1]].elements for n in net.graph.nodes if isinstance(n.op, ops.BatchNorm))
    assert net.macs == sum(macs for macs, _ in layers.values())
    assert net.parameters == sum(weights for _, weights in layers.values()) + norms
    assert round(net.macs / 1e6, -1) == 300
    assert 3.4e6 < net.parameters < 3.4e6 * 1.04


@pytest.mark.parametrize(
    ("name", "keywords", "parameters"),
    [
        ("resnet50", {}, 25_557_032),  # these are torchvision's num_params
        ("vgg16", {}, 138_357_544),
        ("mobilenet_v2", {}, 3_504_872),
        ("fcn_resnet50", {"aux": True}, 35_322_218),
        (DEEPLAB, {"aux": True}, 42_004_074),
    ],
)
def test_the_graph_has_the_parameters_of_the_model_cards(name, keywords, parameters):
    assert count_parameters(load_network(name, **keywords).graph) == parameters


@pytest.mark.parametrize(("name", "parameters"), [("fcn_resnet50", 32_957_013), (DEEPLAB, 39_638_869)])
def test_parameters_leave_the_auxiliary_head_out(name, parameters):
    assert load_network(name).parameters == load_network(name, aux=True).parameters == parameters


def test_norms_and_weights_of_the_paper_deeplab_and_the_bare_backbone():
    graph = load_network(DEEPLAB, layout="paper").graph
    norms = [node for node in graph.nodes if isinstance(node.op, ops.BatchNorm)]
    assert sum(2 * graph.tensors[node.inputs[1]].elements for node in norms) == 44_416
    net = load_network("resnet50")
    assert net.parameters - 2049 * 1000 == 23_508_032
    assert load_network("mobilenet_v2").macs == 300_774_272  # 300 M in Sandler et al., 0.301 G in torchvision's card


@pytest.mark.parametrize(("stride", "side"), [(32, 2), (16, 4), (8, 8)])
def test_mobilenet_dilates_for_a_finer_output(stride, side):
    graph = load_network("mobilenet_v2", size=64, output_stride=stride).graph
    assert graph.tensors["features.18.0"].shape[1:3] == (side, side)


@pytest.mark.parametrize(
    ("name", "keywords"),
    [
        ("resnet50", {"size": 33}),
        ("vgg16", {"size": 32}),
        ("mobilenet_v2", {"size": 33, "width": 0.1}),
        ("fcn_resnet50", {"size": 33, "aux": True}),
        (DEEPLAB, {"size": 33, "aux": True}),
        (DEEPLAB, {"size": 33, "layout": "deeplab", "output_stride": 8}),
    ],
)
def test_new_networks_run_in_time_and_in_integers(name, keywords):
    net = load_network(name, classes=4, weights="seeded", **{"width": 0.125, **keywords})
    height, width = net.graph.tensors["image"].shape[1:3]
    image = np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8)
    quantized = net.quantize([image])
    run = bittrue.simulate(quantized, device(), [np.zeros((1, height, width, 3), np.int8)], values_only=True)
    assert list(run.outputs) == list(net.graph.outputs)
    assert quantized.parameters == net.parameters
    assert bittrue.simulate(net, device(), timing_only=True).record.total_cycles > 0


def test_a_backbone_file_gives_its_layers_and_the_rest_is_seeded(tmp_path):
    weights = np.random.default_rng(1).standard_normal((8, 3, 3, 3)).astype(np.float16)
    np.savez(tmp_path / "part.npz", **{"conv1_1.w": weights, "conv1_1.b": np.arange(8, dtype=np.float32)})
    keywords = {"layout": "caffe", "size": 32, "width": 0.01, "classes": 3}
    net = load_network("fcn_vgg16", weights=tmp_path / "part.npz", **keywords)
    for ours, theirs in enumerate((2, 1, 0)):  # the file's filters take blue, green, red
        np.testing.assert_array_equal(net.graph.tensors["conv1_1.weight"].data[..., ours], weights[:, theirs])
    assert any("the rest is seeded: conv1_2.weight" in note for note in net.notes)
    np.savez(tmp_path / "other.npz", **{"stem.w": weights})
    with pytest.raises(NetworkError, match="none of its arrays"):
        load_network("fcn_vgg16", weights=tmp_path / "other.npz", **keywords)


def torch_arrays(net):
    arrays = {name: tensor.data for name, tensor in net.graph.tensors.items() if tensor.data is not None}
    return {name: data.transpose(0, 3, 1, 2) if data.ndim == 4 else data for name, data in arrays.items()}


def test_arrays_in_both_layouts_or_in_a_layout_that_no_shape_tells_are_refused(tmp_path):
    keywords = {"layout": "caffe", "size": 32, "width": 0.01, "classes": 3}
    net = load_network("fcn_vgg16", weights="seeded", **keywords)
    arrays = torch_arrays(net)
    mixed = {**arrays, "conv5_1.weight": net.graph.tensors["conv5_1.weight"].data}
    np.savez(tmp_path / "mixed.npz", **mixed)
    with pytest.raises(NetworkError, match=r"give all arrays one layout"):
        load_network("fcn_vgg16", weights=tmp_path / "mixed.npz", **keywords)
    cubes = {name: values for name, values in arrays.items() if values.ndim != 4 or values.shape[1:] == (3, 3, 3)}
    np.savez(tmp_path / "cubes.npz", **cubes)
    with pytest.raises(NetworkError, match=r"conv1_1\.weight \(8, 3, 3, 3\): reads as .* in a \.safetensors"):
        load_network("fcn_vgg16", weights=tmp_path / "cubes.npz", **keywords)


@pytest.mark.assets
def test_a_numbered_backbone_is_a_resnet_of_the_compact_layout(assets):
    path = assets / "resnet50_1by2_backbone_fp16.npz"
    keywords = {"size": 65, "classes": 3, "width": 0.5, "weights": path}
    net = load_network("deeplabv3_resnet50", layout="compact", **keywords)
    image = np.random.default_rng(2).uniform(-120, 120, (1, 65, 65, 3)).astype(np.float32)
    seen = {}
    run_float(net.graph, {"image": image}, on_tensor=lambda name, values: seen.update({name: values.copy()}))
    (pooled,) = [node for node in net.graph.nodes if isinstance(node.op, ops.Mean)]
    expected = numbered_resnet(np.load(path), image)
    assert expected.std() > 0.1
    np.testing.assert_allclose(seen[pooled.inputs[0]], expected, rtol=0, atol=1e-3)
    assert any("the rest is seeded: classifier" in note for note in net.notes)
    for name, other in (("resnet50", {}), ("deeplabv3_resnet50", {"layout": "torchvision"})):
        with pytest.raises(NetworkError, match=r"(?s)do not suit.*fits deeplabv3_resnet50 with layout='compact'"):
            load_network(name, **{**keywords, **other})


@pytest.mark.parametrize(("file", "words"), [("a.txt", "no kind of weights"), ("b.safetensors", "not readable")])
def test_files_that_are_no_weights_are_refused(tmp_path, file, words):
    (tmp_path / file).write_bytes(b"nothing")
    with pytest.raises(NetworkError, match=words):
        load_network("resnet50", weights=tmp_path / file)


@pytest.mark.assets
@pytest.mark.oracle
@pytest.mark.parametrize("layout", ["paper", "caffe"])
def test_pretrained_convolutions_give_torch_s_features(layout, assets):
    torch = pytest.importorskip("torch", reason="needs torch: pip install 'bittrue[torch]'")
    path = assets / "vgg16_hed_fp16.npz"
    net = load_network("fcn_vgg16", variant="32s", layout=layout, size=32, classes=2, weights=path)
    image = np.random.default_rng(2).uniform(-120, 120, (1, 32, 32, 3)).astype(np.float32)
    seen, wanted = {}, ("pool5", "score_fr")

    def keep(tensor, values):
        if tensor in wanted:
            seen[tensor] = values.copy()

    run_float(net.graph, {"image": image}, on_tensor=keep)
    arrays = np.load(path)

    def head(name):
        weight = torch.from_numpy(net.graph.tensors[f"{name}.weight"].data.transpose(0, 3, 1, 2).copy())
        bias = net.graph.tensors.get(f"{name}.bias")
        return weight, None if bias is None else torch.from_numpy(bias.data)

    functional = torch.nn.functional
    x = torch.from_numpy(image.transpose(0, 3, 1, 2).copy())
    for stage, (repeats, _) in enumerate(sizes.VGG, 1):
        for index in range(1, repeats + 1):
            weight, bias = (torch.from_numpy(arrays[f"conv{stage}_{index}.{key}"]).float() for key in "wb")
            if stage == index == 1:
                x = x.flip(1)  # the file's filters take blue, green, red
            pad = 100 if layout == "caffe" and stage == index == 1 else 1
            x = functional.relu(functional.conv2d(x, weight, bias if layout == "caffe" else None, padding=pad))
        x = functional.max_pool2d(x, 2, 2, ceil_mode=True)
    pooled = x.numpy().transpose(0, 2, 3, 1)
    x = functional.relu(functional.conv2d(x, *head("fc6"), padding=0 if layout == "caffe" else 3))
    scores = functional.conv2d(functional.relu(functional.conv2d(x, *head("fc7"))), *head("score_fr"))
    for found, expected in ((seen["pool5"], pooled), (seen["score_fr"], scores.numpy().transpose(0, 2, 3, 1))):
        np.testing.assert_allclose(found, expected, rtol=0, atol=1e-3)
