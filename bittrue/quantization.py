"""Which quantization `bittrue run` gives a float network: the one asked for, or the one that the device needs."""

from __future__ import annotations

from dataclasses import dataclass

from simulator.accelerator.spec import Accelerator
from simulator.errors import InputError
from simulator.numerics.modes import RequantizerKind, RoundingMode
from workloads.quantization.options import SHIFT_SCHEMES, QuantizeOptions


@dataclass(frozen=True)
class Quantization:
    """Scheme and calibration, and why that scheme where nobody asked for one."""

    scheme: str = "affine"
    calibration: str = "minmax"
    reason: str = ""
    activation_scales: str = "frozen"


def choose_quantization(
    accelerator: Accelerator, scheme: str | None, calibration: str, activation_scales: str = "frozen"
) -> Quantization:
    """Return the quantization of a float network for a device; `scheme` None = the one that its requantizer needs.

    Dynamic scales are the vector unit's work and leave the requantizer out: they suit any device, `scheme` None is
    then 'paper'.

    Raises
    ------
    InputError
        A scheme or calibration that does not exist, or a scheme that the device's requantizer does not take.

    """
    shifts = accelerator.arithmetic.requantizer.requantizer.kind is RequantizerKind.POWER_OF_TWO
    suitable = " or ".join(SHIFT_SCHEMES)
    if activation_scales != "frozen":
        options = QuantizeOptions(scheme or "paper", calibration, activation_scales=activation_scales)
        return Quantization(options.scheme, options.calibration, activation_scales=options.activation_scales)
    if scheme is None:
        if not shifts:
            return Quantization(calibration=QuantizeOptions(calibration=calibration).calibration)
        options = QuantizeOptions(SHIFT_SCHEMES[0], calibration)
        needs = f"{accelerator.name} requantizes by shifts: scheme {options.scheme} (--scheme {suitable})"
        if accelerator.arithmetic.requantizer.rounding is RoundingMode.STOCHASTIC:
            needs += "; it rounds stochastically, as in training: --set arithmetic.requantizer.rounding=ties_pos rounds"
            needs += " to nearest"
        return Quantization(options.scheme, options.calibration, needs)
    options = QuantizeOptions(scheme, calibration)
    if shifts and not options.is_power_of_two:
        raise InputError(
            f"{accelerator.name} requantizes by shifts, which scheme {scheme!r} does not suit; give --scheme {suitable}"
        )
    if scheme == "paper" and not shifts:
        kind = accelerator.arithmetic.requantizer.requantizer.kind
        raise InputError(
            f"scheme 'paper' is for devices that requantize by shifts; {accelerator.name} has {kind}: give "
            "--set arithmetic.requantizer=power_of_two, or another scheme"
        )
    return Quantization(options.scheme, options.calibration)
