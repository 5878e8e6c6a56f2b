"""Small ONNX models, run by ONNX Runtime and by us."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

import bittrue
from simulator.numerics.formats import FLOAT32
from workloads.importers.onnx import OnnxImporter
from workloads.network import Network
from workloads.quantization.float_execute import run_float
from workloads.quantization.float_ops import FUNCTIONS

Arrays = Mapping[str, np.ndarray]


def node(op: str, inputs: Sequence[str], output: str | Sequence[str], domain: str = "", **attributes: Any) -> Any:
    outputs = [output] if isinstance(output, str) else list(output)
    return helper.make_node(op, list(inputs), outputs, name=f"{op}_{outputs[0]}", domain=domain, **attributes)


def model(
    nodes: Sequence[Any], inputs: Arrays, constants: Mapping[str, Any], outputs: Mapping[str, Any], opset: int = 17
) -> onnx.ModelProto:
    """A model; `inputs` are arrays like those to be given, `outputs` maps names to dtypes."""
    graph = helper.make_graph(
        list(nodes),
        "small",
        [
            helper.make_tensor_value_info(k, helper.np_dtype_to_tensor_dtype(v.dtype), v.shape)
            for k, v in inputs.items()
        ],
        [
            helper.make_tensor_value_info(k, helper.np_dtype_to_tensor_dtype(np.dtype(t)), None)
            for k, t in outputs.items()
        ],
        [numpy_helper.from_array(np.asarray(v), k) for k, v in constants.items()],
    )
    opsets = [helper.make_opsetid("", opset), helper.make_opsetid("com.microsoft", 1)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=8)


def by_onnxruntime(proto: onnx.ModelProto, feeds: Arrays) -> list[np.ndarray]:
    """Outputs of ONNX Runtime with optimisation off."""
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.log_severity_level = 3
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(proto.SerializeToString(), options, providers=["CPUExecutionProvider"])
    return session.run(None, dict(feeds))


def load(proto: onnx.ModelProto) -> Network:
    """Our network of a model, read from a file as a user's is."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "small.onnx"
        onnx.save(proto, path)
        return OnnxImporter().load(path)


def accelerator(requantizer: str = "float32") -> Any:
    return bittrue.load_accelerator("edge_16x16_os").evolve({"arithmetic.requantizer": requantizer})


def by_us(network: Network, feeds: Arrays) -> list[np.ndarray]:
    """Our outputs: of the float executor for a float network, else of a device with the float32 requantizer."""
    formats = {tensor.format for tensor in network.graph.tensors.values() if not tensor.is_constant}
    known = all(type(node.op) in FUNCTIONS for node in network.graph.nodes)
    if network.is_float or (known and formats == {FLOAT32}):
        return list(run_float(network.graph, feeds).outputs.values())
    run = bittrue.simulate(network, accelerator(), dict(feeds), values_only=True)
    return list(run.outputs.values())


def bake(proto: onnx.ModelProto, values: Sequence[np.ndarray]) -> tuple[onnx.ModelProto, dict[str, np.ndarray]]:
    """Make all inputs but the first constants; return that model and what it is to be given."""
    baked = onnx.ModelProto()
    baked.CopyFrom(proto)
    inputs = list(baked.graph.input)
    feeds = {}
    del baked.graph.input[1:]
    for info, value in zip(inputs, values, strict=False):
        if info is inputs[0]:
            feeds[info.name] = plain(value)
        elif isinstance(value, onnx.TensorProto):
            value.name = info.name
            baked.graph.initializer.append(value)
        else:
            baked.graph.initializer.append(numpy_helper.from_array(np.asarray(value), info.name))
    return baked, feeds


def plain(value: Any) -> np.ndarray:
    """An array of a test case; one of 4-bit integers, which come as a TensorProto, in the dtype that holds them."""
    if not isinstance(value, onnx.TensorProto):
        return np.asarray(value)
    array = numpy_helper.to_array(value)
    return array.astype({TensorProto.INT4: np.int8, TensorProto.UINT4: np.uint8}.get(value.data_type, array.dtype))
