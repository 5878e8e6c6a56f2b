"""Built-in networks with torchvision's state dicts, held to the same networks in torch.nn, in float."""

from __future__ import annotations

import numpy as np
import pytest

from simulator.errors import NetworkError
from simulator.graph import ops
from workloads.load import load_network
from workloads.quantization.float_execute import run_float
from workloads.quantization.float_ops import FUNCTIONS

torch = pytest.importorskip("torch", reason="needs torch: pip install 'bittrue[torch]'")
pytestmark = pytest.mark.oracle
nets = pytest.importorskip("support.torch_nets")

CLASSES = 5
MOBILE_ROWS = ((1, 8, 1, 1), (6, 16, 2, 2), (6, 16, 3, 2), (6, 32, 4, 2), (6, 48, 3, 1), (6, 80, 3, 2), (6, 160, 1, 1))
"""Table 2 of Sandler et al. at width 0.5: c = 16, 24, 32, 64, 96, 160, 320 halved, to multiples of 8."""
NETWORKS = {
    "resnet50": (lambda: nets.ResNet50(8, classes=CLASSES), {"size": (64, 49)}, ["fc"]),
    "mobilenet_v2": (
        lambda: nets.MobileNetV2(MOBILE_ROWS, 16, 1280, CLASSES),
        {"size": (64, 49), "width": 0.5},
        ["classifier.1"],
    ),
    "vgg16": (lambda: nets.Vgg16(8, 512, CLASSES), {"size": (32, 448)}, ["classifier.6"]),
    "fcn_resnet50": (
        lambda: nets.Segmentation(8, CLASSES, "fcn"),
        {"size": (49, 65), "aux": True},
        ["upsampled", "aux_upsampled"],
    ),
    "deeplabv3_resnet50": (
        lambda: nets.Segmentation(8, CLASSES, "deeplab"),
        {"size": (49, 65), "aux": True},
        ["upsampled", "aux_upsampled"],
    ),
}


def saved(model, folder, suffix):
    path = folder / f"weights{suffix}"
    arrays = {name: value.numpy() for name, value in model.state_dict().items()}
    if suffix == ".pth":
        torch.save(model.state_dict(), path)
    elif suffix == ".npz":
        np.savez(path, **arrays)
    else:
        pytest.importorskip("safetensors.numpy").save_file(arrays, path)
    return path


@pytest.mark.parametrize("suffix", [".pth", ".safetensors", ".npz"])
@pytest.mark.parametrize("name", NETWORKS)
def test_scores_are_those_of_torch(name, suffix, tmp_path):
    make, keywords, scores = NETWORKS[name]
    model = nets.randomised(make(), seed=3)
    path = saved(model, tmp_path, suffix)
    network = load_network(name, classes=CLASSES, weights=path, **{"width": 0.125, **keywords})
    shape = network.graph.tensors["image"].shape
    image = np.random.default_rng(5).standard_normal(shape).astype(np.float32)
    with torch.no_grad():
        expected = model(torch.from_numpy(image.transpose(0, 3, 1, 2).copy()))
    expected = expected if isinstance(expected, list) else [expected]
    found = {}

    def keep(tensor, values):
        if tensor in scores:
            found[tensor] = values.copy()

    run_float(network.graph, {"image": image}, on_tensor=keep)
    for tensor, reference in zip(scores, expected, strict=True):
        ours = found[tensor]
        theirs = reference.numpy()
        theirs = theirs.transpose(0, 2, 3, 1) if theirs.ndim == 4 else theirs
        assert theirs.std() > 0.01  # a network whose scores vanished would agree with anything
        np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-3)


def test_a_file_may_hold_a_head_that_was_not_asked_for_but_must_hold_the_rest(tmp_path):
    model = nets.Segmentation(8, CLASSES, "fcn")
    path = saved(model, tmp_path, ".pth")
    load_network("fcn_resnet50", size=33, classes=CLASSES, width=0.125, weights=path)
    with pytest.raises(NetworkError) as error:
        load_network("fcn_resnet50", size=33, classes=CLASSES + 1, width=0.125, weights=path)
    assert all(name in str(error.value) for name in ("classifier.4.weight", "classifier.4.bias"))


