"""What the importer makes of a file: names, layouts, quantization; and what it refuses, all of it at once."""

from __future__ import annotations

import sys

import numpy as np
import pytest
from ai_edge_litert.schema_py_generated import Conv2DOptionsT

from simulator.errors import NetworkError, UnsupportedOp
from simulator.graph import ops
from simulator.graph.ops import Activation, Padding
from simulator.numerics.formats import FLOAT32, INT8, INT32
from simulator.numerics.quant import QuantParams
from support.tflite_builder import RELU6, SAME, TANH, TYPES, VALID, ModelBuilder
from support.tflite_runs import load
from workloads.importers.tflite import TfliteImporter

CONV = {"padding": SAME, "strideH": 2, "strideW": 1, "dilationHFactor": 1, "dilationWFactor": 3}


def conv_model(**options):
    model = ModelBuilder()
    x = model.tensor("x", [1, 8, 9, 3], "int8", scale=0.5, zero_point=-3, shape_signature=[-1, 8, 9, 3])
    w = model.tensor("w", [4, 3, 3, 3], "int8", scale=[0.1, 0.2, 0.3, 0.4], data=np.arange(108).reshape(4, 3, 3, 3))
    b = model.tensor("b", [4], "int32", scale=[0.05, 0.1, 0.15, 0.2], data=[1, -2, 3, -4])
    y = model.tensor("y", [1, 4, 9, 4], "int8", scale=5.0, zero_point=3)
    model.op("CONV_2D", [x, w, b], [y], fusedActivationFunction=RELU6, **{**CONV, **options})
    return model, x, y


def test_convolution_as_the_graph_states_it():
    model, x, y = conv_model()
    graph = load(model.build([x], [y]))
    (node,) = graph.nodes
    assert (node.name, node.inputs, node.outputs) == ("y", ("x", "w", "b"), ("y",))
    assert (graph.inputs, graph.outputs) == (("x",), ("y",))
    # SAME: rows (4 - 1) * 2 + 3 - 8 = 1, below; columns (9 - 1) + 7 - 9 = 6, three on each side.
    assert node.op == ops.Conv2D((2, 1), Padding(0, 1, 3, 3), (1, 3), 1, Activation.RELU6)
    weights = graph.tensors["w"]
    assert weights.format == INT8
    assert weights.data.dtype == np.int8
    assert weights.data[3, 2, 2, 2] == 107
    assert weights.quant.axis == 0
    assert weights.quant.scale == tuple(float(np.float32(s)) for s in (0.1, 0.2, 0.3, 0.4))
    assert graph.tensors["b"].format == INT32
    assert graph.tensors["x"].quant == QuantParams.per_tensor(0.5, -3)


def depthwise_model(shared: bool):
    model = ModelBuilder()
    data = np.arange(2 * 3 * 6).reshape(1, 2, 3, 6)
    x = model.tensor("x", [1, 4, 5, 2], "int8", scale=0.5)
    w = model.tensor("w", data.shape, "int8", scale=np.arange(1, 7) / 8, axis=3, data=data)
    y = model.tensor("y", [1, 3, 3, 6], "int8", scale=0.5)
    model.op("DEPTHWISE_CONV_2D", [x, w], [y], padding=VALID, strideH=1, strideW=1, depthMultiplier=3)
    if not shared:
        return load(model.build([x], [y])), data
    wide, one = (
        model.tensor("wide", [1, 4, 5, 6], "int8", scale=0.5),
        model.tensor("one", [1, 3, 3, 1], "int8", scale=1),
    )
    model.op("CONV_2D", [wide, w], [one], padding=VALID, strideH=1, strideW=1)
    return load(model.build([x, wide], [y, one])), data


def test_depthwise_weights_become_one_filter_per_output_channel():
    graph, data = depthwise_model(shared=False)
    weights = graph.tensors["w"]
    assert weights.shape == (6, 2, 3, 1)
    assert (weights.data[4, :, :, 0] == data[0, :, :, 4]).all()
    assert weights.quant == QuantParams(tuple(np.arange(1, 7) / 8), (0,) * 6, axis=0)
    assert graph.nodes[0].op.groups == 2


