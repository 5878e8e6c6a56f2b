"""A whole training step: every bit against a twin in NumPy, at any thread count, and no float anywhere."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from simulator.errors import InputError, NetworkError, UnsupportedOp
from simulator.graph import ops
from simulator.numerics.formats import IntFormat
from support.training_nets_twin import Step, deeplab_step, fcn_step
from support.training_runs_of_steps import BATCH, RATE, SEED, batch_inputs, batches, begin, prepared
from support.training_small_nets import CLASSES, DEEPLAB_SIZE, small_deeplab, small_fcn
from workloads.exporters.npz import save_network
from workloads.load import load_network
from workloads.nets.layers import MEAN_ONLY, NetBuilder
from workloads.nets.weights import SeededWeights
from workloads.training.config import preset, presets
from workloads.training.derive import derive_evaluation, derive_step

CASES = [
    ("deeplab", "max", 16, {}),
    ("deeplab", "round", 8, {"scale": "round", "output_error_bits": 8}),
    ("fcn", "max", 16, {"dropout": ("fc6.relu",)}),
    ("fcn", "ceil", 8, {"scale": "ceil", "output_error_bits": 8, "gradient_rule": "dropped", "dropout": ("fc6.relu",)}),
]


@pytest.mark.parametrize(("kind", "rule", "e2", "changes"), CASES, ids=[f"{c[0]}-{c[1]}-e{c[2]}" for c in CASES])
def test_every_bit_of_three_steps_is_that_of_the_twin(kind, rule, e2, changes):
    network, twin_step = (small_deeplab(), deeplab_step) if kind == "deeplab" else (small_fcn(), fcn_step)
    step, state = begin(network, preset("paper").evolve(changes))
    engine = prepared(step.graph)
    twin_state = {name: value.astype(object) for name, value in state.items()}
    is_kept = "gradient_rule" not in changes
    for number, (pixels, labels) in enumerate(batches(step.size)):
        result = engine.run(batch_inputs(pixels, labels, number), state=state)
        twin = Step(twin_state, SEED, number, rule, e2, keep=is_kept, has_norm=kind == "deeplab")
        twin_state, monitor = twin_step(twin, pixels, labels, RATE)
        assert tuple(result.outputs["loss:2"]) == monitor
        assert set(result.state) == set(twin_state)
        differing = {name: int((result.state[name] != twin_state[name]).sum()) for name in twin_state}
        assert {name: count for name, count in differing.items() if count} == {}
        assert any((result.state[name] != state[name]).any() for name in state)
        state = result.state


@pytest.mark.parametrize("name", presets())
def test_every_preset_computes_in_integers_alone_and_learns(name):
    step, state = begin(small_deeplab(), preset(name))
    formats = {tensor.name: tensor.format for tensor in step.graph.tensors.values()}
    assert [name for name, format in formats.items() if not isinstance(format, IntFormat)] == []
    engine = prepared(step.graph, keep_tensors=True)
    pixels, labels = next(batches(step.size))
    losses = []
    for number in range(6):
        result = engine.run(batch_inputs(pixels, labels, number), state=state)
        assert {name: str(value.dtype) for name, value in result.tensors.items() if value.dtype.kind not in "iu"} == {}
        assert set(result.tensors) >= {name for node in step.graph.nodes for name in node.outputs}
        state = result.state
        losses.append(result.outputs["loss:2"][0] / result.outputs["loss:2"][1])
    assert losses[-1] < losses[0]


def test_the_squared_error_learns_without_class_weights():
    step, state = begin(small_fcn(), preset("paper").evolve({"loss": "squared_error"}))
    engine, (pixels, labels) = prepared(step.graph), next(batches(step.size))
    losses = []
    for number in range(6):
        result = engine.run(batch_inputs(pixels, labels, number), state=state)
        state = result.state
        losses.append(int(result.outputs["loss:2"][0]))
    assert losses[-1] < losses[0]
    with pytest.raises(InputError, match="class_weighting=none"):
        derive_step(
            small_fcn().graph, preset("paper").evolve({"loss": "squared_error"}), BATCH, class_weights=(256,) * CLASSES
        )


@pytest.mark.parametrize("network", [small_deeplab(), small_fcn()], ids=["deeplab", "fcn"])
def test_threads_change_no_bit(network):
    step, state = begin(network, preset("paper"))
    pixels, labels = next(batches(step.size))
    one, two = (
        prepared(step.graph, threads=threads).run(batch_inputs(pixels, labels, 0), state=state) for threads in (1, 2)
    )
    assert {name for name in one.outputs if (one.outputs[name] != two.outputs[name]).any()} == set()


def test_frozen_parameters_are_inputs_that_no_output_replaces_and_their_layers_have_no_gradients():
    config = preset("paper").evolve({"frozen": ("conv0", "conv1")})
    step, state = begin(small_fcn(), config)
    assert set(step.frozen_names) == {"conv0.weight", "conv0.bias", "conv1.weight", "conv1.bias"}
    assert set(step.state_names) == set(state) - set(step.frozen_names)
    nodes = {node.name for node in step.graph.nodes}
    assert not nodes & {"conv0.wgrad", "conv1.wgrad", "conv1.dgrad", "conv2.dgrad"}
    assert "conv2.wgrad" in nodes


def test_the_evaluation_graph_labels_with_the_running_statistics_in_integers():
    network = small_deeplab()
    step, state = begin(network, preset("paper"))
    graph = derive_evaluation(network.graph, preset("paper"))
    pixels, _ = next(batches(step.size))
    engine = prepared(graph, keep_tensors=True)
    inputs = {name: state[name] for name in graph.inputs if name != "image"}
    result = engine.run({"image": pixels[:1]}, state=inputs)
    assert {str(value.dtype) for value in result.tensors.values() if value.dtype.kind not in "iu"} == set()
    assert result.outputs["labels"].shape == (1, *DEEPLAB_SIZE)
    moved = dict(inputs)
    for name in moved:
        if name.endswith("running_mean"):
            moved[name] = moved[name] + (1 << 24)
    other = engine.run({"image": pixels[:1]}, state=moved)
    assert (other.outputs["labels"] != result.outputs["labels"]).any()


def test_a_saved_step_is_the_same_step(tmp_path):
    step, state = begin(small_deeplab(), preset("paper"))
    saved = load_network(save_network(step.graph, tmp_path / "step.npz")).graph
    assert saved.state == step.graph.state
    assert [node.op for node in saved.nodes] == [node.op for node in step.graph.nodes]
    batch = batch_inputs(*next(batches(step.size)), 0)
    one, two = (prepared(graph).run(batch, state=state) for graph in (step.graph, saved))
    assert {name for name in one.outputs if (one.outputs[name] != two.outputs[name]).any()} == set()


def test_what_cannot_be_trained_is_refused_by_name():
    net = NetBuilder("odd", (8, 8), SeededWeights(0))
    x = net.graph.add(ops.HardSwish(), net.conv(net.image, "c", 8, 3), name="swish")
    net.labels(net.graph.add(ops.Softmax(), x, name="soft"))
    with pytest.raises(UnsupportedOp, match=r"(?s)swish \(HardSwish\).*soft \(Softmax\)"):
        derive_step(net.network(MEAN_ONLY, 8).graph, preset("paper"), 2)
    graph = small_fcn().graph
    with pytest.raises(InputError, match="at least 1 image"):
        derive_step(graph, preset("paper"), 0)
    with pytest.raises(InputError, match="no tensor 'fc9'"):
        derive_step(graph, preset("paper").evolve({"dropout": ("fc9",)}), 2)


def test_a_state_that_is_no_pair_of_input_and_output_is_refused():
    graph = derive_step(small_fcn().graph, preset("paper"), 2).graph
    with pytest.raises(NetworkError, match="no pair of an input and an output"):
        replace(graph, state=(("conv0.weight", "nothing"),))
    with pytest.raises(NetworkError, match=r"state image is int16 .* its new value"):
        replace(graph, state=(("image", graph.outputs[1]),))


def test_a_label_out_of_range_is_an_error_that_says_so():
    step, state = begin(small_fcn(), preset("paper"))
    pixels, labels = next(batches(step.size))
    labels = labels.copy()
    labels[1, 5, 6] = CLASSES
    with pytest.raises(InputError, match=f"{CLASSES}"):
        prepared(step.graph).run(batch_inputs(pixels, labels, 0), state=state)
    with pytest.raises(InputError, match="dtype float32"):
        prepared(step.graph).run(batch_inputs(np.full(pixels.shape, np.nan, np.float32), labels, 0), state=state)
