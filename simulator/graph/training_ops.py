"""Operators of integer training on the vector unit: one frozen dataclass each, attributes only.

A real tensor is an integer tensor q and a *scale* s, int64 [2] = (mantissa, exponent): real = q * mantissa *
2^exponent, 1 <= mantissa < 2^15. A *wide* tensor is int32 or int64 (raw accumulators and sums). Images are [batch,
height, width, channels]; per-channel tensors [channels]. A *key* is int64 [2] = (seed, step), the key of random
draws; where that input is absent the run's own seed and step serve. Every tensor is numbered by the CRC-32 of the
first output's name. `round` is floor(x + 1/2) unless another rounding is named; clips are symmetric, +-(2^(bits - 1)
- 1). The specification on Python ints is `simulator.numerics.training_*`. Sources: Yang et al., integer-based
semantic segmentation, arXiv 2011.14504 ("eq." below); Flag-QE2 and momentum: WAGEUBN, arXiv 1909.02384.
"""

from __future__ import annotations

from dataclasses import dataclass

from simulator.graph.ops import Op, Padding
from simulator.numerics.modes import RoundingMode
from simulator.numerics.training_scale import RandomSource, ScaleRule

__all__ = ["RandomSource", "ScaleRule"]


@dataclass(frozen=True)
class TrainingOp(Op):
    """Base of the operators of this file: formats of their outputs follow from `training_shapes.training_formats`."""


# ---------------------------------------------------------------- quantizers


@dataclass(frozen=True)
class ScaleQuantize(TrainingOp):
    """Quantize by the greatest magnitude of the tensor (SQ; RQ when stochastic; CQ when the magnitude is dropped).

    x wide, sx, [key] -> q int`bits` of x's shape, sq. M = max(|x|, 1), and with `scale` ROUND: step = 2^(R(M) - (bits
    - 1)), R = round(log2 M); CEIL: likewise, ceil(log2 M); MAX: step = M' / 2^(bits - 1), M' = M rounded up to 15
    significant bits. q = clip(round(x / step)), sq = sx * step (eq. 3-6).
    """

    bits: int = 8
    """2 to 16."""
    scale: ScaleRule = ScaleRule.ROUND
    rounding: RoundingMode = RoundingMode.TIES_POS
    """TIES_POS or STOCHASTIC."""
    random: RandomSource = RandomSource.GENERATOR
    """Of STOCHASTIC: the Philox generator, or the low half of the dropped bits (ROUND and CEIL only)."""
    keep_scale: bool = True
    """False drops the magnitude: sq = (1, dropped_exponent), whatever sx and M."""
    dropped_exponent: int = -14
    """-14: WAGEUBN's constant grid, n * 2^-14; -(bits - 1): the paper's eq. 18."""
    relu: bool = False
    """Quantize max(x, 0)."""


@dataclass(frozen=True)
class FixedQuantize(TrainingOp):
    """Quantize to the fixed grid 2^exponent (UQ, C P eq. 2): x, sx -> q int`bits` = clip(round(x * sx / 2^exponent)).

    The result's scale is the constant (1, exponent), which is no output: declare it once. Weights W8 from the master
    W24: sx = (1, -23), exponent -7. A per-layer power-of-two weight shift is another exponent.
    """

    bits: int
    """2 to 32."""
    exponent: int


@dataclass(frozen=True)
class FlagQuantize(TrainingOp):
    """Flag-QE2 (WAGEUBN): `bits` bits and a flag that says which of two grids.

    x wide, sx -> q int16, sq. With step = 2^(R(M) - (bits - 1)) and y = x / step: |y| >= 1 gives q = clip(round(y)) *
    2^(bits - 1); |y| < 1 gives q = round(y * 2^(bits - 1)). sq = sx * step * 2^(1 - bits), the fine grid.
    """

    bits: int = 8
    """2 to 8."""
    scale: ScaleRule = ScaleRule.ROUND
    """ROUND or CEIL."""


@dataclass(frozen=True)
class CombineScales(TrainingOp):
    """Product of scales: s1, s2, ... -> s; mantissas multiplied, one after another, each product rounded to 15 bits."""


