"""How a network is quantized: every choice that `Network.quantize` offers, checked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches

from simulator.errors import InputError

BitMap = Mapping[str, Mapping[str, int]]
"""Pattern of layer names -> ``weight_bits`` and ``activation_bits``."""

SCHEMES: Mapping[str, str] = {
    "affine": "activations with zero point, symmetric weights",
    "symmetric": "activations and weights symmetric",
    "power_of_two": "every scale a power of two, batch norms folded into the weights",
    "paper": "weights on a fixed grid, power-of-two activations, batch norms as 16-bit affine maps",
}
"""What `scheme` may be, and what it means."""
SHIFT_SCHEMES = ("power_of_two", "paper")
"""Schemes whose scales a power_of_two requantizer takes."""
CALIBRATIONS = ("minmax", "percentile", "mse", "kl")
WEIGHT_SCALES = ("per_channel", "per_tensor")
WEIGHT_SHIFTS = ("layer", "none")
SCALE_ROUNDINGS = ("nearest", "up")
ACTIVATION_SCALES = ("frozen", "dynamic")
_BITS = range(2, 17)
_BIT_KEYS = ("weight_bits", "activation_bits")


@dataclass(frozen=True)
class QuantizeOptions:
    """Choices of a quantization; the meaning of each is told by `Network.quantize`.

    Raises
    ------
    InputError
        A choice that does not exist, or that the scheme does not have; tells what does.

    """

    scheme: str = "affine"
    calibration: str = "minmax"
    percentile: float = 99.99
    weight_scales: str = "per_channel"
    weight_shift: str = "layer"
    scale_rounding: str = "nearest"
    activation_scales: str = "frozen"
    bits: BitMap = field(default_factory=dict)
    bias_correction: bool = False
    equalize: bool = False

    def __post_init__(self) -> None:
        if self.scheme not in SCHEMES:
            raise InputError(f"no quantization scheme {self.scheme!r}; there is {', '.join(map(repr, SCHEMES))}")
        _check_choice("calibration", self.calibration, CALIBRATIONS)
        _check_choice("weight_scales", self.weight_scales, WEIGHT_SCALES)
        _check_choice("weight_shift", self.weight_shift, WEIGHT_SHIFTS)
        _check_choice("scale_rounding", self.scale_rounding, SCALE_ROUNDINGS)
        if not 50 < self.percentile <= 100:
            raise InputError(f"percentile is greater than 50 and at most 100, not {self.percentile!r}")
        _check_choice("activation_scales", self.activation_scales, ACTIVATION_SCALES)
        _check_bits(self.bits)
        self._check_scheme()

    def _check_scheme(self) -> None:
        if self.is_dynamic and (self.scheme != "paper" or self.bits or self.bias_correction):
            raise InputError(
                "activation_scales 'dynamic', where each tensor is requantized by its own maximum, goes with scheme "
                "'paper' at 8 bits: leave bits and bias_correction out, or keep the scales 'frozen'"
            )
        if self.scheme != "paper":
            if (self.weight_shift, self.scale_rounding) != ("layer", "nearest"):
                raise InputError(f"weight_shift and scale_rounding are options of scheme 'paper', not {self.scheme!r}")
        elif self.equalize or self.weight_scales == "per_tensor":
            raise InputError(
                "scheme 'paper' has one weight scale per layer and keeps batch norms apart; "
                "equalize and weight_scales are options of the other schemes"
            )

    @property
    def is_power_of_two(self) -> bool:
        """Whether every scale is a power of two."""
        return self.scheme in SHIFT_SCHEMES

    @property
    def is_dynamic(self) -> bool:
        """Whether activations take the scale of the tensor at hand."""
        return self.activation_scales == "dynamic"

    def describe(self) -> str:
        """Return what is not at its default, for a note."""
        parts = [f"scheme {self.scheme}"]
        if self.scheme == "paper":
            parts.append("one weight shift per layer" if self.weight_shift == "layer" else "no weight shift")
        else:
            parts.append("per-filter weights" if self.weight_scales == "per_channel" else "per-tensor weights")
        ranges = {"minmax": "min-max", "percentile": f"{self.percentile:g} percentile"}
        parts.append(f"{ranges.get(self.calibration, self.calibration)} ranges")
        if self.is_dynamic:
            parts.append("dynamic activation scales")
        parts += [text for text, on in (("equalized", self.equalize), ("bias-corrected", self.bias_correction)) if on]
        return f"{parts[0]}: {', '.join(parts[1:])}"


def _check_choice(option: str, value: str, choices: tuple[str, ...]) -> None:
    if value not in choices:
        raise InputError(f"{option} is {' or '.join(map(repr, choices))}, not {value!r}")


def _check_bits(bits: BitMap) -> None:
    if not isinstance(bits, Mapping):
        raise InputError(f'bits is a mapping such as {{"layer4.*": {{"weight_bits": 4}}}}, not {bits!r}')
    for pattern, widths in bits.items():
        if not isinstance(widths, Mapping) or not widths:
            raise InputError(f"bits[{pattern!r}] is a mapping of weight_bits and activation_bits, not {widths!r}")
        for key, value in widths.items():
            if key not in _BIT_KEYS:
                close = get_close_matches(str(key), _BIT_KEYS, 1, 0.4)
                hint = f"; did you mean {close[0]!r}?" if close else ""
                raise InputError(f"bits[{pattern!r}] has no {key!r}: it takes {' and '.join(_BIT_KEYS)}{hint}")
            if isinstance(value, bool) or not isinstance(value, int) or value not in _BITS:
                raise InputError(
                    f"bits[{pattern!r}][{key!r}] is a whole number from {_BITS[0]} to {_BITS[-1]}, not {value!r}"
                )
