"""One frozen dataclass per operator: attributes only, no values and no arithmetic.

Tensors are NHWC. Weights: Conv2D and TransposeConv2D [filters, kernel_h, kernel_w, channels / groups],
FullyConnected [n, k]. Every operator's arithmetic follows from its tensors' formats and quantization.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from simulator.graph.attributes import Activation as Activation
from simulator.graph.attributes import Arithmetic as Arithmetic
from simulator.graph.attributes import Padding as Padding


@dataclass(frozen=True)
class Op:
    """Base of all operators."""

    @property
    def kind(self) -> str:
        """Name of the operator, as reports show it."""
        return type(self).__name__


@dataclass(frozen=True)
class Rescaling(Op):
    """Base of the operators of the vector unit that take values from one scale to another."""

    arithmetic: Arithmetic = field(default=Arithmetic.FIXED_POINT, kw_only=True)


# ---------------------------------------------------------------- array: x, weights, [bias] -> y


@dataclass(frozen=True)
class Conv2D(Op):
    """Convolution. groups = channels is depthwise: filter f reads channel f // (filters / channels)."""

    stride: tuple[int, int] = (1, 1)
    padding: Padding = Padding()
    dilation: tuple[int, int] = (1, 1)
    groups: int = 1
    activation: Activation = Activation.NONE
    raw_accumulator: bool = False
    """Give the accumulator itself, int32 (int64 where the register is wider), not requantized."""


@dataclass(frozen=True)
class TransposeConv2D(Op):
    """Transposed convolution: y[i * stride - pad + k] += x[i] * w[k], cropped to `output_size` (height, width)."""

    stride: tuple[int, int]
    output_size: tuple[int, int]
    padding: Padding = Padding()
    """What is cropped from the full result: pad top = rows of the full result above the first output row."""
    activation: Activation = Activation.NONE
    dilation: tuple[int, int] = (1, 1)
    """Of the filter: y[i * stride - pad + k * dilation] += x[i] * w[k]."""
    raw_accumulator: bool = False
    """As in `Conv2D`."""


@dataclass(frozen=True)
class FullyConnected(Op):
    """y[m, n] = sum_k x[m, k] * w[n, k] + bias[n] (or bias[m, n]). Leading axes of x are flattened into m."""

    activation: Activation = Activation.NONE
    keep_dims: bool = False
    """Keep the leading axes of x in y."""
    single_rounding: bool = False
    """The reference that the file comes with rounds once here where the device's fixed_point_double rounds twice."""
    raw_accumulator: bool = False
    """Give the accumulator itself, int32 (int64 where the register is wider), not requantized."""


# ---------------------------------------------------------------- float networks only: quantizing folds it


@dataclass(frozen=True)
class BatchNorm(Op):
    """gamma * (x - mean) / sqrt(variance + epsilon) + beta. Inputs: x, gamma, beta, mean, variance, each [channels]."""

    epsilon: float = 1e-5


# ---------------------------------------------------------------- element by element


@dataclass(frozen=True)
class Add(Rescaling):
    """a + b, broadcast."""

    activation: Activation = Activation.NONE


@dataclass(frozen=True)
class Sub(Rescaling):
    """a - b, broadcast."""

    activation: Activation = Activation.NONE


@dataclass(frozen=True)
class Mul(Rescaling):
    """a * b, broadcast."""

    activation: Activation = Activation.NONE


@dataclass(frozen=True)
class Div(Op):
    """a / b, broadcast (float32 or int32, on the host)."""

    activation: Activation = Activation.NONE


@dataclass(frozen=True)
class FloorDiv(Op):
    """floor(a / b), broadcast (float32 or int32, on the host)."""


@dataclass(frozen=True)
class Maximum(Op):
    """max(a, b), broadcast."""


@dataclass(frozen=True)
class Minimum(Op):
    """min(a, b), broadcast."""


@dataclass(frozen=True)
class Unary(Op):
    """One-operand arithmetic: `function` is sqrt, rsqrt, exp, log, abs, neg, floor, ceil, round, square, sin or cos."""

    function: str


@dataclass(frozen=True)
class Relu(Rescaling):
    """max(x, 0), with rescale to the output's scale."""


@dataclass(frozen=True)
class Relu6(Rescaling):
    """min(max(x, 0), 6), with rescale to the output's scale."""


@dataclass(frozen=True)
class ReluN1To1(Rescaling):
    """min(max(x, -1), 1), with rescale to the output's scale."""


@dataclass(frozen=True)
class PRelu(Op):
    """x where x >= 0, else alpha * x. Inputs: x, alpha (broadcast)."""


@dataclass(frozen=True)
class LeakyRelu(Rescaling):
    """x where x >= 0, else alpha * x."""

    alpha: float


@dataclass(frozen=True)
class Logistic(Rescaling):
    """1 / (1 + exp(-x))."""


@dataclass(frozen=True)
class Tanh(Rescaling):
    """Hyperbolic tangent."""


@dataclass(frozen=True)
class HardSwish(Rescaling):
    """x * min(max(x + 3, 0), 6) / 6."""


