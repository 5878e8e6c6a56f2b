"""The six real quantized networks: outputs equal their goldens, every intermediate equals the reference kernels."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.exactness import MODELS, compare, golden_outputs, inputs_of, run_here, run_there
from support.accelerators import device, reference_device
from workloads.importers.tflite import TfliteImporter

pytestmark = [pytest.mark.assets, pytest.mark.oracle]


@pytest.fixture(scope="module", params=MODELS)
def network(request, assets):
    path = assets / f"{request.param}.tflite"
    graph = TfliteImporter().load(path)
    return request.param, path, graph, inputs_of(assets, request.param, graph.input_tensors[0])


@pytest.mark.parametrize("label", ["golden 0", "golden 1", "photograph", "noise"])
def test_every_tensor_equals_the_reference(network, label, assets):
    model, path, graph, inputs = network
    here = run_here(graph, reference_device(), inputs[label])
    result = compare(model, label, here, run_there(path, inputs[label]))
    assert (result.differing, result.worst) == (0, "")
    assert result.tensors + len(result.exempt) == len(graph.inputs) + _written(path)
    assert all(name in " ".join(graph.notes) for name in result.exempt), "only tensors that a note names are exempt"
    if label.startswith("golden"):
        for name, expected in golden_outputs(assets, model, int(label[-1]), graph).items():
            assert (here[name] == expected).all(), name


def _written(path) -> int:
    from workloads.importers._tflite_reader import read_model

    return sum(len(node.outputs) for node in read_model(path).nodes)


def test_output_stationary_array_gives_the_same_bits(assets):
    path = assets / "vww_96_int8.tflite"
    graph = TfliteImporter().load(path)
    value = inputs_of(assets, "vww_96_int8", graph.input_tensors[0])["photograph"]
    other = device(array__dataflow="output_stationary", array__rows=5)
    here, there = run_here(graph, reference_device(), value), run_here(graph, other, value)
    assert all((here[name] == there[name]).all() for name in here)


def test_comparison_notices_one_wrong_value(network):
    model, path, graph, inputs = network
    there = run_there(path, inputs["noise"])
    name = graph.nodes[0].outputs[0]
    wrong = {key: np.array(value) for key, value in there.items()}
    wrong[name].ravel()[0] += 1
    result = compare(model, "noise", wrong, there)
    assert (result.differing, result.worst) == (1, name)


def test_float_networks_are_read_too(assets):
    for name in ("deeplabv3", "pretrainedResnet"):
        graph = TfliteImporter().load(assets / f"{name}.tflite")
        assert {str(tensor.format) for tensor in graph.input_tensors} == {"float32"}