def test_filters_of_transposed_convolutions_are_turned(tmp_path):
    layer = torch.nn.ConvTranspose2d(CLASSES, CLASSES, 4, 2, 1, bias=False)
    network = load_network("fcn_vgg16", layout="paper", size=32, width=0.02, classes=CLASSES, weights="seeded")
    arrays = {name: tensor.data for name, tensor in network.graph.tensors.items() if tensor.data is not None}
    arrays = {name: data.transpose(0, 3, 1, 2) if data.ndim == 4 else data for name, data in arrays.items()}
    node = next(node for node in network.graph.nodes if isinstance(node.op, ops.TransposeConv2D))
    arrays[node.inputs[1]] = layer.weight.detach().numpy()
    np.savez(tmp_path / "turned.npz", **arrays)
    loaded = load_network(
        "fcn_vgg16", layout="paper", size=32, width=0.02, classes=CLASSES, weights=tmp_path / "turned.npz"
    )
    x = np.random.default_rng(1).standard_normal((1, 1, 1, CLASSES)).astype(np.float32)
    with torch.no_grad():
        expected = layer(torch.from_numpy(x.transpose(0, 3, 1, 2).copy())).numpy().transpose(0, 2, 3, 1)
    op = ops.TransposeConv2D((2, 2), (2, 2), ops.Padding(1, 1, 1, 1))
    found = FUNCTIONS[ops.TransposeConv2D](op, [x, loaded.graph.tensors[node.inputs[1]].data], expected.shape)
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-5)


def test_code_in_a_file_is_not_run(tmp_path):
    torch.save(nets.Vgg16(8, 16, 2), tmp_path / "model.pth")
    with pytest.raises(NetworkError, match="not a state dict"):
        load_network("vgg16", weights=tmp_path / "model.pth")


FUNCTIONS_OF_TORCH = [
    ("fcn_vgg16", {"layout": "paper", "size": (50, 69)}, "fcn8s", "paper"),
    ("fcn_vgg16", {"layout": "caffe", "size": (40, 33)}, "fcn8s", "caffe"),
    ("deeplabv3_resnet50", {"layout": "paper", "size": (66, 49)}, "paper_deeplab", "paper"),
    ("deeplabv3_resnet50", {"layout": "deeplab", "size": (65, 49)}, "multi_grid_deeplab", 16),
    ("deeplabv3_resnet50", {"layout": "deeplab", "output_stride": 8, "size": (65, 49)}, "multi_grid_deeplab", 8),
    ("unet", {"size": (37, 52)}, "unet", ""),
]


@pytest.mark.parametrize(("name", "keywords", "function", "variant"), FUNCTIONS_OF_TORCH)
def test_layouts_that_torchvision_has_not_are_those_written_in_torch(name, keywords, function, variant, tmp_path):
    paper_nets = pytest.importorskip("support.torch_paper_nets")
    keywords = {"width": 0.05, "classes": CLASSES, **keywords}
    arrays = random_constants(load_network(name, weights="seeded", **keywords))
    np.savez(tmp_path / "random.npz", **arrays)
    network = load_network(name, weights=tmp_path / "random.npz", **keywords)
    (labels,) = [node for node in network.graph.nodes if isinstance(node.op, ops.ArgMax)]
    image = np.random.default_rng(6).standard_normal(network.graph.tensors["image"].shape).astype(np.float32)
    found = {}
    run_float(network.graph, {"image": image}, on_tensor=lambda name, values: found.update({name: values.copy()}))
    with torch.no_grad():
        pixels = torch.from_numpy(image.transpose(0, 3, 1, 2).copy())
        expected = getattr(paper_nets, function)(paper_nets.Constants(arrays), pixels, variant).numpy()
    assert expected.std() > 0.01
    np.testing.assert_allclose(found[labels.inputs[0]], expected.transpose(0, 2, 3, 1), rtol=0, atol=1e-3)


def random_constants(network):
    """Values of all constants by name, in the network's layout, which keep activations near 1."""
    rng, arrays = np.random.default_rng(8), {}
    for name, tensor in network.graph.tensors.items():
        if tensor.data is None:
            continue
        noise = rng.standard_normal(tensor.shape)
        if noise.ndim > 1:
            noise *= (2 / np.prod(tensor.shape[1:])) ** 0.5
        elif name.endswith("running_var"):
            noise = np.abs(noise) * 0.5 + 0.7
        elif name.endswith(".weight"):
            noise = noise * 0.1 + 0.6
        else:
            noise *= 0.1
        arrays[name] = noise.astype(np.float32)
    return arrays
