"""Networks of one layer, to ask about one shape.

All scales are powers of two: input and weights 1, the output 2^s with s = 7 + ceil(ceil(log2(k)) / 2) for k products
per output. So requantizing is a shift by s bits for every kind of requantizer, and operands drawn uniformly from int8
give outputs with a standard deviation of 21 to 43, hardly any of them saturated.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from numbers import Integral
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from simulator.errors import NetworkError
from simulator.graph.builder import GraphBuilder
from simulator.graph.graph import Graph
from simulator.graph.ops import Conv2D, FullyConnected, MaxPool2D, Padding
from simulator.numerics.formats import INT8, INT32, IntFormat
from simulator.numerics.quant import QuantParams
from workloads.network import Network

Pair = int | tuple[int, int]
"""One number for both axes, or (vertical, horizontal)."""

_UNIT = QuantParams.per_tensor(1.0)


@dataclass(frozen=True, eq=False)
class SingleLayer(Network):
    """A one-layer network; without `with_weights` it can only be timed."""

    def with_weights(self, w: ArrayLike, bias: ArrayLike | None = None) -> SingleLayer:
        """Return the network with values for its weights and bias.

        Parameters
        ----------
        w
            Integers in the range of int8. gemm: [k, n]. conv2d: [filters, kernel_h, kernel_w, channels / groups].
        bias
            Integers in the range of int32, of the shape the network was made with; None = zeros.

        Raises
        ------
        NetworkError
            A wrong shape, values out of range or not whole, or a bias for a network made without one.

        """
        weights = np.asarray(w)
        product = isinstance(self.graph.nodes[0].op, FullyConnected)
        expected = self.graph.tensors["weights"].shape
        self._check("weights", weights, expected[::-1] if product else expected, INT8)
        data = {"weights": np.ascontiguousarray(weights.T if product else weights, np.int8)}
        tensor = self.graph.tensors.get("bias")
        if tensor is not None:
            values = np.zeros(tensor.shape, np.int32) if bias is None else np.asarray(bias)
            self._check("bias", values, tensor.shape, INT32)
            data["bias"] = np.ascontiguousarray(values, np.int32)
        elif bias is not None:
            raise NetworkError(f"{self.name} was made with bias=False; make it with bias=True to give one")
        return replace(self, graph=_with_data(self.graph, data))

    def _check(self, what: str, values: NDArray[Any], shape: tuple[int, ...], format: IntFormat) -> None:
        if values.shape != shape:
            raise NetworkError(f"{self.name}: {what} of shape {values.shape}, the network takes {shape}")
        whole = values.dtype.kind in "iu"
        if not whole or (values.size and (values.min() < format.min or values.max() > format.max)):
            span = f" from {values.min()} to {values.max()}" if whole else ""
            raise NetworkError(f"{self.name}: {what} of dtype {values.dtype}{span} do not fit {format}")

    def _missing_call(self) -> str:
        return "call .with_weights(w, bias) first; timing alone (inputs=None) needs none"


def gemm(m: int, k: int, n: int, out: str = "int8", bias: bool | str = False) -> SingleLayer:
    """Return y[m, n] = x[m, k] @ w[k, n] + bias for an int8 input `input` [m, k]; the output is `output` [m, n].

    Parameters
    ----------
    m, k, n
        Sizes, at least 1.
    out
        ``"int8"``: requantized (scale as the module says). ``"int32"``: the accumulators themselves, int64 where the
        accelerator's are wider than 32 bits.
    bias
        False, True (int32 [n]), or ``"matrix"`` (int32 [m, n]).

    Raises
    ------
    NetworkError
        A size below 1, or an option that does not exist.

    """
    _check_positive("gemm", {"m": m, "k": k, "n": n})
    if out not in ("int8", "int32"):
        raise NetworkError(f"gemm: out is 'int8' or 'int32', not {out!r}")
    if bias not in (False, True, "matrix"):
        raise NetworkError(f"gemm: bias is False, True or 'matrix', not {bias!r}")
    builder = GraphBuilder(f"gemm_{m}x{k}x{n}")
    x = builder.input("input", (m, k), INT8, _UNIT)
    weights = builder.placeholder("weights", (n, k), INT8, _UNIT)
    bias_shape = (m, n) if bias == "matrix" else (n,)
    bias_name = builder.placeholder("bias", bias_shape, INT32, _UNIT) if bias else None
    raw = out == "int32"
    quant = None if raw else _output_scale(k)
    builder.add(FullyConnected(raw_accumulator=raw), x, weights, bias_name, name="output", quant=quant)
    return SingleLayer(builder.build())


def conv2d(
    height: int,
    width: int,
    channels: int,
    filters: int,
    kernel: Pair,
    stride: Pair = 1,
    padding: Pair = 0,
    dilation: Pair = 1,
    groups: int = 1,
    bias: bool = True,
    pool: tuple[Pair, Pair, Pair] | None = None,
) -> SingleLayer:
    """Return a convolution of an int8 input `input` [1, height, width, channels]; int8 `output`, NHWC too.

    Parameters
    ----------
    height, width, channels
        Of the input.
    filters
        Output channels.
    kernel, stride, padding, dilation
        One number, or (vertical, horizontal). Padding is on both sides of an axis.
    groups
        Divides channels and filters; channels = depthwise.
    bias
        Whether there is one, int32 [filters].
    pool
        (size, stride, padding) of a max pool on the output.

    Raises
    ------
    NetworkError
        Sizes that do not suit each other; names them.

    """
    window = {"kernel": kernel, "stride": stride, "padding": padding, "dilation": dilation}
    pairs = {key: _pair(key, value) for key, value in window.items()}
    kernel_h, kernel_w = pairs["kernel"]
    _check_positive(
        "conv2d",
        {"height": height, "width": width, "channels": channels, "filters": filters, "kernel": min(pairs["kernel"])}
        | {"stride": min(pairs["stride"]), "dilation": min(pairs["dilation"]), "groups": groups},
    )
    if channels % groups:
        raise NetworkError(f"conv2d: {channels} channels do not divide into {groups} groups")
    builder = GraphBuilder(f"conv2d_{height}x{width}x{channels}_{filters}f{kernel_h}x{kernel_w}")
    x = builder.input("input", (1, height, width, channels), INT8, _UNIT)
    weights = builder.placeholder("weights", (filters, kernel_h, kernel_w, channels // groups), INT8, _UNIT)
    bias_name = builder.placeholder("bias", (filters,), INT32, _UNIT) if bias else None
    op = Conv2D(pairs["stride"], _border(pairs["padding"]), pairs["dilation"], int(groups))
    quant = _output_scale(kernel_h * kernel_w * channels // groups)
    name = "output" if pool is None else "conv"
    result = builder.add(op, x, weights, bias_name, name=name, quant=quant)
    if pool is not None:
        if not isinstance(pool, tuple | list) or len(pool) != 3:
            raise NetworkError(f"conv2d: pool is (size, stride, padding), not {pool!r}")
        size, step, border = (_pair(f"pool {part}", pool[i]) for i, part in enumerate(("size", "stride", "padding")))
        builder.add(MaxPool2D(size, step, _border(border)), result, name="output")
    return SingleLayer(builder.build())


def _output_scale(k: int) -> QuantParams:
    shift = 7 + (int(k - 1).bit_length() + 1) // 2
    return QuantParams.per_tensor(2.0**shift)


def _pair(what: str, value: Pair) -> tuple[int, int]:
    pair = value if isinstance(value, tuple | list) else (value, value)
    if len(pair) != 2 or not all(isinstance(entry, Integral) and entry >= 0 for entry in pair):
        raise NetworkError(f"conv2d: {what} is a whole number or a pair (vertical, horizontal), not {value!r}")
    return int(pair[0]), int(pair[1])


def _border(padding: tuple[int, int]) -> Padding:
    return Padding(padding[0], padding[0], padding[1], padding[1])


def _check_positive(network: str, sizes: Mapping[str, object]) -> None:
    for name, size in sizes.items():
        if not isinstance(size, Integral) or size < 1:
            raise NetworkError(f"{network}: {name} is a whole number of at least 1, not {size!r}")


def _with_data(graph: Graph, data: dict[str, NDArray[Any]]) -> Graph:
    given = {name: replace(graph.tensors[name], data=values, placeholder=False) for name, values in data.items()}
    return replace(graph, tensors={**graph.tensors, **given})
