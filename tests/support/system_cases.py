"""Products on array, DMA and memory that hold the system in SystemVerilog, its model and the tile machine together."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from simulator.numerics.modes import Dataflow
from simulator.timing.clocked_array import Gemm
from simulator.timing.clocked_convolution import Convolution
from simulator.timing.clocked_dma import ClockedDma
from simulator.timing.clocked_program import MOST_OPS, ClockedSystem, Tiling
from support.convolution_cases import draw_convolution
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


CONVOLUTION_SYSTEMS = {
    "system_conv_3x5": ClockedSystem(ARRAYS["ws_3x5"], ClockedDma(bus_bytes=4), banks=2),
    "system_conv_6x4": ClockedSystem(ARRAYS["ws_6x4"], ClockedDma(bus_bytes=8), banks=4, word_elements=2),
}
"""What is built as RTL for convolutions: a word of its banks is less than a beat, and more."""


def draw_dma(stream: Stream, bus_bytes: int) -> ClockedDma:
    """Draw a memory."""
    return ClockedDma(
        burst_bytes=bus_bytes << stream.integer(0, 4),
        max_outstanding=stream.integer(1, 20),
        setup_cycles=stream.integer(0, 25) * stream.integer(0, 1),
        latency_cycles=stream.integer(1, stream.integer(1, 120)),
        bus_bytes=bus_bytes,
        interval_cycles=stream.integer(1, 4),
    )


def draw_product(stream: Stream, system: ClockedSystem) -> tuple[ClockedSystem, Gemm, Tiling]:
    """Draw a memory, a product and how it is cut."""
    gemm = replace(draw_gemm(stream, system.array), k_cuts=())
    dma = draw_dma(stream, system.dma.bus_bytes)
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


def draw_system_convolution(
    stream: Stream, system: ClockedSystem, cuts_k: bool = False, pools: bool = False
) -> tuple[ClockedSystem, Convolution, np.ndarray, Gemm, Tiling]:
    """Draw a memory, a convolution that fits into a program, and how it is cut into rows and filters.

    `cuts_k`: and half of them into parts of K; `pools`: half have a max pool, where windows end in every tile.
    """
    dma, tiling = draw_dma(stream, system.dma.bus_bytes), None
    while tiling is None:
        convolution, feature_map, product = draw_convolution(stream, system.array)
        n_folds = -(-product.w.shape[1] // system.array.cols)
        tiling = Tiling(
            pixels=stream.integer(1, convolution.out_size[0]) * convolution.out_size[1],
            n_folds=stream.integer(1, n_folds),
            k_folds=-(-convolution.k // system.array.rows),
            inputs_stay=stream.integer(0, 1) == 1,
        )
        pixels = convolution.out_size[0] * convolution.out_size[1]
        ops = -(-pixels // tiling.pixels) * -(-n_folds // tiling.n_folds)
        half = 1 << (system.address_bits - 1)
        words = (
            convolution.size[0]
            * -(-convolution.size[1] * convolution.channels // (system.banks * system.word_elements)),
            tiling.n_folds * tiling.k_folds * system.array.rows,
            tiling.n_folds * tiling.pixels,
        )
        if ops > MOST_OPS or max(words) > half:
            tiling = None
    if cuts_k and stream.integer(0, 1):
        part = stream.integer(1, tiling.k_folds)
        if ops * -(-tiling.k_folds // part) <= MOST_OPS:
            tiling = replace(tiling, k_folds=part)
    if not (pools and convolution.pool and _windows_end_in_every_tile(convolution, tiling)):
        convolution = replace(convolution, pool=None)
    return replace(system, dma=dma), convolution, feature_map, product, tiling


def _windows_end_in_every_tile(convolution: Convolution, tiling: Tiling) -> bool:
    height, width = convolution.out_size
    ends = [*range(0, height, tiling.pixels // width), height]
    return convolution.pool.out_size(convolution.out_size)[1] > 0 and all(
        np.diff([convolution.pool.windows_within(rows, height) for rows in ends])
    )
