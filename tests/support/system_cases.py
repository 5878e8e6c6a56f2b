"""Products on array, DMA and memory that hold the system in SystemVerilog, its model and the tile machine together."""

from __future__ import annotations

from dataclasses import replace

from simulator.numerics.modes import Dataflow
from simulator.timing.clocked_array import Gemm
from simulator.timing.clocked_dma import ClockedDma
from simulator.timing.clocked_program import MOST_OPS, ClockedSystem, Tiling
from support.gemm_cases import ARRAYS, Stream, draw_gemm

SYSTEMS = {
    "system_2x3_single": ClockedSystem(ARRAYS["ws_2x3_single"], ClockedDma(bus_bytes=4)),
    "system_6x4": ClockedSystem(ARRAYS["ws_6x4"], ClockedDma(bus_bytes=8)),
    "system_8x8": ClockedSystem(ARRAYS["ws_8x8"], ClockedDma(bus_bytes=8)),
    "system_os_5x3": ClockedSystem(ARRAYS["os_5x3"], ClockedDma(bus_bytes=4)),
    "system_os_8x4": ClockedSystem(ARRAYS["os_8x4"], ClockedDma(bus_bytes=8)),
}
"""What is built as RTL: words of a beat and of several, of 8 and of 16 bits, with and without a second weight, and
output stationary."""


def draw_product(stream: Stream, system: ClockedSystem) -> tuple[ClockedSystem, Gemm, Tiling]:
    """Draw a memory, a product and how it is cut."""
    gemm = replace(draw_gemm(stream, system.array), k_cuts=())
    dma = ClockedDma(
        burst_bytes=system.dma.bus_bytes << stream.integer(0, 4),
        max_outstanding=stream.integer(1, 20),
        setup_cycles=stream.integer(0, 25) * stream.integer(0, 1),
        latency_cycles=stream.integer(1, stream.integer(1, 120)),
        bus_bytes=system.dma.bus_bytes,
        interval_cycles=stream.integer(1, 4),
    )
    (m, k), n, half = gemm.a.shape, gemm.w.shape[1], 1 << (system.address_bits - 1)
    k_folds, n_folds = -(-k // system.array.fold_length), -(-n // system.array.cols)
    block = system.array.rows if system.array.dataflow is Dataflow.OUTPUT_STATIONARY else 1
    while True:
        tiling = Tiling(
            pixels=stream.integer(1, -(-m // block)) * block,
            n_folds=stream.integer(1, n_folds),
            k_folds=k_folds if stream.integer(0, 1) else stream.integer(1, k_folds),
            inputs_stay=stream.integer(0, 1) == 1,
        )
        ops = -(-m // tiling.pixels) * -(-n_folds // tiling.n_folds) * -(-k_folds // tiling.k_folds)
        words = (
            tiling.k_folds * (tiling.pixels // block),
            tiling.n_folds * tiling.k_folds * system.array.fold_length,
        )
        if ops <= MOST_OPS and max(*words, tiling.n_folds * tiling.pixels) <= half:
            return ClockedSystem(system.array, dma, system.address_bits), gemm, tiling
