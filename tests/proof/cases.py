"""Layers to judge the array by, each drawn from one seed: geometry, formats, registers, data, requantizer."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from proof.bends import EXTRAS
from proof.data import BASES, STARTS, exact_sums
from proof.geometry import MOST_MACS, draw_geometry, draw_wild
from proof.problem import Problem, Register, centred_ends, rails
from proof.wild import pick
from simulator.graph.ops import Activation, FullyConnected, Op
from simulator.numerics.formats import INT8, INT16, UINT8, IntFormat
from simulator.numerics.modes import RequantizerKind, RoundingMode
from support.array_layers import Quant, operator
from support.array_twin import Shape
from support.step_twin import output_size

INT4, UINT4 = IntFormat(4), IntFormat(4, signed=False)
INT32_MAX = (1 << 31) - 1
WILD_SHARE = 3
"""One seed of so many draws a geometry that no network has."""


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


# ---------------------------------------------------------------- formats and registers


def _zero_point(rng: np.random.Generator, format: IntFormat) -> int:
    middle = 0 if format.signed else 1 << (format.bits - 1)
    return int(pick(rng, 0, 0, middle, format.min, format.max, rng.integers(format.min, format.max + 1)))


def _formats(rng: np.random.Generator, filters: int) -> Quant:
    x_format = pick(rng, *[INT8] * 4, *[UINT8] * 4, INT16, INT4, UINT4)
    w_format = pick(rng, *[INT8] * 5, *[UINT8] * 3, INT16, INT4)
    if rng.random() < 0.08:
        x_format = w_format = INT16  # products of up to 33 bits, beside registers of 32
    y_format = pick(rng, INT8, UINT8, INT16, INT16)
    w_zero = pick(rng, 0, _zero_point(rng, w_format))
    if rng.random() < 0.15:
        w_zero = tuple(_zero_point(rng, w_format) for _ in range(filters))
    y_zero = int(rng.integers(y_format.min, y_format.max + 1)) if rng.random() < 0.5 else 0
    return Quant(x_format, w_format, y_format, _zero_point(rng, x_format), w_zero, y_zero)


def _width(rng: np.random.Generator, spread: float, reach: int, roomy: bool) -> int:
    """Register width: about that of the sums, or one that they reach, or any; `roomy`: beyond their reach."""
    natural = round(math.log2(spread + 1)) + 2
    choice = rng.random()
    if reach.bit_length() > 30 and choice < 0.7:
        bits = pick(rng, 29, 30, 31, 31, 31, 32, 33)
    elif roomy:
        bits = pick(rng, 32, 32, min(32, reach.bit_length() + 1 + int(rng.integers(0, 4))))
    elif choice < 0.45:
        bits = natural + int(rng.integers(-3, 3))
    elif choice < 0.7:
        bits = int(rng.integers(8, max(9, min(reach.bit_length() + 2, 33))))
    elif choice < 0.97:
        bits = int(pick(rng, 8, 15, 16, 17, 24, 30, 31, 31, 32, 32, *range(8, 33)))
    else:
        bits = int(rng.integers(33, 49))
    return min(max(bits, 8), 48)


def _registers(problem: Problem, roomy: bool) -> None:
    rng = problem.rng
    if rng.random() < 0.5:
        rows = pick(rng, int(rng.integers(1, 301)), int(rng.integers(1, 40)), 1, 3, 8, 16, 32, 64, problem.k)
        problem.rows = int(rows)
        problem.partial_sum = (0, "wrap")
    step = float(np.abs(problem.x).mean() * np.abs(problem.weights).mean())
    product = int(np.abs(problem.x).max() * np.abs(problem.weights).max())
    modes = [pick(rng, "wrap", "saturate") for _ in range(2)]
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
    kind = pick(rng, *RequantizerKind)
    requantizer = {"kind": str(kind)}
    if kind in (RequantizerKind.POWER_OF_TWO, RequantizerKind.FIXED_POINT_SINGLE) and rng.random() < 0.7:
        requantizer["rounding"] = str(pick(rng, *RoundingMode))
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
    activation = pick(rng, *[Activation.NONE] * 5, *Activation)
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
    is_wild = seed % WILD_SHARE == WILD_SHARE - 1
    family, (x_shape, w_shape, shape) = (draw_wild if is_wild else draw_geometry)(rng, most_macs)
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
    base, start = pick(rng, *BASES, "uniform", "uniform"), pick(rng, *STARTS)
    extra = pick(rng, *["none"] * 3, *EXTRAS)
    roomy = rng.random() < 0.35
    if roomy:
        start, extra = pick(rng, "no_bias", "no_bias", "any_bias", "touching"), pick(rng, "none", extra)
    if problem.x_ends[1] - problem.x_ends[0] > 1 << 12 and rng.random() < 0.5:
        base = pick(rng, "few", "last_k", "extremes", "periodic")
        extra = pick(rng, extra, "at_the_lanes_edge")
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
