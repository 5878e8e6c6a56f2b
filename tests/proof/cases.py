"""Layers to judge the array by, each drawn from one seed: geometry, formats, registers, data, requantizer."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from proof.bends import EXTRAS
from proof.data import BASES, STARTS, exact_sums
from proof.problem import Problem, Register, centred_ends, rails
from simulator.graph.ops import Activation, FullyConnected, Op
from simulator.numerics.formats import INT8, INT16, UINT8, IntFormat
from simulator.numerics.modes import RequantizerKind, RoundingMode
from support.array_layers import Quant, operator
from support.array_twin import Shape
from support.step_twin import output_size

CHANNELS = (1, 2, 3, 5, 8, 15, 16, 17, 31, 32, 33, 63, 64, 65, 130)
FILTERS = (1, 2, 3, 7, 8, 9, 15, 16, 17, 31, 32, 33, 48, 63, 64, 65)
LENGTHS = (
    1,
    2,
    3,
    5,
    7,
    8,
    9,
    15,
    16,
    17,
    31,
    33,
    63,
    64,
    65,
    127,
    129,
    255,
    256,
    257,
    300,
    511,
    1000,
    1025,
    2049,
    4099,
)
VERY_LONG = (9001, 33_001, 70_001)
"""More additions than a 16-bit counter counts."""
PIXELS = (1, 2, 3, 4, 5, 7, 8, 9, 15, 16, 17, 31, 32, 33, 63, 64, 65, 100, 257)
INT4, UINT4 = IntFormat(4), IntFormat(4, signed=False)
INT32_MAX = (1 << 31) - 1
MOST_MACS = 24_000_000
"""Of one layer."""
MOST_VALUES = 1_500_000
"""Of an input or output, about."""


@dataclass(frozen=True, eq=False)
class Case:
    """One layer: stored operands, quantization, and the device's arithmetic."""

    name: str
    """Seed, or where real data is from: what --case takes."""
    about: str
    """Geometry in words."""
    data: tuple[str, ...]
    """How the data was made."""
    op: Op
    shape: Shape
    x: np.ndarray
    weights: np.ndarray
    bias: np.ndarray | None
    quant: Quant
    rows: int
    partial_sum: Register | None
    accumulator: Register
    requantizer: dict[str, str]
    key: tuple[int, int]
    """Seed and step of stochastic rounding."""

    @property
    def images(self) -> np.ndarray:
        """x as [N, H, W, C]; the rows of a fully connected layer are pixels."""
        return self.x if self.x.ndim == 4 else self.x[:, None, None, :]

    @property
    def filters(self) -> np.ndarray:
        """Weights as [filters, kh, kw, C / groups]."""
        return self.weights if self.weights.ndim == 4 else self.weights[:, None, None, :]

    @property
    def pixels(self) -> int:
        return len(self.images) * math.prod(output_size(self.images.shape, self.shape))

    @property
    def macs(self) -> int:
        """Additions of products of all outputs, padding and woven zeros counted."""
        return self.pixels * self.weights.size

    def __str__(self) -> str:
        registers = f"os, A {self.accumulator}"
        if self.partial_sum:
            registers = f"ws, R {self.rows}, P {self.partial_sum}, A {self.accumulator}"
        operands = f"x {self.x.shape} {self.quant.x_format}, w {self.weights.shape} {self.quant.w_format}"
        return f"case {self.name}: {self.about}; {', '.join(self.data)}; {operands}; {registers}; {self.requantizer}"


# ---------------------------------------------------------------- geometry

Geometry = tuple[tuple[int, ...], tuple[int, ...], Shape]
"""Shape of x [N, H, W, C], of the weights, and the convolution."""


def _pick(rng: np.random.Generator, *options):
    return options[int(rng.integers(len(options)))]


