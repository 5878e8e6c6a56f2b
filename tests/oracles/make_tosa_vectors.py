"""Write tests/oracles/data/tosa_rescale.csv: what TOSA's reference model makes of accumulators in RESCALE.

The model's package pins an older NumPy and installs top-level packages called `tests` and `generator`, so it has an
environment of its own, and what it computed is kept in a file:

    python3 -m venv tosa && tosa/bin/pip install tosa-tools==2026.8.0
    tosa/bin/python tests/oracles/make_tosa_vectors.py

Each multiplier and shift is run on accumulators spread over the range of an int16 output and beyond it, on the nearest
accumulators to ties, and on the ends of int32; values of 2^(shift - 1) and more are undefined in TOSA and left out.
"""

from __future__ import annotations

from importlib.metadata import version
from pathlib import Path

import numpy as np
import tosa_reference_model
import tosa_serializer as ts

FILE = Path(__file__).parent / "data" / "tosa_rescale.csv"
ZERO_POINT = -5
"""Of the int8 outputs; TOSA wants 0 of int16 ones."""
ACCUMULATORS = 32
"""Per multiplier."""


def rescale(accumulators: np.ndarray, multiplier: int, shift: int, rounding: ts.RoundingMode, bits: int) -> np.ndarray:
    """Run one RESCALE of int32 [n] in the reference model."""
    output = {8: ts.DType.INT8, 16: ts.DType.INT16}[bits]
    serializer = ts.TosaSerializer()
    x = serializer.addPlaceholder([accumulators.size], ts.DType.INT32, None)
    constants = [
        serializer.addConst([1], ts.DType.INT32, np.array([multiplier], np.int32)),
        serializer.addConst([1], ts.DType.INT8, np.array([shift], np.int8)),
        serializer.addConst([1], ts.DType.INT32, np.array([0], np.int32)),
        serializer.addConst([1], output, np.array([ZERO_POINT if bits == 8 else 0], f"int{bits}")),
    ]
    y = serializer.addOutput([accumulators.size], output)
    attribute = ts.TosaSerializerAttribute()
    scale32, per_channel, unsigned = True, False, False
    attribute.RescaleAttribute(scale32, rounding, per_channel, unsigned, unsigned)
    serializer.addOperator(ts.Op.RESCALE, [t.name for t in (x, *constants)], [y.name], attribute)
    (result,), status = tosa_reference_model.run(bytes(serializer.serialize()), [accumulators])
    if status != tosa_reference_model.GraphStatus.TOSA_VALID:
        raise RuntimeError(f"the reference model says {status}")
    return np.frombuffer(result, f"int{bits}")


def accumulators_for(multiplier: int, shift: int, rng: np.random.Generator) -> np.ndarray:
    """Accumulators that tell roundings apart, as int32."""
    unit = 2**shift / multiplier  # accumulators per output step
    outputs = rng.integers(-40000, 40000, ACCUMULATORS)
    small = rng.integers(-130, 130, ACCUMULATORS)
    at_ties = np.rint((np.concatenate([outputs[::2], small]) + 0.5) * unit)
    found = [-(2**31), -(2**31) + 1, -1, 0, 1, 2**31 - 1, *at_ties, *np.rint(outputs[1::2] * unit)]
    limit = 2 ** (min(shift, 32) - 1)
    fit = [int(a) for a in found if -limit <= a < limit]
    return np.array(sorted(set(fit)), np.int32)


def main() -> None:
    """Write the file."""
    rng = np.random.default_rng(7)
    mantissas = [2**30, 2**30 + 1, 3 << 29, 5 << 28, 2**31 - 1, *(int(m) for m in rng.integers(2**30, 2**31, 11))]
    shifts = [62, 53, 40, 39, 38, 37, 36, 35, 34, 33, 32, 31, 30, 28, 24, 45]
    single, double = ts.RoundingMode.SINGLE_ROUND, ts.RoundingMode.DOUBLE_ROUND
    lines = [
        "# RESCALE int32 -> int8 and int16 (scale32), by TOSA's reference model. Made by:",
        f"# python tests/oracles/make_tosa_vectors.py, with tosa-tools {version('tosa-tools')}, NumPy {np.__version__}",
        f"# output zero point {ZERO_POINT} (int8), 0 (int16)",
        "accumulator,multiplier,shift,single_int8,double_int8,single_int16,double_int16",
    ]
    pairs = list(zip(mantissas, shifts, strict=True)) + list(zip(mantissas, shifts[::-1], strict=True))
    for multiplier, shift in pairs:
        values = accumulators_for(multiplier, shift, rng)
        columns = [rescale(values, multiplier, shift, mode, bits) for bits in (8, 16) for mode in (single, double)]
        lines += [
            ",".join(map(str, (a, multiplier, shift, *results))) for a, *results in zip(values, *columns, strict=True)
        ]
    FILE.parent.mkdir(exist_ok=True)
    FILE.write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
