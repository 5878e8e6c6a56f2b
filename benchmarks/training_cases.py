"""What the training study trains: each case one change against the case that it is compared with."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

FLOAT = "float32"
"""In place of a preset: the float twin, `benchmarks.float_training`."""


@dataclass(frozen=True)
class Case:
    """One way to train, to be repeated with several seeds."""

    name: str
    network: str
    """Key of `NETWORKS`."""
    preset: str
    """Of `bittrue train`, or `FLOAT`."""
    epochs: int
    against: str = ""
    """Name of the case whose mean is subtracted; "" = none."""
    changes: tuple[str, ...] = ()
    """--set of `bittrue train`."""
    learning_rate: float = 0.5
    split: str = "test"
    """Scored once, at the end."""
    device: Mapping[str, object] = field(default_factory=dict)
    """Changes of `paper_device`."""
    emulated: tuple[str, ...] = ()
    """Layers, by prefix, that the float twin imitates in integers."""
    says: str = ""
    """What is changed, for the table."""


@dataclass(frozen=True)
class Protocol:
    """How a network of the study is trained."""

    network: str
    size: str
    pretrained: str
    """File in the folder of assets."""
    options: tuple[str, ...]


NETWORKS = {
    "deeplab": Protocol("deeplabv3_resnet50", "180x240", "resnet50_1by2_backbone_fp16.npz", ("--width", "0.5")),
    "fcn": Protocol(
        "fcn_vgg16",
        "128x160",
        "vgg16_hed_fp16.npz",
        ("--net", "variant=8s", "--shift-weights", "--set", "frozen=[conv1,conv2,conv3,conv4]"),
    ),
}

_SHORT = 3
_LONG = 8
_FCN_LONG = 6


def _learning_rates(network: str, rates: tuple[float, ...]) -> tuple[Case, ...]:
    return tuple(
        Case(f"{network} lr {rate:g}", network, FLOAT, _SHORT, learning_rate=rate, split="val", says=f"lr {rate:g}")
        for rate in rates
    )


def _ablation(name: str, *changes: str, says: str, **device: object) -> Case:
    return Case(f"short {name}", "deeplab", "paper", _SHORT, "short E2=16", changes, device=device, says=says)


def _fcn(name: str, rate: float) -> tuple[Case, ...]:
    reference = f"{name} float32"
    return (
        Case(reference, "fcn", FLOAT, _FCN_LONG, learning_rate=rate, says="float32, the same graph"),
        Case(f"{name} E2=16", "fcn", "paper", _FCN_LONG, reference, learning_rate=rate, says="integers, E2 = 16"),
        Case(f"{name} E2=8", "fcn", "e2_8", _FCN_LONG, reference, learning_rate=rate, says="integers, E2 = 8"),
    )


_DECODER = ("fc", "score", "up")


def _part(name: str, emulated: tuple[str, ...]) -> Case:
    says = f"{name} in integers (imitated in float32)"
    return Case(f"parts {name}", "fcn", FLOAT, _SHORT, "parts float32", emulated=emulated, says=says)


def _registers(bits: int, overflow: str) -> dict[str, object]:
    return {
        f"arithmetic.{register}": {"bits": bits, "overflow": overflow} for register in ("partial_sum", "accumulator")
    }


STUDIES: dict[str, tuple[Case, ...]] = {
    "deeplab": (
        Case("deeplab float32", "deeplab", FLOAT, _LONG, says="float32, the same graph"),
        Case("deeplab E2=16", "deeplab", "paper", _LONG, "deeplab float32", says="integers, E2 = 16"),
        Case("deeplab E2=8", "deeplab", "e2_8", _LONG, "deeplab float32", says="integers, E2 = 8"),
    ),
    "fcn": _fcn("fcn", 0.5),
    "fcn at 2^0": _fcn("fcn 2^0", 1.0),
    "rates": (*_learning_rates("deeplab", (0.25, 0.5, 1.0)), *_learning_rates("fcn", (0.25, 0.5, 1.0))),
    "parts": (
        Case("parts float32", "fcn", FLOAT, _SHORT, says="float32"),
        _part("encoder", ("conv",)),
        _part("decoder", _DECODER),
        _part("both", ("conv", *_DECODER)),
    ),
    "ablations": (
        Case("short float32", "deeplab", FLOAT, _SHORT, "short E2=16", says="float32, the same graph"),
        Case("short E2=16", "deeplab", "paper", _SHORT, says="integers, E2 = 16: the reference"),
        _ablation("E2=8", "output_error_bits=8", says="E2 of 8 bits"),
        _ablation("U=16", "update_bits=16", says="updates of 16 bits"),
        _ablation("U=12", "update_bits=12", says="updates of 12 bits"),
        _ablation("U=8", "update_bits=8", says="updates of 8 bits"),
        _ablation("nearest", "stochastic=false", says="gradients rounded to nearest"),
        _ablation("U=12 nearest", "update_bits=12", "stochastic=false", says="updates of 12 bits, to nearest"),
        _ablation("dropped", "gradient_rule=dropped", "dropped_exponent=-7", says="magnitude of gradients dropped"),
        _ablation("round", "scale=round", says="scale 2^round"),
        _ablation("ceil", "scale=ceil", says="scale 2^ceil"),
        _ablation("L2", "norm=l2", says="standard deviation (L2)"),
        _ablation("32 saturate", says="registers of 32 bits, saturating", **_registers(32, "saturate")),
        _ablation("32 wrap", says="registers of 32 bits, wrapping", **_registers(32, "wrap")),
        _ablation("28 saturate", says="registers of 28 bits, saturating", **_registers(28, "saturate")),
        _ablation("24 saturate", says="registers of 24 bits, saturating", **_registers(24, "saturate")),
    ),
}


def find_cases(names: tuple[str, ...]) -> tuple[Case, ...]:
    """Return the cases of studies, or single cases, by name; SystemExit lists those there are."""
    every = {case.name: case for cases in STUDIES.values() for case in cases}
    found: list[Case] = []
    for name in names or tuple(STUDIES):
        if name not in STUDIES and name not in every:
            raise SystemExit(f"no study or case {name!r}; studies: {', '.join(STUDIES)}; cases: {', '.join(every)}")
        found += STUDIES.get(name) or (every[name],)
    return tuple({case.name: case for case in found}.values())