def _image(rng: np.random.Generator, span: tuple[int, int], padding: tuple[int, int]) -> tuple[int, int]:
    """Height and width that hold at least one window."""
    extra = [_pick(rng, 0, 1, int(rng.integers(10)), int(rng.integers(60))) for _ in range(2)]
    return max(span[0] - padding[0], 1) + extra[0], max(span[1] - padding[1], 1) + extra[1]


def fully_connected(rng: np.random.Generator) -> Geometry:
    m, k, n = _pick(rng, *PIXELS), _pick(rng, *LENGTHS), _pick(rng, *FILTERS)
    if rng.random() < 0.01:
        m, k, n = _pick(rng, 1, 2, 5), _pick(rng, *VERY_LONG), _pick(rng, 1, 7, 16, 17)
    return (m, 1, 1, k), (n, 1, 1, k), Shape()


def pointwise(rng: np.random.Generator) -> Geometry:
    stride = _pick(rng, (1, 1), (1, 1), (2, 1), (3, 2))
    channels, filters = _pick(rng, *CHANNELS, *LENGTHS), _pick(rng, *FILTERS)
    size = _image(rng, (1, 1), (0, 0))
    return (_pick(rng, 1, 1, 2, 3), *size, channels), (filters, 1, 1, channels), Shape(stride=stride)


def convolution(rng: np.random.Generator, groups: int = 1) -> Geometry:
    kernel = _pick(rng, (3, 3), (3, 3), (1, 1), (1, 5), (2, 3), (4, 1), (5, 5), (7, 7))
    stride = _pick(rng, (1, 1), (1, 1), (2, 2), (2, 1), (1, 3), (4, 4))
    dilation = _pick(rng, (1, 1), (1, 1), (2, 2), (1, 3), (3, 2))
    padding = _pick(rng, (0, 0, 0, 0), (1, 1, 1, 1), tuple(rng.integers(0, 4, 4).tolist()))
    span = ((kernel[0] - 1) * dilation[0] + 1, (kernel[1] - 1) * dilation[1] + 1)
    size = _image(rng, span, (sum(padding[:2]), sum(padding[2:])))
    channels, filters = _pick(rng, *CHANNELS), _pick(rng, *FILTERS)
    shape = Shape(kernel, stride, dilation, padding, groups)
    return (_pick(rng, 1, 1, 2, 3), *size, channels * groups), (filters * groups, *kernel, channels), shape


def grouped(rng: np.random.Generator) -> Geometry:
    return convolution(rng, _pick(rng, 2, 3, 4, 8))


def depthwise(rng: np.random.Generator) -> Geometry:
    groups, multiplier = _pick(rng, *CHANNELS[2:]), _pick(rng, 1, 1, 1, 2, 3)
    (batch, height, width, _), weights, shape = convolution(rng, groups)
    return (batch, height, width, groups), (groups * multiplier, *weights[1:3], 1), shape


