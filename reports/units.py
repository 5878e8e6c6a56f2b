"""Numbers as people read them: three significant digits and a unit."""

from __future__ import annotations

_SCALES = (
    (1e12, "T"),
    (1e9, "G"),
    (1e6, "M"),
    (1e3, "k"),
    (1.0, ""),
    (1e-3, "m"),
    (1e-6, "u"),
    (1e-9, "n"),
    (1e-12, "p"),
)


def si(value: float, unit: str) -> str:
    """Return `value` with an SI prefix: 0.0123, "s" -> "12.3 ms"."""
    if value == 0:
        return f"0 {unit}"
    factor, prefix = next(((f, p) for f, p in _SCALES if abs(value) >= f), _SCALES[-1])
    return f"{three_digits(value / factor)} {prefix}{unit}"


def binary_bytes(size: float) -> str:
    """Return a size in B, KiB, MiB or GiB."""
    for factor, unit in ((2**30, "GiB"), (2**20, "MiB"), (2**10, "KiB")):
        if size >= factor:
            return f"{three_digits(size / factor)} {unit}"
    return f"{size:.0f} B"


def three_digits(value: float) -> str:
    """Return `value` with three significant digits and no exponent, never fewer than its whole digits."""
    if value == 0:
        return "0"
    size = abs(value)
    return f"{value:.0f}" if size >= 99.95 else f"{value:.1f}" if size >= 9.995 else f"{value:.2f}"


def percent(share: float) -> str:
    """Return a share as a percentage: 0.123 -> "12.3 %"."""
    return f"{100 * share:.1f} %"


def shape_text(shape: tuple[int, ...]) -> str:
    """Return a shape as 1x65x65x256."""
    return "x".join(map(str, shape))


def short_name(name: str) -> str:
    """Return what a sentence calls a layer: a fused TFLite layer bears all its tensors' names, the first will do."""
    return name.split(";")[0]