# ---------------------------------------------------------------- sums of tensors of different scale


@dataclass(frozen=True)
class AlignedAdd(TrainingOp):
    """Sum of two or more: x1, s1, x2, s2, ... -> y wide, sy = (1, E). Residual and skip adds, sums of errors.

    Each is brought to the grid 2^E by one rounding, then added. E is the least exponent at which no sum can leave y's
    format whatever the values, E = max_i(e_i + bits(m_i - 1) + b_i) + ceil(log2 n) - (bits - 2), where y has `bits`
    bits and x_i b_i + 1; but not below the least exponent of an input. y is int32, or int64 where asked for
    (`format=`).
    """


@dataclass(frozen=True)
class AlignedConcat(TrainingOp):
    """Concatenation: x1, s1, x2, s2, ... -> y wide, sy = (1, E), as `AlignedAdd` with n = 1. Backward: `ops.Split`."""

    axis: int


@dataclass(frozen=True)
class ReluGradient(TrainingOp):
    """e, a -> e where a > 0, else 0; format of e. a: the activation after ReLU, or the mask of a dropout."""


@dataclass(frozen=True)
class BiasChannels(TrainingOp):
    """x wide, sx, bias int [channels] on the grid 2^exponent -> z = x + round(bias * 2^exponent / sx), scale sx.

    z saturates to its format, which is that of x.
    """

    exponent: int


@dataclass(frozen=True)
class ChannelSum(TrainingOp):
    """x -> sum over all but the last axis, int64 [channels]; scale that of x. Gradient of a bias."""


# ---------------------------------------------------------------- batch norm


@dataclass(frozen=True)
class L1Statistics(TrainingOp):
    """x wide, sx -> mean int`bits` [channels], deviation int`bits` [channels], extremes int64 [2, channels].

    n = batch * height * width. mean = clip(round(sum(x) * sx / n / 2^exponent)); c = round(sum(x) / n) in steps of x;
    deviation = clip(round(sum|x - c| * sx / n / 2^exponent) + epsilon), at least 1; extremes = least and greatest x
    (eq. 12-14). Two roundings each: to 2^-8 steps of the sum, then of the quotient.
    """

    bits: int = 16
    """2 to 32."""
    exponent: int = -14
    """Step of mean and deviation, 2^exponent."""
    epsilon: int = 16
    """Added to the deviation, in steps: 16 * 2^-14 is about 1e-3."""


@dataclass(frozen=True)
class L2Statistics(TrainingOp):
    """As `L1Statistics`, deviation = clip(round(sqrt(sum((x - c)^2) / n) * sx / 2^exponent) + epsilon).

    Differences of more than 20 bits are first shifted right by a whole number of bits, rounded, all of a channel alike.
    """

    bits: int = 16
    exponent: int = -14
    epsilon: int = 16


@dataclass(frozen=True)
class ChannelExtremes(TrainingOp):
    """x -> int64 [2, channels]: least and greatest value of each channel. For normalising by running statistics."""


@dataclass(frozen=True)
class NormalizeChannels(TrainingOp):
    """x_hat = SQ((x - mean) / deviation): x wide, sx, mean, deviation, extremes -> q int`bits`, sq, extremes of q.

    Real x_hat = (x * sx - mean * 2^exponent) / (deviation * 2^exponent), first on the grid 2^-16 (one reciprocal per
    channel, 30 significant bits), then as `ScaleQuantize`. Its greatest magnitude follows from the extremes of x, since
    each channel's function is monotone, so x is read once.
    """

    bits: int = 16
    scale: ScaleRule = ScaleRule.ROUND
    exponent: int = -14
    """Step of mean and deviation."""


@dataclass(frozen=True)
class AffineChannels(TrainingOp):
    """z = gamma * x_hat + beta: q, sq, gamma [channels], beta [channels] -> z int32, sz = sq * 2^gamma_exponent.

    z = gamma * q + round(beta * 2^beta_exponent / sz), saturated to int32.
    """

    gamma_exponent: int = -6
    beta_exponent: int = -6