def test_rearranged_weights_step_aside_where_another_node_reads_them():
    graph, data = depthwise_model(shared=True)
    assert [node.inputs for node in graph.nodes] == [("x", "w/filters_first"), ("wide", "w")]
    assert (graph.tensors["w"].data == data).all()


def test_names_are_unique_and_never_empty():
    model = ModelBuilder()
    x, a, b = (model.tensor(name, [2], "float32") for name in ("same", "same", None))
    model.op("EXP", [x], [a])
    model.op("SQRT", [a], [b])
    graph = load(model.build([x], [b]))
    assert [node.outputs for node in graph.nodes] == [("same_1",), ("tensor_2",)]


def test_half_precision_weights_are_widened():
    model = ModelBuilder()
    stored = np.array([0.1, -65504, 6e-8], np.float16)
    x, y = model.tensor("x", [3], "float32"), model.tensor("y", [3], "float32")
    half, wide = model.tensor("half", [3], "float16", data=stored), model.tensor("wide", [3], "float32")
    model.op("DEQUANTIZE", [half], [wide])
    model.op("ADD", [x, wide], [y])
    graph = load(model.build([x], [y]))
    assert [type(node.op) for node in graph.nodes] == [ops.Add]
    assert graph.tensors["wide"].format == FLOAT32
    assert (graph.tensors["wide"].data == stored.astype(np.float32)).all()


def test_every_refused_node_is_listed_with_its_reason():
    model = ModelBuilder()
    x = model.tensor("x", [1, 4], "float32")
    names = ("custom", "tanh_fused", "known", "unknown", "hybrid")
    custom, fused, known, unknown, hybrid = (model.tensor(name, [1, 4], "float32") for name in names)
    weights = model.tensor("weights", [4, 4], "int8", scale=0.1, data=np.zeros((4, 4)))
    model.custom_op("MyOp", [x], [custom])
    model.op("ADD", [custom, x], [fused], fusedActivationFunction=TANH)
    model.op("EXP", [fused], [known])
    model.op("ELU", [known], [unknown])
    model.op("FULLY_CONNECTED", [unknown, weights], [hybrid])
    with pytest.raises(UnsupportedOp) as caught:
        load(model.build([x], [hybrid]))
    found = [(p.node, p.op) for p in caught.value.problems]
    expected = ["CUSTOM:MyOp", "ADD", "ELU", "FULLY_CONNECTED"]
    assert found == list(zip(("custom", "tanh_fused", "unknown", "hybrid"), expected, strict=True))
    message = str(caught.value)
    assert "4 nodes are not supported" in message
    assert "fused activation TANH" in message
    assert "dynamic-range" in message


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (lambda t: setattr(t, "isVariable", True), "is a variable"),
        (lambda t: setattr(t, "type", 17), "is of type INT4"),
        (lambda t: setattr(t, "type", 5), "is of type STRING"),
        (lambda t: setattr(t, "type", 1), "is float16 and not constant"),
    ],
)
def test_tensors_that_are_not_read(damage, reason):
    model = ModelBuilder()
    x, y = model.tensor("x", [2], "float32"), model.tensor("y", [2], "float32")
    model.op("EXP", [x], [y])
    damage(model.stored_tensor(0))
    with pytest.raises(UnsupportedOp, match=reason):
        load(model.build([x], [y]))


def test_several_subgraphs_are_refused():
    model, x, y = conv_model()
    model.build([x], [y])
    model.model.subgraphs.append(model.model.subgraphs[0])
    with pytest.raises(UnsupportedOp, match="2 subgraphs"):
        load(model.build([x], [y]))


def test_shape_in_the_file_that_contradicts_the_operator_is_an_error():
    model, x, y = conv_model(dilationWFactor=2, padding=VALID)
    with pytest.raises(NetworkError, match=r"y \(CONV_2D\).*the file says"):
        load(model.build([x], [y]))


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"scale": [0.5, 0.25], "axis": 1}, "2 scales along axis 1"),
        ({"scale": 0.0}, "positive"),
        ({"scale": np.inf}, "positive"),
        ({"scale": 0.5, "zero_point": 200}, "zero point outside"),
    ],
)
def test_impossible_quantization_is_an_error(changes, reason):
    model = ModelBuilder()
    x, y = model.tensor("x", [2, 3], "int8", **changes), model.tensor("y", [3, 2], "int8", scale=0.5)
    model.op("RESHAPE", [x, model.constant("shape", [3, 2])], [y])
    with pytest.raises(NetworkError, match=f"x.*{reason}"):
        load(model.build([x], [y]))


