"""How a network is trained in integers: widths, scales, gradient rule, loss, learning rate, and named presets."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from difflib import get_close_matches
from enum import StrEnum
from math import frexp
from typing import Any

from simulator.errors import InputError
from simulator.numerics.training_scale import RandomSource, ScaleRule


class GradientRule(StrEnum):
    """What becomes of the magnitude of a weight gradient (arXiv 2011.14504, eq. 17 and 18)."""

    KEPT = "kept"
    """dW = lr * Scale(G) * RQ(G / Scale(G)): networks with batch norm."""
    DROPPED = "dropped"
    """dW = lr * n * 2^dropped_exponent, n the integers of RQ: networks without."""


class Norm(StrEnum):
    """Batch norm's measure of spread."""

    L1 = "l1"
    """Mean absolute deviation: no square, no root."""
    L2 = "l2"
    """Standard deviation."""


class Loss(StrEnum):
    """What is minimised over the pixels that are not ignored."""

    CROSS_ENTROPY = "cross_entropy"
    SQUARED_ERROR = "squared_error"


class ErrorQuantizer(StrEnum):
    """How the error at a convolution's output, E2, is quantized."""

    SCALE = "scale"
    """One grid by the greatest magnitude (SQ)."""
    FLAG = "flag"
    """Two grids of 8 bits and a flag (Flag-QE2, arXiv 1909.02384)."""


@dataclass(frozen=True)
class TrainingConfig:
    """Every number of the scheme; the defaults are the paper's table (arXiv 2011.14504, Table I, E2 = 16).

    Raises
    ------
    InputError
        A value out of its range; the message names the field and what would work.

    """

    weight_bits: int = 8
    """W: weights in products, grid 2^-(bits - 1)."""
    activation_bits: int = 8
    """A: activations after ReLU and other operands of the array."""
    activation_error_bits: int = 8
    """E1: error at an activation."""
    output_error_bits: int = 16
    """E2: error at the output of a convolution that a batch norm follows, and at the scores."""
    error_quantizer: ErrorQuantizer = ErrorQuantizer.SCALE
    """Of E2."""
    gradient_bits: int = 8
    """G: gradients of all parameters."""
    gradient_rule: GradientRule = GradientRule.KEPT
    """Keep or drop the magnitude of G."""
    dropped_exponent: int = -14
    """Step of G where its magnitude is dropped: -14 as the paper's code, -(gradient_bits - 1) as its eq. 18."""
    stochastic: bool = True
    """Round gradients stochastically (RQ), else to nearest."""
    random: RandomSource = RandomSource.GENERATOR
    """Source of the random bits: Philox, or the dropped bits themselves (arXiv 2009.13108)."""
    update_bits: int = 24
    """U: master copies of all parameters."""
    statistics_bits: int = 16
    """mu and sigma of batch norm."""
    statistics_exponent: int = -12
    """Step of mu and sigma: -12 reaches +-8 in 16 bits; the paper's -14 reaches +-2, which CamVid runs leave."""
    normalized_bits: int = 16
    """x_hat."""
    affine_bits: int = 8
    """gamma and beta, grid 2^-(bits - 2): +-2."""
    logit_bits: int = 16
    """Scores that the loss reads, and its error."""
    scale: ScaleRule = ScaleRule.MAX
    """Scale of a tensor from its greatest magnitude: exact, 2^round(log2) or 2^ceil(log2)."""
    norm: Norm = Norm.L1
    """Kind of batch norm."""
    average_shift: int = 4
    """Running statistics move by 2^-shift of the difference each step: 4 is a decay of 0.9375."""
    loss: Loss = Loss.CROSS_ENTROPY
    """What is minimised."""
    class_weighting: str = "sqrt"
    """Weights of classes by frequency f: none, sqrt = sqrt(median f / f), median = median f / f."""
    learning_rate_exponent: int = -1
    """The first learning rate is 2^this."""
    learning_rate_drops: tuple[tuple[int, int], ...] = ((50, 1), (70, 2), (85, 3), (95, 4))
    """(percent of all steps, halvings from there on), in rising order."""
    momentum: tuple[int, int] | None = None
    """(numerator, shift): velocity * numerator / 2^shift each step; None = plain SGD as the paper's. (1, 2) is 1/4."""
    decay_shift: int | None = None
    """Weight decay of 2^-shift; None = none."""
    dropout: tuple[str, ...] = ()
    """Tensors of the forward graph after which half of the values are dropped in training."""
    frozen: tuple[str, ...] = ()
    """Prefixes of names of parameters that are not trained."""

    def __post_init__(self) -> None:
        for name, (least, greatest) in _RANGES.items():
            _check_range(name, getattr(self, name), least, greatest)
        for name, kind in _ENUMS.items():
            object.__setattr__(self, name, _member(name, kind, getattr(self, name)))
        if self.class_weighting not in ("none", "sqrt", "median"):
            raise InputError(f"class_weighting is none, sqrt or median, not {self.class_weighting!r}")
        if self.decay_shift is not None:
            _check_range("decay_shift", self.decay_shift, 1, 40)
        if self.random is RandomSource.FRACTION and self.scale is ScaleRule.MAX:
            raise InputError("random=fraction takes its bits from a shift: set scale=round or scale=ceil")
        if self.error_quantizer is ErrorQuantizer.FLAG and (self.output_error_bits > 8 or self.scale is ScaleRule.MAX):
            raise InputError("error_quantizer=flag takes output_error_bits of 2 to 8, and scale=round or scale=ceil")
        if self.momentum is not None:
            object.__setattr__(self, "momentum", _momentum(self.momentum))
        object.__setattr__(self, "learning_rate_drops", _drops(self.learning_rate_drops))
        object.__setattr__(self, "dropout", tuple(self.dropout))
        object.__setattr__(self, "frozen", tuple(self.frozen))

    def learning_rate_at(self, step: int, steps: int) -> int:
        """Return the exponent of the learning rate of step 0 .. steps - 1."""
        passed = [halvings for percent, halvings in self.learning_rate_drops if 100 * step >= percent * steps]
        return self.learning_rate_exponent - (passed[-1] if passed else 0)

    def to_dict(self) -> dict[str, Any]:
        """Return plain values, as JSON and YAML hold them; `from_dict` takes them back."""
        plain = asdict(self)
        return {name: _plain(value) for name, value in plain.items()}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> TrainingConfig:
        """Read `to_dict`'s values; InputError on an unknown name or a value out of range."""
        return preset("paper").evolve(values)

    def evolve(self, changes: Mapping[str, Any]) -> TrainingConfig:
        """Return a configuration with some fields changed; InputError as above."""
        known = [field.name for field in fields(self)]
        for name in changes:
            if name not in known:
                near = get_close_matches(name, known, 1)
                hint = f"; did you mean {near[0]}?" if near else "."
                raise InputError(f"training has no setting {name!r}{hint} It has {', '.join(known)}")
        return replace(self, **changes)


