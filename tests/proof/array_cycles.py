"""Hold the closed forms of the array's cycles to the register-accurate model, on drawn arrays and products.

    PYTHONPATH=.:tests python -m proof.array_cycles [--cases 20000] [--seed 0] [--log FILE]

Values are compared too: a schedule that is too tight would give wrong ones. Exit status 1 where anything differs.
"""

from __future__ import annotations

import sys
from collections import Counter

import numpy as np

from proof.drawn import prove
from simulator.mapping.array_cycles import output_stationary, weight_stationary
from simulator.mapping.work import Device
from simulator.numerics.modes import Dataflow
from simulator.timing.clocked_array import ClockedArray, Gemm, run_gemm
from support.devices import machine
from support.gemm_cases import Stream

SMALL, LARGE = (8, 64), (40, 150)
"""Most rows and columns, most pixels, products and channels. Every fortieth array may be large."""


def draw(seed: int) -> tuple[ClockedArray, Gemm]:
    stream = Stream(4, seed)
    most_side, most_size = LARGE if seed % 40 == 0 else SMALL
    rows, cols = (stream.integer(1, most_side) for _ in range(2))
    m, k, n = (stream.integer(1, stream.integer(1, most_size)) for _ in range(3))
    dataflow = list(Dataflow)[stream.integer(0, 1)]
    array = ClockedArray(dataflow, rows, cols, weight_double_buffer=stream.integer(0, 1) == 1)
    gemm = Gemm(
        a=stream.integers(-128, 127, (m, k)),
        w=stream.integers(-128, 127, (k, n)),
        bias=stream.integers(-1000, 1000, (n,)),
        multiplier=np.full(n, 1),
        shift=np.full(n, 0),
        k_cuts=tuple(cut for cut in range(rows, k, rows) if stream.integer(0, 5) == 0),
    )
    return array, gemm


def closed_forms(array: ClockedArray, gemm: Gemm) -> list[int]:
    """Cycles of each job."""
    m, n = gemm.a.shape[0], gemm.w.shape[1]
    kind = {"dataflow": array.dataflow.value, "weight_double_buffer": array.weight_double_buffer}
    device = Device.of(machine(array.rows, array.cols, **kind))
    n_folds = -(-n // array.cols)
    if array.dataflow is Dataflow.WEIGHT_STATIONARY:
        folds = [-(-(end - begin) // array.rows) * n_folds for begin, end in gemm.k_chunks]
        return [int(weight_stationary(count, m, device)) for count in folds]
    blocks = -(-m // array.rows) * n_folds
    return [int(output_stationary(blocks, end - begin, int(begin > 0), device)) for begin, end in gemm.k_chunks]


def judge(seed: int, tally: Counter[str]) -> str | None:
    """Run one case; say what differs, if anything does."""
    array, gemm = draw(seed)
    run, cycles = run_gemm(array, gemm), closed_forms(array, gemm)
    kind = array.dataflow.value
    if array.dataflow is Dataflow.WEIGHT_STATIONARY and not array.weight_double_buffer:
        kind += ", no double buffer"
    tally.update({f"{kind}: products": 1, f"{kind}: jobs": len(cycles), f"{kind}: cycles": sum(run.cycles)})
    same_values = np.array_equal(run.accumulators, gemm.a @ gemm.w + gemm.bias)
    if same_values and run.cycles == cycles:
        return None
    sizes = (array.rows, array.cols, *gemm.a.shape, gemm.w.shape[1])
    return f"seed {seed}, {kind}, R, C, M, K, N = {sizes}: model {run.cycles}, closed form {cycles}, {same_values=}"


def summary(wrong: int, first: int, tally: Counter[str]) -> list[str]:
    cases = sum(count for name, count in tally.items() if name.endswith(": products"))
    return [f"{wrong} of {cases} products differ in cycles or values, seeds from {first}"]


if __name__ == "__main__":
    sys.exit(prove(__doc__, 20_000, judge, summary))
