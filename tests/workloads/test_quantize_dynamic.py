"""Scales of the tensor at hand: every label against a twin in NumPy, at any brightness; cost; what is refused."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

import bittrue
from simulator.errors import InputError, UnsupportedOp
from simulator.graph import ops
from simulator.graph import training_ops as t
from simulator.mapping.mapper import map_layers
from simulator.numerics.formats import IntFormat
from support.accelerators import device
from support.devices import machine
from support.dynamic_twin import Inference, deeplab, fcn
from support.small_nets import Author, small_network
from support.training_runs import layer_of, scale
from support.training_small_nets import DEEPLAB_SIZE, FCN_SIZE, small_deeplab, small_fcn
from support.training_step_twin import Q
from workloads.images import prepare_image
from workloads.quantization.float_execute import run_float
from workloads.quantization.options import QuantizeOptions

NETS = {"deeplab": (small_deeplab, deeplab, DEEPLAB_SIZE), "fcn": (small_fcn, fcn, FCN_SIZE)}
DYNAMIC = {"scheme": "paper", "activation_scales": "dynamic"}


def pixels(size, seed=0, greatest=256):
    return np.random.default_rng(seed).integers(0, greatest, (*size, 3), np.uint8)


def with_biases(network, seed=3):
    """The same network with other biases than the seeded zeros."""
    rng = np.random.default_rng(seed)
    tensors = dict(network.graph.tensors)
    for node in network.graph.nodes:
        if isinstance(node.op, ops.Conv2D) and len(node.inputs) > 2 and node.inputs[2]:
            shape = tensors[node.inputs[2]].shape
            values = rng.normal(0, 0.3, shape).astype(np.float32)
            tensors[node.inputs[2]] = replace(tensors[node.inputs[2]], data=values)
    return replace(network, graph=replace(network.graph, tensors=tensors))


@pytest.mark.parametrize("options", [{}, {"scale_rounding": "up", "weight_shift": "none"}], ids=["paper", "up"])
@pytest.mark.parametrize("name", NETS)
def test_every_score_and_label_is_that_of_the_twin(name, options):
    make, forward, size = NETS[name]
    network = with_biases(make())
    integer = network.quantize(pixels(size), **DYNAMIC, **options)
    measured = run_float(network.graph, prepare_image(network, pixels(size)), measure_norms=True).statistics
    rule = "ceil" if options else "round"
    twin = Inference(network, measured if network.seeded else {}, rule, shifted=not options)
    (image,) = integer.graph.input_tensors
    exponent = int(np.log2(image.scale))
    assert 2.0**exponent == image.scale
    for other in (pixels(size), pixels(size, 1), pixels(size, 2, greatest=9)):
        feed = prepare_image(integer, other)
        run = bittrue.simulate(integer, device(), feed, keep_tensors=True)
        scores = forward(twin, Q(feed["image"], (1, exponent), 8), size)
        (source,) = [node.inputs[0] for node in integer.graph.nodes if isinstance(node.op, ops.ArgMax)]
        np.testing.assert_array_equal(run.tensors[source], scores.values.astype(np.int64))
        np.testing.assert_array_equal(run.outputs["labels"], scores.values.astype(np.int64).argmax(axis=3))
        assert {value.dtype.kind for value in run.tensors.values()} <= {"i", "u"}


def test_a_dim_image_keeps_its_bits():
    """What the frozen scales round to nothing: an input of a few steps still fills the grid of the next layer."""
    network, size = small_fcn(), FCN_SIZE
    grids = {}
    for scales in ("frozen", "dynamic"):
        integer = network.quantize(pixels(size), scheme="paper", activation_scales=scales)
        dim = {"image": np.random.default_rng(3).integers(-3, 4, (1, *size, 3)).astype(np.int8)}
        accelerator = device(arithmetic__requantizer="power_of_two")
        run = bittrue.simulate(integer, accelerator, dim, values_only=True, keep_tensors=True)
        (name,) = {"fc6.relu", "fc6.relu:0"} & set(run.tensors)
        grids[scales] = int(run.tensors[name].max())
    assert grids["dynamic"] >= 90  # 127 / sqrt(2), the least that a nearest power of two leaves
    assert grids["frozen"] < grids["dynamic"]


def without_labels(network):
    """The network up to its scores."""
    graph = network.graph
    nodes = tuple(node for node in graph.nodes if not isinstance(node.op, ops.ArgMax))
    tensors = {name: tensor for name, tensor in graph.tensors.items() if name not in graph.outputs}
    trunk = replace(graph, nodes=nodes, tensors=tensors, outputs=nodes[-1].outputs)
    return replace(network.with_graph(trunk), segmentation=None)


def test_outputs_that_are_no_labels_keep_their_names_and_a_frozen_scale(tmp_path):
    trunk = without_labels(bittrue.load_network("unet", size=32, width=0.05, weights="seeded"))
    integer = trunk.quantize(pixels((32, 32)), **DYNAMIC)
    (scores,) = trunk.graph.outputs
    assert integer.graph.outputs == (scores,)
    assert integer.graph.tensors[scores].format == IntFormat(16)
    feed = prepare_image(integer, pixels((32, 32)))
    run = bittrue.simulate(integer, device(), feed)
    expected = run_float(trunk.graph, prepare_image(trunk, pixels((32, 32)))).outputs[scores]
    error = run.dequantized()[scores] - expected
    assert np.square(error).mean() < 0.1 * np.square(expected).mean()
    integer.save(tmp_path / "dynamic.npz")
    again = bittrue.simulate(bittrue.load_network(tmp_path / "dynamic.npz"), device(), feed)
    np.testing.assert_array_equal(again.outputs[scores], run.outputs[scores])


def test_an_operator_without_a_rule_is_named():
    with pytest.raises(UnsupportedOp, match=r"(?s)Relu6.*activation_scales='dynamic' has no rule"):
        small_network().quantize(pixels((6, 7)), **DYNAMIC)


def test_a_fused_relu_is_a_relu():
    def network(fused):
        net = Author((1, 6, 7, 3), seed=5)
        activation = {"activation": ops.Activation.RELU} if fused else {}
        x = net.conv(net.x, "stem", 6, bias=True, **activation)
        x = x if fused else net.add(ops.Relu(), x, name="relu")
        net.builder.output(net.add(ops.ArgMax(3), net.conv(x, "score", 5), name="labels"))
        return net.network().quantize(pixels((6, 7)), **DYNAMIC)

    runs = [bittrue.simulate(net, device(), prepare_image(net, pixels((6, 7)))) for net in map(network, (False, True))]
    np.testing.assert_array_equal(runs[0].outputs["labels"], runs[1].outputs["labels"])


def test_a_quantizer_reads_what_does_not_fit_twice():
    x = np.ones((1, 16, 16, 8), np.int32)
    layer = layer_of(t.ScaleQuantize(), [x, scale(1, -10)])
    assert layer.vector_ops == 2 * x.size
    reads = x.nbytes + 16, 2 * x.nbytes + 16
    for inputs, expected in ((64 * 1024, reads[0]), (4 * 1024, reads[1])):
        schedule = map_layers([layer], machine(inputs=inputs)).layers[0].ops
        assert schedule["input_bytes"].sum() == expected
        assert schedule["store_bytes"].sum() == x.size + 16
        assert (schedule["input_bytes"] + schedule["store_bytes"] <= inputs // 2).all()


@pytest.mark.parametrize("suffix", [".onnx", ".tflite"])
def test_no_file_format_has_its_operators(suffix, tmp_path):
    pytest.importorskip(suffix[1:])
    integer = small_fcn().quantize(pixels(FCN_SIZE), **DYNAMIC)
    with pytest.raises(UnsupportedOp, match=r"\(ScaleQuantize\): .*no (such )?operator"):
        integer.export(tmp_path / f"net{suffix}")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "options",
    [{"scheme": "affine"}, {"bits": {"*": {"weight_bits": 4}}}, {"bias_correction": True}],
)
def test_dynamic_goes_with_the_papers_scheme_alone(options):
    with pytest.raises(InputError, match=r"activation_scales 'dynamic', .* goes with scheme 'paper'"):
        QuantizeOptions(**{**DYNAMIC, **options})
