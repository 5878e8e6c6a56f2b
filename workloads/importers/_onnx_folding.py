"""Compute at import what a file computes from constants alone, with the reference evaluator of the package onnx."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from workloads.importers._onnx_node import Refused
from workloads.importers._onnx_reader import RawNode, load_onnx

_MOST_BYTES = 1 << 30
"""Greatest constant that is made: a short file could ask for any size."""
_CONSTANT = ("value", "value_float", "value_floats", "value_int", "value_ints")


def constant_of(raw: RawNode) -> NDArray[Any]:
    """Return the value of a Constant operator."""
    for name in _CONSTANT:
        if name in raw.attributes:
            value = np.asarray(raw.attributes[name])
            kind = {"f": np.float32, "i": np.int64}.get(value.dtype.kind)
            return value if name == "value" or kind is None else value.astype(kind)
    raise Refused(f"a constant of kind {', '.join(raw.attributes) or 'nothing'}; read are {', '.join(_CONSTANT)}")


def evaluate(raw: RawNode, inputs: Sequence[NDArray[Any] | None], opset: int) -> list[NDArray[Any]]:
    """Return the outputs of an operator of ONNX's own set on constants; Refused where they cannot be computed."""
    onnx = load_onnx()
    from onnx.reference import ReferenceEvaluator

    if raw.op in ("Expand", "ConstantOfShape", "Tile", "Pad", "Range", "Resize"):
        _check_size(raw, inputs)
    attributes = {key: value for key, value in raw.attributes.items() if value is not None}
    if raw.op == "ConstantOfShape" and "value" in attributes:
        attributes["value"] = onnx.numpy_helper.from_array(np.asarray(attributes["value"]))
    names = [f"i{index}" if value is not None else "" for index, value in enumerate(inputs)]
    outputs = [f"o{index}" for index in range(len(raw.outputs))]
    helper = onnx.helper
    node = helper.make_node(raw.op, names, outputs, **attributes)
    feeds = {name: np.asarray(value) for name, value in zip(names, inputs, strict=True) if value is not None}
    kinds = {name: helper.np_dtype_to_tensor_dtype(value.dtype) for name, value in feeds.items()}
    graph = helper.make_graph(
        [node],
        "constant",
        [helper.make_tensor_value_info(name, kinds[name], feeds[name].shape) for name in feeds],
        [helper.make_tensor_value_info(name, onnx.TensorProto.UNDEFINED, None) for name in outputs],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)])
    try:
        with np.errstate(all="ignore"), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            found = ReferenceEvaluator(model).run(None, feeds)
    except Exception as error:  # the evaluator's own are of no common base
        raise Refused(f"its value on constants cannot be computed ({type(error).__name__}: {error})") from None
    return [np.asarray(value) for value in found]


def _check_size(raw: RawNode, inputs: Sequence[NDArray[Any] | None]) -> None:
    asked = [value for value in inputs if value is not None and value.dtype.kind == "i" and value.ndim == 1]
    largest = max((float(np.prod(np.abs(value.astype(np.float64)) + 1)) for value in asked), default=0.0)
    if largest > _MOST_BYTES:
        raise Refused(f"a constant of about {largest:.3g} values")
