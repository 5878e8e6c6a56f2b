"""The nodes and constants of an ONNX graph as they are collected, images in either layout."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from simulator.graph.graph import Graph, Tensor
from simulator.numerics.formats import IntFormat

_FIRST, _LAST = (0, 3, 1, 2), (0, 2, 3, 1)
"""Permutations to channels first, and back."""
_TYPES = {"int8": "INT8", "uint8": "UINT8", "int32": "INT32", "int64": "INT64", "float32": "FLOAT", "bool": "BOOL"}


class Refused(Exception):
    """Why a node cannot be written; the exporter adds its name and lists it with the others."""


class FileWriter:
    """Collects nodes. Every value of the network stands in its own layout, channels first, or both, as readers ask."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self._nodes: list[Any] = []
        self._constants: dict[str, Any] = {}
        self._as_is = {name: name for name in graph.inputs}
        self._first: dict[str, str] = {}
        self._names = set(graph.tensors)

    def check(self, tensor: Tensor) -> None:
        """Raise Refused where ONNX has no such format or scale. Constants of fewer than 8 bits are stored in 8."""
        narrow = isinstance(tensor.format, IntFormat) and tensor.format.bits < 8 and tensor.data is not None
        if str(tensor.format) not in _TYPES and not narrow:
            raise Refused(f"tensor {tensor.name} is {tensor.format}; written are {', '.join(_TYPES)}")
        if tensor.quant is not None and tensor.format.bits <= 8:
            for scale in tensor.quant.scale:
                if float(np.float32(scale)) != scale:
                    raise Refused(f"tensor {tensor.name} has scale {scale!r}, which is no float32 number")

    def type_of(self, tensor: Tensor) -> int:
        """Return the number of a tensor's type."""
        import onnx

        return int(getattr(onnx.TensorProto, _TYPES[str(tensor.format)]))

    def emit(self, code: str, inputs: Sequence[str], base: str, **attributes: Any) -> str:
        """Write a node with one output, and return the output's name."""
        return self.emit_many(code, inputs, [base], **attributes)[0]

    def emit_many(self, code: str, inputs: Sequence[str], bases: Sequence[str], **attributes: Any) -> list[str]:
        """Write a node and return the names of its outputs; `code` with the domain before a dot, if it has one."""
        import onnx

        domain, _, kind = code.rpartition(".")
        made = [self._unused(f"{base}/{kind.lower()}") for base in bases]
        node = onnx.helper.make_node(kind, list(inputs), made, name=made[0], domain=domain, **attributes)
        self._nodes.append(node)
        return made

    def constant(self, name: str, data: NDArray[Any]) -> str:
        """Enter a constant under a name of its own, and return that."""
        import onnx

        free = self._unused(f"{name}/value")
        self._constants[free] = onnx.numpy_helper.from_array(np.asarray(data, order="C"), free)
        return free

    def params(self, tensor: Tensor) -> tuple[str, str]:
        """Return names of a tensor's scale and zero point, scalars or one per filter."""
        if tensor.quant is None or not isinstance(tensor.format, IntFormat):
            raise Refused(f"tensor {tensor.name} ({tensor.format}) has no scale")
        single = tensor.quant.axis is None
        scale = np.asarray(tensor.quant.scale, np.float32)
        zero = np.asarray(tensor.quant.zero_point, tensor.format.dtype)
        scale, zero = (scale.reshape(()), zero.reshape(())) if single else (scale, zero)
        return self.constant(f"{tensor.name}/scale", scale), self.constant(f"{tensor.name}/zero_point", zero)

    def as_is(self, name: str) -> str:
        """Return the value of a tensor in the network's own layout."""
        data = self.graph.tensors[name].data
        if name not in self._as_is:
            made = self.constant(name, data) if data is not None else None
            self._as_is[name] = made or self.emit("Transpose", [self._first[name]], name, perm=_LAST)
        return self._as_is[name]

    def channels_first(self, name: str) -> str:
        """Return the value of an image with its channels first."""
        if name not in self._first:
            data = self.graph.tensors[name].data
            made = None if data is None else self.constant(f"{name}/channels_first", data.transpose(_FIRST))
            self._first[name] = made or self.emit("Transpose", [self.as_is(name)], name, perm=_FIRST)
        return self._first[name]

    def together(self, names: Sequence[str]) -> tuple[list[str], bool]:
        """Return values of one layout for an operator that takes any, and whether it is channels first.

        It is where all are images and one is there already.
        """
        images = all(len(self.graph.tensors[name].shape) == 4 for name in names)
        first = images and any(name in self._first for name in names)
        return [self.channels_first(name) if first else self.as_is(name) for name in names], first

    def give_in(self, name: str, made: str, first: bool) -> None:
        """Say where the value of a tensor is, in the layout that `together` chose."""
        (self._first if first else self._as_is)[name] = made

    def give(self, name: str, made: str) -> None:
        """Say where the value of a tensor is, in the network's own layout."""
        self._as_is[name] = made

    def give_channels_first(self, name: str, made: str) -> None:
        """Say where the value of an image is, channels first."""
        self._first[name] = made

    def finished(self) -> Any:
        """Return the GraphProto, its inputs and outputs under the network's names."""
        import onnx

        for name in self.graph.outputs:
            self._nodes.append(onnx.helper.make_node("Identity", [self.as_is(name)], [name], name=name))
        inputs, outputs = (
            [onnx.helper.make_tensor_value_info(t.name, self.type_of(t), t.shape) for t in tensors]
            for tensors in (self.graph.input_tensors, self.graph.output_tensors)
        )
        constants = list(self._constants.values())
        return onnx.helper.make_graph(self._nodes, self.graph.name, inputs, outputs, constants)

    def _unused(self, name: str) -> str:
        number, free = 1, name
        while free in self._names:
            number += 1
            free = f"{name}_{number}"
        self._names.add(free)
        return free
