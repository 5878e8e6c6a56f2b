"""Tensors of a .tflite file as graph tensors: formats, quantization, constant data."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from simulator.errors import NetworkError
from simulator.graph.graph import Tensor
from simulator.numerics.formats import BOOL, FLOAT32, INT8, INT16, INT32, INT64, UINT8, Format, IntFormat
from workloads.importers._tflite_reader import RawModel, RawTensor, quant_params

FORMATS: dict[str, Format] = {
    "FLOAT32": FLOAT32,
    "INT8": INT8,
    "UINT8": UINT8,
    "INT16": INT16,
    "INT32": INT32,
    "INT64": INT64,
    "BOOL": BOOL,
    "FLOAT16": FLOAT32,
}
"""Formats that are read. float16 occurs in constants only and is widened, which is exact."""

_STORED: dict[str, np.dtype[Any]] = {"FLOAT16": np.dtype(np.float16), "BOOL": np.dtype(np.uint8)}
"""Where the stored type is not the format's own."""


class TensorTable:
    """Graph tensors made on demand from the file's, and what is wrong with each."""

    def __init__(self, model: RawModel) -> None:
        self._model = model
        self._written = {index for node in model.nodes for index in node.outputs}
        self._data: dict[tuple[int, str], NDArray[Any]] = {}
        self._tensors: dict[int, Tensor] = {}
        self._filters_first: dict[str, NDArray[Any]] = {}
        self._derived_bytes = 0

    def problem(self, index: int) -> str | None:
        """Why this tensor cannot be used, or None."""
        raw = self._model.tensors[index]
        if raw.type_name not in FORMATS:
            return f"tensor {raw.name} is of type {raw.type_name}; read are {', '.join(FORMATS)}"
        if raw.is_variable:
            return f"tensor {raw.name} is a variable: it keeps a value from one run to the next"
        if raw.is_sparse:
            return f"tensor {raw.name} is stored sparse"
        if raw.quantization.is_custom:
            return f"tensor {raw.name} has custom quantization"
        if raw.type_name == "FLOAT16" and not self._is_constant(raw):
            return f"tensor {raw.name} is float16 and not constant"
        return None

    def __getitem__(self, index: int) -> Tensor:
        """Graph tensor of a file tensor without a problem; NetworkError where its data or scales are inconsistent."""
        if index not in self._tensors:
            self._tensors[index] = self._make(self._model.tensors[index])
        return self._tensors[index]

    def fold(self, index: int, data: NDArray[Any]) -> None:
        """Make the tensor a constant, known at import time; ValueError where the file declares another one."""
        tensor = self[index]
        if (data.shape, data.dtype) != (tensor.shape, tensor.format.dtype):
            raise ValueError(
                f"its result is {data.dtype} {list(data.shape)}, the file says {tensor.format} {list(tensor.shape)}"
            )
        self._tensors[index] = replace(tensor, data=data)

    def filters_first(self, weights: Tensor) -> NDArray[Any]:
        """Constant depthwise weights [1, kh, kw, filters] as [filters, kh, kw, 1], one copy however many read them."""
        if weights.name not in self._filters_first:
            assert weights.data is not None
            if not self.afford(weights.data.nbytes):
                raise NetworkError("the file is damaged: its depthwise weights together exceed its size")
            self._filters_first[weights.name] = np.ascontiguousarray(weights.data.transpose(3, 1, 2, 0))
        return self._filters_first[weights.name]

    def afford(self, size: int) -> bool:
        """Whether `size` more bytes of derived constants stay within a few times the file's size; counts them if so."""
        if self._derived_bytes + size > 4 * self._model.file_bytes:
            return False
        self._derived_bytes += size
        return True

    def _make(self, raw: RawTensor) -> Tensor:
        fmt = FORMATS[raw.type_name]
        quant = None
        if isinstance(fmt, IntFormat):
            try:
                quant = quant_params(raw, fmt.min, fmt.max)
            except ValueError as error:
                raise NetworkError(str(error)) from error
        data = self._constant(raw) if self._is_constant(raw) else None
        return Tensor(raw.name, raw.shape, fmt, quant, data)

    def _is_constant(self, raw: RawTensor) -> bool:
        if raw.index in self._written or raw.index in self._model.inputs:
            return False
        return raw.elements == 0 or len(self._bytes(raw)) > 0

    def _bytes(self, raw: RawTensor) -> memoryview:
        return self._model.buffers(raw.buffer) if raw.buffer else memoryview(b"")

    def _constant(self, raw: RawTensor) -> NDArray[Any]:
        """Own, aligned copy of the values; one copy per buffer, however many tensors a hostile file hangs on it."""
        stored = _STORED.get(raw.type_name, FORMATS[raw.type_name].dtype)
        content = self._bytes(raw) if raw.elements else memoryview(b"")
        if len(content) != raw.elements * stored.itemsize:
            raise NetworkError(
                f"constant {raw.name} of shape {list(raw.shape)} and type {raw.type_name} needs "
                f"{raw.elements * stored.itemsize} bytes, its buffer holds {len(content)}"
            )
        key = (raw.buffer if raw.elements else -1, raw.type_name)
        if key not in self._data:
            self._data[key] = np.frombuffer(content, stored).astype(FORMATS[raw.type_name].dtype)
        return self._data[key].reshape(raw.shape)
