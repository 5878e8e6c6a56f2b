"""Float models: what exports of segmentation networks contain, against ONNX Runtime; then quantized and run."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("onnx", reason="needs onnx: pip install 'bittrue[onnx]'")
pytest.importorskip("onnxruntime", reason="needs onnxruntime: pip install 'bittrue[oracle]'")

import onnx

import bittrue
from simulator.errors import InputError, NetworkError, UnsupportedOp
from simulator.graph import ops
from support import onnx_nets
from support.onnx_models import accelerator, by_onnxruntime, by_us, load, model, node
from workloads.images import prepare_image

pytestmark = pytest.mark.oracle


def close(proto, feeds, network=None):
    ours, theirs = by_us(network or load(proto), feeds), by_onnxruntime(proto, feeds)
    for a, b in zip(ours, theirs, strict=True):
        assert (a.dtype, a.shape) == (b.dtype, b.shape)
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-4 * max(1.0, float(np.abs(b).max())))


def exported():
    """Convolution, batch norm, and a resize to the input's size by a chain of Shape and Gather, as torch writes it."""
    rng = np.random.default_rng(1)
    feeds = {"image": rng.standard_normal((1, 3, 24, 20)).astype(np.float32)}
    constants = {
        "w": (rng.standard_normal((8, 3, 3, 3)) * 0.2).astype(np.float32),
        "h": (rng.standard_normal((5, 8, 1, 1)) * 0.4).astype(np.float32),
        **{name: rng.uniform(0.5, 1.5, 8).astype(np.float32) for name in ("gamma", "beta", "mean", "var")},
        "two": np.array(2), "three": np.array(3), "axis": np.array([0]), "front": np.array([1, 5]),
        "start": np.array([2]), "end": np.array([2**62]), "zero": np.array([0]),
    }  # fmt: skip
    nodes = [
        node("Shape", ["image"], "shape"),
        node("Gather", ["shape", "two"], "height", axis=0),
        node("Gather", ["shape", "three"], "width", axis=0),
        node("Conv", ["image", "w"], "c", pads=[1, 1, 1, 1], strides=[2, 2]),
        node("BatchNormalization", ["c", "gamma", "beta", "mean", "var"], "n"),
        node("Relu", ["n"], "r"),
        node("MaxPool", ["r"], "p", kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1]),
        node("Dropout", ["p"], "d"),
        node("Conv", ["d", "h"], "s"),
        node("Unsqueeze", ["height", "axis"], "h1"),
        node("Unsqueeze", ["width", "axis"], "w1"),
        node("Concat", ["h1", "w1"], "hw", axis=0),
        node("Cast", ["hw"], "size", to=onnx.TensorProto.INT64),
        node("Shape", ["s"], "low"),
        node("Slice", ["low", "zero", "start", "axis"], "nc"),
        node("Concat", ["nc", "size"], "sizes", axis=0),
        node("Resize", ["s", "", "", "sizes"], "out", mode="linear", coordinate_transformation_mode="half_pixel"),
        node("ArgMax", ["out"], "labels", axis=1, keepdims=0),
    ]
    return model(nodes, feeds, constants, {"out": np.float32, "labels": np.int64}), feeds


NETS = [exported, onnx_nets.deeplab_like, onnx_nets.fcn_like, lambda: onnx_nets.fcn_like(transposed=True)]


@pytest.mark.parametrize("make", [*NETS, onnx_nets.classifier])
def test_networks(make):
    proto, feeds = make()
    network = load(proto)
    assert network.is_float
    close(proto, feeds, network)