def test_constant_whose_buffer_has_another_size_is_an_error():
    model, x, y = conv_model()
    model.model.buffers[1].data = model.model.buffers[1].data[:50]
    with pytest.raises(NetworkError, match=r"constant w .* needs 108 bytes, its buffer holds 50"):
        load(model.build([x], [y]))


def test_a_network_is_called_after_its_file(tmp_path):
    model, x, y = conv_model()
    (tmp_path / "named.bin").write_bytes(model.build([x], [y]))
    assert TfliteImporter().load(tmp_path / "named.bin").name == "named"


def test_missing_package_is_named_with_its_extra(monkeypatch):
    model, x, y = conv_model()
    content = model.build([x], [y])
    monkeypatch.setitem(sys.modules, "tflite", None)
    with pytest.raises(NetworkError, match=r"pip install 'bittrue\[tflite\]'"):
        load(content)


def test_missing_file_is_an_error_without_traceback(tmp_path):
    with pytest.raises(NetworkError, match=r"absent\.tflite: cannot be read"):
        TfliteImporter().load(tmp_path / "absent.tflite")


def test_shape_arithmetic_is_done_at_import():
    """`reshape(x, (shape(x)[0], 2 * shape(x)[1], -1))`, as converters write it."""
    model = ModelBuilder()
    x = model.tensor("x", [3, 4, 6], "int8", scale=0.5)
    names = {"shape": [3], "batch": [], "height": [], "double": [], "target": [3]}
    shape, batch, height, double, target = (model.tensor(name, size, "int32") for name, size in names.items())
    y = model.tensor("y", [3, 8, 3], "int8", scale=0.5)
    model.op("SHAPE", [x], [shape], outType=TYPES["int32"])
    for index, result in ((0, batch), (1, height)):
        bounds = [model.constant(f"{index}{i}", [v]) for i, v in enumerate((index, index + 1, 1))]
        model.op("STRIDED_SLICE", [shape, *bounds], [result], shrinkAxisMask=1)
    model.op("MUL", [height, model.constant("two", 2)], [double])
    model.op("PACK", [batch, double, model.constant("rest", -1)], [target], axis=0, valuesCount=3)
    model.op("RESHAPE", [x, target], [y])
    graph = load(model.build([x], [y]))
    (node,) = graph.nodes
    assert node.op == ops.Reshape((3, 8, 3))


def test_weights_that_the_file_transposes_are_constants():
    model = ModelBuilder()
    data = np.arange(8).reshape(2, 4)
    x, y = model.tensor("x", [1, 2], "int8", scale=0.5), model.tensor("y", [1, 4], "int8", scale=0.5)
    stored = model.tensor("stored", [2, 4], "int8", scale=0.25, data=data)
    turned = model.tensor("turned", [4, 2], "int8", scale=0.25)
    model.op("TRANSPOSE", [stored, model.constant("order", [1, 0])], [turned])
    model.op("FULLY_CONNECTED", [x, turned], [y])
    graph = load(model.build([x], [y]))
    assert [type(node.op) for node in graph.nodes] == [ops.FullyConnected]
    assert (graph.tensors["turned"].data == data.T).all()


def test_options_that_contradict_the_operator_are_an_error():
    model = ModelBuilder()
    x, y = model.tensor("x", [2, 3], "float32"), model.tensor("y", [2], "int32")
    model.op("ARG_MAX", [x, model.constant("axis", 1)], [y], outputType=TYPES["int64"])
    with pytest.raises(NetworkError, match="options state output type 4, tensor y has type 2"):
        load(model.build([x], [y]))
    model.operator(0).builtinOptionsType = 1
    model.operator(0).builtinOptions = Conv2DOptionsT()
    with pytest.raises(NetworkError, match="its options are of kind 1, not ArgMaxOptions"):
        load(model.build([x], [y]))