@dataclass(frozen=True)
class Softmax(Op):
    """exp(beta * x) / sum(exp(beta * x)) along the last axis."""

    beta: float = 1.0


@dataclass(frozen=True)
class Quantize(Rescaling):
    """float32 to integer, or integer to integer of another scale or format."""


@dataclass(frozen=True)
class Dequantize(Rescaling):
    """Integer to float32 (host)."""


@dataclass(frozen=True)
class Cast(Op):
    """Change of number format by value, scale ignored."""


# ---------------------------------------------------------------- windows and reductions


@dataclass(frozen=True)
class MaxPool2D(Op):
    """Greatest value of each window; padding never wins."""

    kernel: tuple[int, int]
    stride: tuple[int, int]
    padding: Padding = Padding()
    activation: Activation = Activation.NONE


@dataclass(frozen=True)
class AveragePool2D(Rescaling):
    """Mean of each window over the positions inside the image."""

    kernel: tuple[int, int]
    stride: tuple[int, int]
    padding: Padding = Padding()
    activation: Activation = Activation.NONE
    count_padding: bool = False
    """Divide by the whole window, padding included (float32 arithmetic only)."""


@dataclass(frozen=True)
class Mean(Rescaling):
    """Mean over `axes`."""

    axes: tuple[int, ...]
    keep_dims: bool = False


@dataclass(frozen=True)
class Sum(Op):
    """Sum over `axes`."""

    axes: tuple[int, ...]
    keep_dims: bool = False


@dataclass(frozen=True)
class ReduceMax(Op):
    """Greatest value over `axes`."""

    axes: tuple[int, ...]
    keep_dims: bool = False


@dataclass(frozen=True)
class ArgMax(Op):
    """Index of the first greatest value along `axis`; that axis is removed."""

    axis: int


@dataclass(frozen=True)
class ResizeBilinear(Rescaling):
    """Bilinear interpolation to `size` (height, width)."""

    size: tuple[int, int]
    align_corners: bool = False
    half_pixel_centers: bool = False


@dataclass(frozen=True)
class ResizeNearest(Op):
    """Nearest neighbour to `size` (height, width)."""

    size: tuple[int, int]
    align_corners: bool = False
    half_pixel_centers: bool = False


# ---------------------------------------------------------------- movement of data


@dataclass(frozen=True)
class Concat(Rescaling):
    """Join along `axis`; inputs of another scale are rescaled."""

    axis: int
    activation: Activation = Activation.NONE


@dataclass(frozen=True)
class Pad(Op):
    """Constant border: `paddings` (before, after) per axis, filled with the stored integer (or float) `value`."""

    paddings: tuple[tuple[int, int], ...]
    value: float


@dataclass(frozen=True)
class MirrorPad(Op):
    """Mirrored border; `mode` is reflect (edge not repeated) or symmetric (edge repeated)."""

    paddings: tuple[tuple[int, int], ...]
    mode: str


@dataclass(frozen=True)
class Reshape(Op):
    """Same values, other shape. Squeeze and expand-dims too."""

    shape: tuple[int, ...]


@dataclass(frozen=True)
class Slice(Op):
    """x[begin : end : step] per axis, as NumPy reads it (end None = to the edge); `squeeze` axes are then dropped."""

    begin: tuple[int | None, ...]
    end: tuple[int | None, ...]
    step: tuple[int, ...]
    squeeze: tuple[int, ...] = ()


@dataclass(frozen=True)
class Split(Op):
    """Cut along `axis` into parts of `sizes`, one output each."""

    axis: int
    sizes: tuple[int, ...]


@dataclass(frozen=True)
class Tile(Op):
    """Repeat the whole tensor `multiples[i]` times along axis i."""

    multiples: tuple[int, ...]


@dataclass(frozen=True)
class Transpose(Op):
    """Output axis i is input axis permutation[i]."""

    permutation: tuple[int, ...]


@dataclass(frozen=True)
class Pack(Op):
    """Stack equal shapes along a new `axis`."""

    axis: int


@dataclass(frozen=True)
class Unpack(Op):
    """Split along `axis` into slices without that axis, one output each."""

    axis: int


@dataclass(frozen=True)
class SpaceToBatch(Op):
    """Pad the spatial axes with the zero point, then move blocks into the batch axis."""

    block: tuple[int, ...]
    paddings: tuple[tuple[int, int], ...]


@dataclass(frozen=True)
class BatchToSpace(Op):
    """Move the batch axis back into spatial blocks, then crop."""

    block: tuple[int, ...]
    crops: tuple[tuple[int, int], ...]


@dataclass(frozen=True)
class SpaceToDepth(Op):
    """Move block x block pixels into channels."""

    block: int


@dataclass(frozen=True)
class DepthToSpace(Op):
    """Move channels into block x block pixels."""

    block: int


@dataclass(frozen=True)
class Gather(Op):
    """Take slices of x along `axis` at integer indices. Inputs: x, indices."""

    axis: int
    batch_dims: int = 0


@dataclass(frozen=True)
class GatherNd(Op):
    """Take slices of x at index tuples (last axis of indices). Inputs: x, indices."""