@dataclass(frozen=True)
class AffineQuantize(TrainingOp):
    """SQ(relu(gamma * x_hat + beta)): q, sq, gamma, beta, extremes of q -> a int`bits`, sa.

    The same values as `AffineChannels`, then `ScaleQuantize(relu=relu)`, without the wide tensor between.
    """

    bits: int = 8
    scale: ScaleRule = ScaleRule.ROUND
    relu: bool = True
    gamma_exponent: int = -6
    beta_exponent: int = -6


@dataclass(frozen=True)
class L1NormGradient(TrainingOp):
    """Backward of L1 batch norm and the quantizer E2: e, se, q, sq, gamma, deviation -> six outputs.

    e: error at z (int8 or int16, masked); q, sq: x_hat as `NormalizeChannels` gave it. Outputs: dx int`bits`, sdx;
    dgamma int64 [channels], sdgamma; dbeta int64 [channels], sdbeta. With s = sign(q), means over the channel, dx =
    gamma / deviation * (e - mean(e) - (s - mean(s)) * mean(e * x_hat)), dgamma = sum(e * x_hat), dbeta = sum(e).
    """

    bits: int | None = 16
    """2 to 16: dx is quantized as by `ScaleQuantize`. None: dx is int32, scaled so that no value can leave 31 bits."""
    scale: ScaleRule = ScaleRule.ROUND
    gamma_exponent: int = -6
    exponent: int = -14
    """Step of the deviation."""


@dataclass(frozen=True)
class L2NormGradient(TrainingOp):
    """As `L1NormGradient`, dx = gamma / deviation * (e - mean(e) - x_hat * mean(e * x_hat))."""

    bits: int | None = 16
    scale: ScaleRule = ScaleRule.ROUND
    gamma_exponent: int = -6
    exponent: int = -14


@dataclass(frozen=True)
class RunningAverage(TrainingOp):
    """average int32 [channels], value [channels] -> average + round((value * 2^guard_bits - average) / 2^shift), int32.

    The average's step is the value's / 2^guard_bits: read it back with `FixedQuantize` over the scale (1, exponent -
    guard_bits). Shift 4: decay 0.9375; 5: 0.96875.
    """

    shift: int = 4
    guard_bits: int = 12


# ---------------------------------------------------------------- windows, resizing


@dataclass(frozen=True)
class MaxPoolIndexed(TrainingOp):
    """x -> y, index uint8: greatest value of each window, and the first position of it, row * kernel width + column."""

    kernel: tuple[int, int]
    """At most 256 positions."""
    stride: tuple[int, int]
    padding: Padding = Padding()


@dataclass(frozen=True)
class MaxPoolGradient(TrainingOp):
    """e, index -> dx int32 of `input_size`: each error goes to the pixel that won; scale that of e."""

    kernel: tuple[int, int]
    stride: tuple[int, int]
    input_size: tuple[int, int]
    """(height, width)."""
    padding: Padding = Padding()


@dataclass(frozen=True)
class BilinearForward(TrainingOp):
    """Bilinear interpolation by integer weights: x int8 or int16, sx -> y int32, sy = sx * 2^(-2 * weight_bits).

    Per axis an output reads two neighbours with weights w and 2^weight_bits - w, w = round(fraction * 2^weight_bits):
    exact where the ratio of sizes is a power of two.
    """

    size: tuple[int, int]
    align_corners: bool = False
    half_pixel_centers: bool = False
    weight_bits: int = 8
    """1 to 8."""


@dataclass(frozen=True)
class BilinearGradient(TrainingOp):
    """Transpose of `BilinearForward` of an image of `input_size`: e, se -> dx int32 (int64 if asked for), sdx."""

    input_size: tuple[int, int]
    align_corners: bool = False
    half_pixel_centers: bool = False
    weight_bits: int = 8


@dataclass(frozen=True)
class MeanForward(TrainingOp):
    """Mean over height and width: x, sx -> sum int32 [batch, 1, 1, channels], sx / (height * width).

    1 / n as a scale: exact where n is a power of two, else a mantissa of 15 bits, rounded.
    """


