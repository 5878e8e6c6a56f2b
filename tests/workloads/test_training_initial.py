"""The first state: a pretrained network stays the same function in grids of +-1 and +-2."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from simulator.errors import NetworkError
from support.training_small_nets import small_deeplab, small_fcn
from workloads.nets.registry import build
from workloads.quantization.float_execute import run_float
from workloads.training.config import preset
from workloads.training.derive import derive_step
from workloads.training.initial import initial_state, to_master, weight_shifts, with_batch
from workloads.training.parameters import Role, find_parameters
from workloads.training.pretrained import Pretrained, with_pretrained

ASSETS = Path(os.environ.get("BITTRUE_ASSETS", ".")) / "assets"


def _pixels(size, count):
    return np.random.default_rng(1).integers(-120, 130, (count, *size, 3)).astype(np.int16)


def _measured(network):
    """The small DeepLabv3 as if trained: statistics, gains and offsets of its own, all layers pretrained."""
    rng = np.random.default_rng(0)
    graph = network.graph
    images = _pixels(graph.input_tensors[0].shape[1:3], 6).astype(np.float32)
    statistics = run_float(_filled(with_batch(graph, 6), graph), {"image": images}, measure_norms=True).statistics
    tensors = dict(graph.tensors)
    for name, tensor in tensors.items():
        if tensor.data is None:
            continue
        data = statistics.get(name, tensor.data)
        data = data * rng.uniform(0.8, 1.2, data.shape) if name in statistics else data
        if name.endswith(".bn.weight"):
            # What is pooled over the image varies little, and its offset grows with the gain.
            data = rng.uniform(0.2, 0.7, data.shape) * (0.2 if name.startswith("c3") else 1)
        elif name.endswith(".bn.bias"):
            data = rng.normal(0, 0.2, data.shape)
        elif name == "score.weight":
            data = 0.2 * data
        tensors[name] = replace(tensor, data=data.astype(np.float32))
    graph = replace(graph, tensors=tensors)
    return Pretrained(graph, frozenset(node.name for node in graph.nodes if node.op.kind == "Conv2D"))


def _filled(graph, source):
    """A graph with the constants of another."""
    tensors = {
        name: replace(tensor, data=source.tensors[name].data, placeholder=False) if tensor.is_constant else tensor
        for name, tensor in graph.tensors.items()
    }
    return replace(graph, tensors=tensors)


def test_a_network_with_batch_norm_stays_the_same_function():
    network = small_deeplab()
    pretrained = _measured(network)
    step = derive_step(pretrained.graph, preset("paper"), 2)
    pixels = _pixels(step.size, 6)
    found = initial_state(pretrained, step, network.image, pixels)
    assert found.clipped == {}
    # The float network again, from the integers: its norms take the measured mean and (L1) deviation.
    parameters = find_parameters(pretrained.graph, preset("paper"))
    real = {
        name: np.ldexp(found.arrays[name].astype(np.float64), parameters[name].master_exponent) for name in parameters
    }
    constants = dict(pretrained.graph.tensors)
    for node in pretrained.graph.nodes:
        if node.op.kind == "BatchNorm":
            mean, deviation = (
                np.ldexp(found.arrays[f"{node.name}.{part}"].astype(np.float64), -24)
                for part in ("running_mean", "running_deviation")
            )
            real |= dict(
                zip(node.inputs[1:], (real[node.inputs[1]], real[node.inputs[2]], mean, deviation**2), strict=True)
            )
    for name, values in real.items():
        constants[name] = replace(constants[name], data=values.astype(np.float32))
    again = _scores(replace(pretrained.graph, tensors=constants), np.ldexp(pixels.astype(np.float32), -6))
    wanted = _scores(pretrained.graph, pixels.astype(np.float32))
    np.testing.assert_allclose(again, wanted, rtol=0.02, atol=0.02 * np.abs(wanted).max())


def _scores(graph, images):
    """Scores of a batch of images by the float executor."""
    batched = _filled(with_batch(graph, len(images)), graph)
    cut = replace(batched, nodes=batched.nodes[:-1], outputs=(batched.nodes[-1].inputs[0],))
    return next(iter(run_float(cut, {"image": images}).outputs.values()))


def test_every_filter_before_a_norm_has_norm_root_two_and_all_parameters_are_in_their_grids():
    network = small_deeplab()
    step = derive_step(network.graph, preset("paper"), 2)
    pixels = _pixels(step.size, 4)
    arrays = initial_state(_measured(network), step, network.image, pixels).arrays
    assert set(arrays) == set(step.state_names)
    for parameter in step.parameters:
        assert np.abs(arrays[parameter.name]).max() <= parameter.master_limit
        if parameter.role is Role.WEIGHT and not parameter.name.startswith("score"):
            filters = np.ldexp(arrays[parameter.name].reshape(parameter.shape[0], -1).astype(np.float64), -23)
            norms = np.sqrt((filters**2).sum(axis=1))
            assert ((np.abs(norms - 2**0.5) < 1e-3) | (np.abs(filters).max(axis=1) > 0.979)).all()


def test_weight_shifts_are_the_greatest_that_hold_the_weights():
    graph = small_fcn().graph
    small = replace(graph.tensors["fc6.weight"], data=graph.tensors["fc6.weight"].data * np.float32(0.1))
    pretrained = with_pretrained(replace(graph, tensors={**graph.tensors, "fc6.weight": small}), None)
    shifts = weight_shifts(pretrained)
    for name, shift in shifts.items():
        greatest = np.abs(pretrained.graph.tensors[name].data).max()
        assert greatest <= 0.98 * 2.0**-shift or shift == 0
        assert greatest > 0.98 * 2.0 ** -(shift + 1)
    assert shifts["fc6.weight"] >= 2


def test_values_outside_a_grid_are_clipped_and_counted():
    parameter = find_parameters(small_fcn().graph, preset("paper"))["conv0.weight"]
    values, clipped = to_master(np.array([0.5, -1.5, 2.0, 2.0**-24]), parameter)
    assert (values.tolist(), clipped) == ([2**22, -(2**23 - 1), 2**23 - 1, 1], 2)


def test_pretrained_weights_that_do_not_suit_are_refused(tmp_path):
    graph = small_fcn().graph
    for arrays, message in (
        ({"conv0.weight": np.zeros((4, 3, 3, 3))}, None),
        ({"conv0.weight": np.zeros((5, 3, 3, 3))}, r"conv0.weight is float64 \(5, 3, 3, 3\)"),
        ({"conv0.weight": np.full((4, 3, 3, 3), np.nan)}, "finite float"),
        ({"other": np.zeros(3)}, "no array fits small_fcn"),
    ):
        np.savez(tmp_path / "w.npz", **arrays)
        if message is None:
            assert with_pretrained(graph, tmp_path / "w.npz").layers == {"conv0"}
            continue
        with pytest.raises(NetworkError, match=message):
            with_pretrained(graph, tmp_path / "w.npz")
    with pytest.raises(NetworkError, match="no such file"):
        with_pretrained(graph, tmp_path / "none.npz")


@pytest.mark.assets
def test_the_backbones_fit_the_compact_layouts():
    deeplab = build("deeplabv3_resnet50", layout="compact", width=0.5, size=(32, 32), classes=11, weights="seeded")
    found = with_pretrained(deeplab.graph, ASSETS / "resnet50_1by2_backbone_fp16.npz")
    assert len(found.layers) == 43  # the stem, 13 blocks of three, three shortcuts: the last stage is left out
    with np.load(ASSETS / "resnet50_1by2_backbone_fp16.npz") as arrays:
        stem = arrays["conv00.w"].astype(np.float32)  # BGR
    np.testing.assert_array_equal(found.graph.tensors["backbone.conv1.weight"].data[..., 0], stem[:, 2])
    fcn = build("fcn_vgg16", layout="compact", size=(32, 32), classes=11, weights="seeded")
    assert len(with_pretrained(fcn.graph, ASSETS / "vgg16_hed_fp16.npz").layers) == 13