_RANGES = {
    **{
        "weight_bits": (2, 8),
        "activation_bits": (2, 8),
        "activation_error_bits": (2, 16),
        "output_error_bits": (2, 16),
    },
    **{"gradient_bits": (2, 16), "dropped_exponent": (-40, 0), "update_bits": (4, 31), "statistics_bits": (4, 32)},
    **{"statistics_exponent": (-30, 0), "normalized_bits": (4, 16), "affine_bits": (4, 16), "logit_bits": (4, 16)},
    **{"average_shift": (0, 16), "learning_rate_exponent": (-30, 4)},
}
_ENUMS: dict[str, type[StrEnum]] = {
    **{"error_quantizer": ErrorQuantizer, "gradient_rule": GradientRule, "random": RandomSource},
    **{"scale": ScaleRule, "norm": Norm, "loss": Loss},
}


def _check_range(name: str, value: object, least: int, greatest: int) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= greatest:
        raise InputError(f"{name} is a whole number from {least} to {greatest}, not {value!r}")


def _member(name: str, kind: type[StrEnum], value: object) -> StrEnum:
    try:
        return kind(str(value))
    except ValueError:
        raise InputError(f"{name} is {', '.join(kind)}, not {value!r}") from None


def _momentum(value: Any) -> tuple[int, int]:
    numerator, shift = value
    _check_range("momentum's shift", shift, 1, 15)
    _check_range("momentum's numerator", numerator, 1, (1 << shift) - 1)
    return numerator, shift


def _drops(value: Any) -> tuple[tuple[int, int], ...]:
    drops = tuple((percent, halvings) for percent, halvings in value)
    for percent, halvings in drops:
        _check_range("learning_rate_drops' percent", percent, 0, 100)
        _check_range("learning_rate_drops' halvings", halvings, 0, 20)
    if [percent for percent, _ in drops] != sorted({percent for percent, _ in drops}):
        raise InputError(f"learning_rate_drops stand in rising order of percent, not {drops}")
    return drops


def _plain(value: Any) -> Any:
    if isinstance(value, tuple):
        return [_plain(item) for item in value]
    return str(value) if isinstance(value, StrEnum) else value


def learning_rate_exponent(rate: float) -> int:
    """Return e of a learning rate 2^e; InputError on one that is no power of two, naming the nearest two."""
    mantissa, exponent = frexp(rate) if rate > 0 and rate < float("inf") else (0.0, 0)
    if mantissa != 0.5:
        near = f"; the nearest are 2^{exponent - 1} and 2^{exponent}" if mantissa else ""
        raise InputError(f"a learning rate of {rate} is no power of two, so no shift{near}")
    return exponent - 1


_PRESETS: dict[str, dict[str, Any]] = {
    "paper": {},
    "e2_8": {"output_error_bits": 8},
    # arXiv 1909.02384: powers of two, constant grid of gradients, two-grid errors, standard deviation, momentum 1/4.
    "wageubn": {
        **{"scale": "round", "output_error_bits": 8, "error_quantizer": "flag", "norm": "l2", "normalized_bits": 8},
        **{"gradient_rule": "dropped", "momentum": (1, 2), "learning_rate_exponent": 0},
    },
    # arXiv 2009.13108: one exponent a tensor, all 8 bits, random bits from the dropped ones, 16-bit weight sums.
    "niti": {
        **{"scale": "ceil", "output_error_bits": 8, "normalized_bits": 8, "random": "fraction", "update_bits": 16},
    },
}


def presets() -> tuple[str, ...]:
    """Return the names of the presets."""
    return tuple(_PRESETS)


def preset(name: str) -> TrainingConfig:
    """Return the configuration `name`; InputError lists those there are."""
    if name not in _PRESETS:
        raise InputError(f"no training preset {name!r}; there are {', '.join(_PRESETS)}")
    return TrainingConfig(**_PRESETS[name])