@dataclass(frozen=True)
class MeanGradient(TrainingOp):
    """Backward of `MeanForward`: e [batch, 1, 1, channels], se -> e on every pixel of `size`, se / (height * width)."""

    size: tuple[int, int]


@dataclass(frozen=True)
class BroadcastSpatial(TrainingOp):
    """x [batch, 1, 1, channels] -> x on every pixel of `size`; scale that of x."""

    size: tuple[int, int]


@dataclass(frozen=True)
class SumSpatial(TrainingOp):
    """Backward of `BroadcastSpatial`: e -> sum over height and width, int32 [batch, 1, 1, channels], scale that of e.

    Wider than int32 is refused unless int64 is asked for.
    """


# ---------------------------------------------------------------- loss, dropout, update


@dataclass(frozen=True)
class SoftmaxCrossEntropyGradient(TrainingOp):
    """Mean cross entropy: logits int8 or int16 [..., classes], s, labels int [...] -> e int32, se, loss int64 [3].

    e = w[label] * (p - onehot) in steps of 2^-18 (weights: of 2^-8 of that), 0 on ignored pixels, se = that step /
    sum of weights of valid pixels (no valid pixel: / 1). p = softmax, 18 bits. loss = (sum of w * -ln p[label] in
    2^-16, sum of w in 2^-8, valid pixels). A label that is neither a class nor `ignore` is an error naming the first.
    """

    ignore: int | None = 255
    class_weights: tuple[int, ...] = ()
    """Per class in steps of 2^-8, 0 to 4095; empty: all 256."""


@dataclass(frozen=True)
class SquaredErrorGradient(TrainingOp):
    """Mean over valid pixels of half the squared error to one-hot labels; inputs and outputs as the cross entropy's.

    e = q * 2^8 - onehot * round(2^8 / s), se = s * 2^-8 / valid pixels. loss = (sum of squares / 2 in 2^-16, 256 *
    valid pixels, valid pixels). s must lie between 2^-30 and 2^8.
    """

    ignore: int | None = 255


@dataclass(frozen=True)
class Dropout(TrainingOp):
    """Keep each value with probability 2^-keep_shift: x, sx, [key] -> y, sy = sx * 2^keep_shift, mask uint8.

    An element stays iff the low `keep_shift` bits of its draw are 0. Backward: `ReluGradient(e, mask)`, and the scale
    combined with the constant (1, keep_shift).
    """

    keep_shift: int = 1


@dataclass(frozen=True)
class Update(TrainingOp):
    """SGD on the master's grid: master int32, n, sn, lr int64 [1] -> master (eq. 19).

    dW = clip(round(n * sn * 2^lr / 2^exponent)) + round(master * 2^(lr - decay_shift)), master = clip(master - dW,
    +-limit). lr is the exponent of the learning rate: -4 for 2^-4. n, sn: the gradient as `ScaleQuantize` gave it.
    """

    bits: int = 24
    exponent: int = -23
    """Step of the master, 2^exponent: -23 for weights in +-1, -22 for gamma and beta in +-2."""
    limit: int | None = None
    """In steps; None: 2^(bits - 1) - 1."""
    decay_shift: int | None = None
    """Weight decay 2^-decay_shift; None: none."""


@dataclass(frozen=True)
class MomentumUpdate(TrainingOp):
    """SGD with momentum: master int32, velocity int32, n, sn, lr -> master, velocity.

    velocity = clip32(round(velocity * momentum / 2^momentum_shift) + round(n * sn / 2^velocity_exponent)); dW =
    clip(round(velocity * 2^(velocity_exponent + lr - exponent))), the rest as `Update`.
    """

    bits: int = 24
    exponent: int = -23
    limit: int | None = None
    decay_shift: int | None = None
    momentum: int = 1
    momentum_shift: int = 2
    """momentum / 2^momentum_shift: 1 and 2 are WAGEUBN's 1/4; 115 and 7 are 0.898."""
    velocity_exponent: int = -23