@pytest.mark.parametrize("make", NETS)
def test_quantized_here_and_run(make):
    proto, feeds = make()
    network = load(proto).quantize([feeds["image"]])
    tensor = network.graph.input_tensors[0]
    stored = np.rint(feeds["image"] / np.float32(tensor.scale)) + tensor.zero_point
    run = bittrue.simulate(network, accelerator(), [np.clip(stored, -128, 127).astype(np.int8)], values_only=True)
    theirs = dict(zip([o.name for o in proto.graph.output], by_onnxruntime(proto, feeds), strict=True))
    for name, real in run.dequantized().items():
        assert real.shape == theirs[name].shape
        if theirs[name].dtype.kind == "f":
            error = np.abs(real - theirs[name]).mean() / np.abs(theirs[name]).mean()
            assert error < 0.2, (name, error)


MOVES = [
    node("Pad", ["x", "pads", "value"], "y"),
    node("Pad", ["x", "pads"], "y", mode="reflect"),
    node("Slice", ["x", "begin", "stop", "axes", "steps"], "y"),
    node("Slice", ["x", "back", "front", "axes", "down"], "y"),
    node("Split", ["x"], ["y", "z"], axis=1),
    node("Transpose", ["x"], "y", perm=[0, 3, 2, 1]),
    node("Squeeze", ["x", "first"], "y"),
    node("Flatten", ["x"], "y", axis=2),
    node("Softmax", ["x"], "y", axis=1),
    node("Softmax", ["x"], "y", axis=2),
    node("ReduceMean", ["x"], "y", axes=[2], keepdims=0),
    node("ReduceMean", ["x"], "y", axes=[1, 3], keepdims=0),
    node("ReduceMax", ["x"], "y", axes=[2, 3], keepdims=1),
    node("DepthToSpace", ["x"], "y", blocksize=2, mode="CRD"),
    node("HardSigmoid", ["x"], "y"),
    node("HardSwish", ["x"], "y"),
    node("Clip", ["x", "low", "high"], "y"),
    node("PRelu", ["x", "slope"], "y"),
    node("Add", ["x", "row"], "y"),
    node("Mul", ["channel", "x"], "y"),
    node("Gather", ["x", "picks"], "y", axis=1),
    node("ArgMax", ["x"], "y", axis=3),
]
CONSTANTS = {
    "pads": np.array([0, 0, 1, 2, 0, 0, 2, 1]), "value": np.float32(0.5), "begin": np.array([1, 0]),
    "stop": np.array([4, -1]), "axes": np.array([1, 3]), "steps": np.array([2, 3]), "back": np.array([-1, 9]),
    "front": np.array([-99, 1]), "down": np.array([-1, -2]), "first": np.array([0]), "low": np.float32(-0.3),
    "high": np.float32(0.7), "slope": np.full((4, 1, 1), 0.1, np.float32), "row": np.arange(6, dtype=np.float32),
    "channel": np.arange(4, dtype=np.float32).reshape(4, 1, 1), "picks": np.array([3, 0, -1]),
}  # fmt: skip


@pytest.mark.parametrize("first", [False, True], ids=["from_the_file", "after_a_convolution"])
@pytest.mark.parametrize("last", MOVES, ids=lambda n: f"{n.op_type}{list(n.input)[1:2]}")
def test_either_layout(last, first):
    """An operator on the file's own order, and on an image as the array left it."""
    rng = np.random.default_rng(3)
    feeds = {"x" if not first else "image": rng.standard_normal((1, 4, 8, 6)).astype(np.float32)}
    filters = rng.standard_normal((4, 4, 1, 1)).astype(np.float32)
    nodes = [node("Conv", ["image", "w"], "x"), last] if first else [last]
    kinds = {name: np.int64 if last.op_type == "ArgMax" else np.float32 for name in last.output}
    close(model(nodes, feeds, CONSTANTS | {"w": filters}, kinds, opset=17), feeds)


def test_names_order_and_layout_are_the_files():
    proto, _ = exported()
    graph = load(proto).graph
    assert [(t.name, t.shape) for t in graph.input_tensors] == [("image", (1, 3, 24, 20))]
    assert [(t.name, t.shape) for t in graph.output_tensors] == [("out", (1, 5, 24, 20)), ("labels", (1, 24, 20))]
    assert {"c", "n", "r", "p", "s"} <= set(graph.tensors)
    assert graph.tensors["c"].shape == (1, 12, 10, 8)


