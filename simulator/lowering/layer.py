"""Layer: one node ready to be executed and scheduled, all float scales already turned into integer constants."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property
from math import prod

from simulator.graph.graph import Node, Tensor
from simulator.graph.ops import Padding
from simulator.numerics.formats import IntFormat
from simulator.numerics.modes import Dataflow, OverflowMode


class Engine(StrEnum):
    """Who works on a layer."""

    ARRAY = "array"
    VECTOR = "vector"
    DMA = "dma"
    """Pure movement of data; a reshape moves nothing."""
    HOST = "host"


@dataclass(frozen=True)
class RegisterSpec:
    """Width and overflow mode of an accumulating register."""

    bits: int
    mode: OverflowMode

    @property
    def min(self) -> int:
        """Least value held."""
        return IntFormat(self.bits).min

    @property
    def max(self) -> int:
        """Greatest value held."""
        return IntFormat(self.bits).max


@dataclass(frozen=True)
class FoldOrder:
    """Order and widths of a layer's additions. Decided by array.dataflow, array.rows and arithmetic alone."""

    dataflow: Dataflow
    fold_length: int
    """Consecutive k summed in one partial-sum register: array.rows (weight stationary); 0 for output stationary."""
    partial_sum: RegisterSpec | None
    """None for output stationary."""
    accumulator: RegisterSpec


@dataclass(frozen=True)
class ConvGeometry:
    """Shape of an array layer as an implicit GEMM, per group: M = batch * out_height * out_width, N, K.

    Transposed convolution: `insertion` zeros are woven in (stride of the transposed convolution; (1, 1) otherwise), the
    filter is flipped, and `padding` is that of the resulting stride-1 convolution over the zero-inserted input.
    Fully connected: height = rows of x, width = 1, 1x1 filter.
    """

    batch: int
    in_height: int
    in_width: int
    out_height: int
    out_width: int
    channels: int
    """Input channels of one group."""
    filters: int
    """Output channels of one group."""
    groups: int = 1
    kernel: tuple[int, int] = (1, 1)
    stride: tuple[int, int] = (1, 1)
    dilation: tuple[int, int] = (1, 1)
    padding: Padding = Padding()
    insertion: tuple[int, int] = (1, 1)
    transposed: bool = False

    @property
    def m(self) -> int:
        """Output pixels."""
        return self.batch * self.out_height * self.out_width

    @property
    def n(self) -> int:
        """Output channels of one group."""
        return self.filters

    @property
    def k(self) -> int:
        """Reduction length of one output: kernel_h * kernel_w * channels."""
        return prod(self.kernel) * self.channels

    @property
    def macs(self) -> int:
        """Multiply-accumulates, padding taps counted, inserted zeros not (transposed: in_h * in_w * k * n)."""
        if self.transposed:
            return self.batch * self.in_height * self.in_width * self.k * self.n * self.groups
        return self.m * self.k * self.n * self.groups


@dataclass(frozen=True)
class Layer:
    """One node of the network, lowered."""

    name: str
    node: Node
    engine: Engine
    inputs: tuple[Tensor | None, ...]
    """Input tensors in the op's order; None = absent optional input."""
    outputs: tuple[Tensor, ...]
    constants: object = None
    """The op's integer constants: a frozen dataclass of its family module in `simulator.lowering`, or None."""
    geometry: ConvGeometry | None = None
    """Only layers on the array."""
    fold_order: FoldOrder | None = None
    """Only layers on the array."""
    vector_ops: int = 0
    """Lane operations (vector) or output elements (host) of the layer; 0 on the array and for pure movement."""
    reread_bytes: int = 0
    """Bytes that a vector layer reads again for passes after its first, where they did not fit on chip."""
    moves_data: bool = True
    """False where the output is the input's bytes unchanged (reshape): no traffic, no time."""

    @property
    def kind(self) -> str:
        """Operator name as reports show it; a depthwise convolution is named so."""
        if self.geometry is not None and self.geometry.groups > 1 and self.geometry.channels == 1:
            return "DepthwiseConv2D"
        return self.node.op.kind

    @cached_property
    def macs(self) -> int:
        """Multiply-accumulates on the array; 0 elsewhere."""
        return self.geometry.macs if self.geometry else 0

    @cached_property
    def elements(self) -> int:
        """Elements of what it reads and writes."""
        return sum(tensor.elements for tensor in (*self.inputs, *self.outputs) if tensor is not None)
