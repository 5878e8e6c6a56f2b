"""What the SystemVerilog did on a few products, for machines without Verilator.

PYTHONPATH=.:tests python -m rtl.golden        writes tests/rtl/golden.csv anew (needs Verilator)
"""

from __future__ import annotations

import csv
import hashlib
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from simulator.timing.clocked_array import ClockedRun, Execute, run_gemm
from simulator.timing.clocked_convolution import run_convolution
from simulator.timing.clocked_dma import ExecuteDma, run_dma
from simulator.timing.clocked_system import ExecuteSystem, run_system, run_system_convolution
from support.convolution_cases import ENGINES, draw_convolution
from support.dma_cases import draw_transfers
from support.gemm_cases import ARRAYS, Stream, draw_gemm
from support.system_cases import CONVOLUTION_SYSTEMS, SYSTEMS, draw_product, draw_system_convolution
from support.verilated import PRODUCTS, VerilatedEngine, build_dma, build_engine, build_system
from support.verilator import RTL

GOLDEN = Path(__file__).with_name("golden.csv")
SEEDS = tuple(range(1000, 1006))
PADDED_POOL = 1050
"""Seed of a convolution whose last windows lie partly below and to the right of the map."""


WAITING = (1011, 1029)
"""Seeds of products for which weights wait for a free half, and stay while activations go on."""
K_CUT, POOLED = tuple(range(2000, 2003)), tuple(range(3000, 3004))
"""Seeds of convolutions on the system of which half are cut in K; of which half have a pool, too."""

NAMES = (*ARRAYS, *ENGINES, "dma", *SYSTEMS, *CONVOLUTION_SYSTEMS)
Engine = VerilatedEngine | ExecuteDma | ExecuteSystem


def engine(name: str, sources: Path = RTL) -> Engine:
    """Build the SystemVerilog of an array, of an engine for convolutions, of the DMA, or of all together."""
    if name == "dma":
        return build_dma(sources)
    systems = SYSTEMS | CONVOLUTION_SYSTEMS
    if name in systems:
        return build_system(systems[name], sources)
    array, banks = ENGINES.get(name, (name, PRODUCTS))
    return build_engine(ARRAYS[array], banks, sources)


def seeds_of(name: str) -> tuple[int, ...]:
    more = {
        "system_2x3_single": WAITING,
        **dict.fromkeys(ENGINES, (PADDED_POOL,)),
        **dict.fromkeys(CONVOLUTION_SYSTEMS, (*K_CUT, *POOLED)),
    }
    return (*SEEDS, *more.get(name, ()))


def rows(name: str, rtl: Engine | Execute | None = None, seeds: Iterable[int] = ()) -> list[dict[str, str]]:
    """One row for each product, convolution or pair of transfers; run on the model where `rtl` is None."""
    kinds = (
        {"dma": _transfers}
        | dict.fromkeys(ENGINES, _convolution)
        | dict.fromkeys((*SYSTEMS, *CONVOLUTION_SYSTEMS), _system)
    )
    run = kinds.get(name, _product)
    return [{"array": name, "seed": str(seed)} | run(name, seed, rtl) for seed in seeds or seeds_of(name)]


def _product(name: str, seed: int, execute: Execute | None) -> dict[str, str]:
    return _row(run_gemm(ARRAYS[name], draw_gemm(Stream(seed), ARRAYS[name], matrix=seed % 3 == 2), execute))


def _convolution(name: str, seed: int, rtl: VerilatedEngine | None) -> dict[str, str]:
    array, banks = ARRAYS[ENGINES[name][0]], ENGINES[name][1]
    convolution, feature_map, product = draw_convolution(Stream(seed), array)
    execute = rtl and rtl.convolve(feature_map, convolution.geometry)
    return _row(run_convolution(array, convolution, banks, feature_map, product, execute))


def _transfers(name: str, seed: int, execute: ExecuteDma | None) -> dict[str, str]:
    run = run_dma(*draw_transfers(seed), execute)
    return {
        "cycles": f"{run.load_cycles} {run.store_cycles}",
        "edge_digest": f"{run.digest:016x}",
        "values_sha256": _hash([run.memory, run.scratchpad]),
    }


def _system(name: str, seed: int, execute: ExecuteSystem | None) -> dict[str, str]:
    if name in SYSTEMS:
        run = run_system(*draw_product(Stream(seed), SYSTEMS[name]), execute)
    else:
        case = draw_system_convolution(
            Stream(seed), CONVOLUTION_SYSTEMS[name], cuts_k=seed not in SEEDS, pools=seed in POOLED
        )
        run = run_system_convolution(*case, execute)
    return {
        "cycles": str(run.cycles),
        "partial_sum_events": str(run.partial_sum_events),
        "accumulator_events": str(run.accumulator_events),
        "saturations": str(run.saturations),
        "edge_digest": f"{run.edge_digest:016x} {run.digest:016x}",
        "values_sha256": _hash([run.outputs]),
    }


def _row(run: ClockedRun) -> dict[str, str]:
    return {
        "cycles": " ".join(map(str, run.cycles)),
        "partial_sum_events": str(run.partial_sum_events),
        "accumulator_events": str(run.accumulator_events),
        "saturations": str(run.saturations),
        "edge_digest": f"{run.digest:016x}",
        "values_sha256": _hash([run.accumulators, run.outputs]),
    }


def _hash(values: list[np.ndarray]) -> str:
    return hashlib.sha256(np.concatenate([part.ravel() for part in values]).astype("<i8").tobytes()).hexdigest()[:16]


def read() -> list[dict[str, str]]:
    with GOLDEN.open(newline="") as file:
        return [{field: value for field, value in row.items() if value} for row in csv.DictReader(file)]


def main() -> None:
    table = [row for name in NAMES for row in rows(name, engine(name))]
    with GOLDEN.open("w", newline="") as file:
        writer = csv.DictWriter(file, table[0], lineterminator="\n")
        writer.writeheader()
        writer.writerows(table)


if __name__ == "__main__":
    main()