def transposed(rng: np.random.Generator) -> Geometry:
    kernel = _pick(rng, (2, 2), (3, 3), (4, 4), (3, 2), (1, 1), (5, 1))
    stride = _pick(rng, (2, 2), (1, 1), (2, 3), (3, 1), (4, 4))
    size = tuple(rng.integers(1, 14, 2).tolist())
    full = [(size[i] - 1) * stride[i] + kernel[i] for i in (0, 1)]
    crop = [_pick(rng, 0, kernel[i] // 2, int(rng.integers(min(full[i], kernel[i] + 3)))) for i in (0, 1)]
    crop = [min(crop[i], full[i] - 1) for i in (0, 1)]
    output = tuple(max(1, full[i] - crop[i] + _pick(rng, 0, 0, -2, 3)) for i in (0, 1))
    shape = Shape(kernel, stride, (1, 1), (crop[0], 0, crop[1], 0), 1, True, output)
    channels, filters = _pick(rng, *CHANNELS), _pick(rng, *FILTERS)
    return (_pick(rng, 1, 1, 2), *size, channels), (filters, *kernel, channels), shape


FAMILIES: tuple[Callable[[np.random.Generator], Geometry], ...] = (
    *(fully_connected, pointwise, convolution, convolution, grouped, depthwise, depthwise, transposed),
)


def _macs(geometry: Geometry) -> int:
    x_shape, w_shape, shape = geometry
    return x_shape[0] * math.prod(output_size(x_shape, shape)) * math.prod(w_shape)


def _geometry(rng: np.random.Generator, most_macs: int) -> tuple[str, Geometry]:
    """Geometry of a family, of at most so many MACs where it can; small layers are quick to draw, and say little."""
    family = _pick(rng, *FAMILIES)
    most = most_macs * 2.0 ** -rng.uniform(0, 8)
    drawn = [family(rng) for _ in range(6)]
    fitting = [geometry for geometry in drawn if _macs(geometry) <= most]
    chosen = max(fitting, key=_macs) if fitting else min(drawn, key=_macs)
    if fitting and not chosen[2].transposed and rng.random() < 0.7:
        chosen = _heightened(chosen, most)
    return family.__name__, chosen


def _heightened(geometry: Geometry, most: float) -> Geometry:
    """Add rows to an image (or to a fully connected layer's input) up to so many MACs."""
    (batch, height, width, channels), w_shape, shape = geometry
    rows, columns = output_size((batch, height, width, channels), shape)
    values = batch * max(height * width * channels, rows * columns * w_shape[0])
    times = max(1, int(min(most / _macs(geometry), 100, MOST_VALUES / values)))
    if w_shape[1:3] == (1, 1) and height == 1:
        return (batch * times, height, width, channels), w_shape, shape
    span = (shape.kernel[0] - 1) * shape.dilation[0] + 1
    taller = (rows * times - 1) * shape.stride[0] + span - sum(shape.padding[:2])
    return (batch, max(taller, height), width, channels), w_shape, shape


# ---------------------------------------------------------------- formats and registers


def _zero_point(rng: np.random.Generator, format: IntFormat) -> int:
    middle = 0 if format.signed else 1 << (format.bits - 1)
    return int(_pick(rng, 0, 0, middle, format.min, format.max, rng.integers(format.min, format.max + 1)))


def _formats(rng: np.random.Generator, filters: int) -> Quant:
    x_format = _pick(rng, *[INT8] * 4, *[UINT8] * 4, INT16, INT4, UINT4)
    w_format = _pick(rng, *[INT8] * 5, *[UINT8] * 3, INT16, INT4)
    if rng.random() < 0.08:
        x_format = w_format = INT16  # products of up to 33 bits, beside registers of 32
    y_format = _pick(rng, INT8, UINT8, INT16, INT16)
    w_zero = _pick(rng, 0, _zero_point(rng, w_format))
    if rng.random() < 0.15:
        w_zero = tuple(_zero_point(rng, w_format) for _ in range(filters))
    y_zero = int(rng.integers(y_format.min, y_format.max + 1)) if rng.random() < 0.5 else 0
    return Quant(x_format, w_format, y_format, _zero_point(rng, x_format), w_zero, y_zero)


def _width(rng: np.random.Generator, spread: float, reach: int, roomy: bool) -> int:
    """Register width: about that of the sums, or one that they reach, or any; `roomy`: beyond their reach."""
    natural = round(math.log2(spread + 1)) + 2
    choice = rng.random()
    if reach.bit_length() > 30 and choice < 0.7:
        bits = _pick(rng, 29, 30, 31, 31, 31, 32, 33)
    elif roomy:
        bits = _pick(rng, 32, 32, min(32, reach.bit_length() + 1 + int(rng.integers(0, 4))))
    elif choice < 0.45:
        bits = natural + int(rng.integers(-3, 3))
    elif choice < 0.7:
        bits = int(rng.integers(8, max(9, min(reach.bit_length() + 2, 33))))
    elif choice < 0.97:
        bits = int(_pick(rng, 8, 15, 16, 17, 24, 30, 31, 31, 32, 32, *range(8, 33)))
    else:
        bits = int(rng.integers(33, 49))
    return min(max(bits, 8), 48)


def _registers(problem: Problem, roomy: bool) -> None:
    rng = problem.rng
    if rng.random() < 0.5:
        rows = _pick(rng, int(rng.integers(1, 301)), int(rng.integers(1, 40)), 1, 3, 8, 16, 32, 64, problem.k)
        problem.rows = int(rows)
        problem.partial_sum = (0, "wrap")
    step = float(np.abs(problem.x).mean() * np.abs(problem.weights).mean())
    product = int(np.abs(problem.x).max() * np.abs(problem.weights).max())
    modes = [_pick(rng, "wrap", "saturate") for _ in range(2)]
    if problem.partial_sum:
        fold = problem.fold
        problem.partial_sum = (_width(rng, step * math.sqrt(fold), product * fold, roomy), modes[0])
    problem.accumulator = (_width(rng, step * math.sqrt(problem.k), product * problem.k, roomy), modes[1])


def _fit(problem: Problem) -> None:
    """Make the registers as wide as the sums need, or a bit less: then only the outermost of them overflow."""
    account = exact_sums(problem)
    more = problem.rng.integers(-1, 2, 2).tolist()
    needed = min(max(account.accumulator.needed_bits + more[0], 8), 48)
    problem.accumulator = (needed, problem.accumulator[1])
    if problem.partial_sum and account.partial_sum:
        needed = min(max(account.partial_sum.needed_bits + more[1], 8), 48)
        problem.partial_sum = (needed, problem.partial_sum[1])


# ---------------------------------------------------------------- requantizer


def _requantizer(rng: np.random.Generator, problem: Problem, quant: Quant) -> tuple[dict[str, str], Quant, Activation]:
    """A requantizer, and scales that bring about the sums to about the outputs."""
    kind = _pick(rng, *RequantizerKind)
    requantizer = {"kind": str(kind)}
    if kind in (RequantizerKind.POWER_OF_TWO, RequantizerKind.FIXED_POINT_SINGLE) and rng.random() < 0.7:
        requantizer["rounding"] = str(_pick(rng, *RoundingMode))
    step = float(np.abs(problem.x).mean() * np.abs(problem.weights).mean())
    size = min(rails(problem.accumulator)[1], 4 * step * math.sqrt(problem.k) + int(np.abs(problem.bias).max()) + 1)
    octaves = quant.y_format.bits - 1 - math.log2(size) + rng.uniform(-1, 2)
    exact = kind is RequantizerKind.POWER_OF_TWO
    octaves = min(max(octaves, -40.0), 9.0)
    ratio = 2.0 ** (round(octaves) if exact else octaves)
    factors = [1.0]
    if rng.random() < 0.4 or isinstance(quant.w_zero, tuple):
        exponents = rng.integers(-2, 2, problem.filters) if exact else rng.uniform(-2, 2, problem.filters)
        factors = (2.0**exponents).tolist()
    scales = tuple(0.25 * factor for factor in factors)
    changed = {"w_scale": scales if len(scales) > 1 else scales[0], "y_scale": 0.5 * 0.25 / ratio}
    activation = _pick(rng, *[Activation.NONE] * 5, *Activation)
    return requantizer, Quant(**{**vars(quant), **changed}), activation


# ---------------------------------------------------------------- a case


def _bias(problem: Problem) -> np.ndarray | None:
    """The bias tensor: absent, int32, or int64 where it has to be (or may be)."""
    rng = problem.rng
    if not problem.bias.any() and rng.random() < 0.5:
        return None
    fits = problem.bias.max() <= INT32_MAX and problem.bias.min() >= -INT32_MAX - 1
    return problem.bias.astype(np.int32 if fits and rng.random() < 0.8 else np.int64)


def draw(seed: int, most_macs: int = MOST_MACS) -> Case:
    """Draw the case of a seed; the same case for the same seed, anywhere."""
    rng = np.random.default_rng(seed)
    family, (x_shape, w_shape, shape) = _geometry(rng, most_macs)
    quant = _formats(rng, w_shape[0])
    zeros = np.broadcast_to(quant.w_zero, w_shape[0])
    of_pixels = (x_shape[0],) if family == "fully_connected" and rng.random() < 0.3 else ()
    problem = Problem(
        rng=rng,
        shape=shape,
        x=np.zeros(x_shape, np.int64),
        weights=np.zeros(w_shape, np.int64),
        bias=np.zeros((*of_pixels, w_shape[0]), np.int64),
        x_ends=centred_ends(quant.x_format, quant.x_zero),
        w_ends=np.array([centred_ends(quant.w_format, int(zero)) for zero in zeros]),
    )
    data = _bend(problem)
    requantizer, quant, activation = _requantizer(rng, problem, quant)
    x = (problem.x + quant.x_zero).astype(quant.x_format.dtype)
    weights = (problem.weights + zeros.reshape(-1, 1, 1, 1)).astype(quant.w_format.dtype)
    op: Op = operator(shape, activation)
    if family == "fully_connected":
        op = FullyConnected(activation, single_rounding=bool(rng.random() < 0.3))
        x, weights = x[:, 0, 0], weights[:, 0, 0]
    return Case(
        name=str(seed) if most_macs == MOST_MACS else f"{seed}/{most_macs}",
        about=f"{family}{_words(shape)}",
        data=data,
        op=op,
        shape=shape,
        x=np.ascontiguousarray(x),
        weights=np.ascontiguousarray(weights),
        bias=_bias(problem),
        quant=quant,
        rows=max(problem.rows, 1),
        partial_sum=problem.partial_sum,
        accumulator=problem.accumulator,
        requantizer=requantizer,
        key=(int(rng.integers(1 << 62)), int(rng.integers(1 << 32))),
    )


def case_of(name: str) -> Case:
    """Draw a case again by its name: SEED, or SEED/MACS where layers were kept smaller than usual."""
    seed, _, most_macs = name.partition("/")
    return draw(int(seed), int(most_macs or MOST_MACS))


def _words(shape: Shape) -> str:
    """What is out of the ordinary in a geometry."""
    plain = Shape()
    changed = {name: value for name, value in vars(shape).items() if value != getattr(plain, name)}
    return "".join(f" {name}={value}" for name, value in changed.items()).replace(", ", ",")


def _bend(problem: Problem) -> tuple[str, ...]:
    """Fill in data and registers; how, in words."""
    rng = problem.rng
    base, start = _pick(rng, *BASES, "uniform", "uniform"), _pick(rng, *STARTS)
    extra = _pick(rng, *["none"] * 3, *EXTRAS)
    roomy = rng.random() < 0.35
    if roomy:
        start, extra = _pick(rng, "no_bias", "no_bias", "any_bias", "touching"), _pick(rng, "none", extra)
    if problem.x_ends[1] - problem.x_ends[0] > 1 << 12 and rng.random() < 0.5:
        base = _pick(rng, "few", "last_k", "extremes", "periodic")
        extra = _pick(rng, extra, "at_the_lanes_edge")
    if extra.startswith("steer") and rng.random() < 0.7:
        base = "steerable"
    BASES[base](problem)
    _registers(problem, roomy)
    STARTS[start](problem)
    if roomy and start == "any_bias":
        problem.bias >>= 2
    if not roomy and start in ("no_bias", "any_bias") and rng.random() < 0.6:
        _fit(problem)
    change = EXTRAS[extra]
    if change is not None:
        change(problem)
    problem.clip()
    return base, start, extra