def test_no_transposition_where_the_file_only_turns_layouts():
    x = {"x": np.zeros((1, 6, 7, 3), np.float32)}
    filters = {"w": np.ones((4, 3, 1, 1), np.float32)}
    nodes = [
        node("Transpose", ["x"], "t", perm=[0, 3, 1, 2]),
        node("Conv", ["t", "w"], "c"),
        node("Transpose", ["c"], "y", perm=[0, 2, 3, 1]),
    ]
    graph = load(model(nodes, x, filters, {"y": np.float32})).graph
    assert not any(isinstance(n.op, ops.Transpose) for n in graph.nodes)


def test_an_open_batch_is_one_and_other_open_sizes_are_refused():
    feeds = {"x": np.ones((1, 3, 4, 4), np.float32)}
    proto = model([node("Relu", ["x"], "y")], feeds, {}, {"y": np.float32})
    sizes = proto.graph.input[0].type.tensor_type.shape.dim
    sizes[0].dim_param = "N"
    network = load(proto)
    assert "batch 'N' is open" in network.graph.notes[0]
    sizes[2].dim_param = "height"
    with pytest.raises(UnsupportedOp, match=r"x \(INPUT\): shape \['N', 3, 'height', 4\]; fixed sizes are read"):
        load(proto)


def image_model(dtype, shape, metadata=None):
    feeds = {"x": np.zeros(shape, dtype)}
    proto = model([node("Transpose", ["x"], "y", perm=[0, 2, 3, 1])], feeds, {}, {"y": dtype})
    for key, value in (metadata or {}).items():
        entry = proto.metadata_props.add()
        entry.key, entry.value = key, value
    return load(proto)


def test_an_image_channels_first():
    pixels = np.random.default_rng(0).integers(0, 256, (5, 7, 3)).astype(np.uint8)
    given = prepare_image(image_model(np.uint8, (1, 3, 5, 7)), pixels)
    np.testing.assert_array_equal(given["x"], pixels.transpose(2, 0, 1)[None])
    ranged = image_model(np.float32, (1, 3, 5, 7), {"Image.NominalPixelRange": "Normalized_0_1"})
    np.testing.assert_allclose(prepare_image(ranged, pixels)["x"][0, 1], pixels[..., 1] / 255, rtol=1e-6)
    with pytest.raises(InputError, match="does not say how a pixel becomes it"):
        prepare_image(image_model(np.float32, (1, 3, 5, 7)), pixels)


def test_damaged_files_are_refused_by_name(tmp_path):
    from workloads.importers.onnx import OnnxImporter

    whole = onnx_nets.classifier()[0].SerializeToString()
    for name, content in (("cut", whole[: len(whole) // 2]), ("noise", b"\x08\x07nonsense"), ("empty", b"")):
        path = tmp_path / f"{name}.onnx"
        path.write_bytes(content)
        with pytest.raises(NetworkError, match=rf"{name}\.onnx"):
            OnnxImporter().load(path)
    with pytest.raises(NetworkError, match=r"absent\.onnx: cannot be read"):
        OnnxImporter().load(tmp_path / "absent.onnx")


def test_an_unknown_operator_set_is_refused():
    proto = model([node("Relu", ["x"], "y")], {"x": np.zeros(3, np.float32)}, {}, {"y": np.float32}, opset=6)
    with pytest.raises(NetworkError, match="operator set 6 of ONNX; read are 7 to 28"):
        load(proto)


def test_an_input_before_anything_writes_it():
    proto = model([node("Relu", ["nothing"], "y")], {"x": np.zeros(3, np.float32)}, {}, {"y": np.float32})
    with pytest.raises(NetworkError, match=r"operator \S+ \(Relu\): reads 'nothing' before anything writes it"):
        load(proto)
