"""Transfers that hold the DMA in SystemVerilog, its model and the closed form against one another."""

from __future__ import annotations

import numpy as np

from simulator.timing.clocked_dma import ClockedDma, Descriptor, DmaRun
from support.dma_twin import request_by_request
from support.gemm_cases import Stream

MEMORY_BYTES = 10_000
SCRATCHPAD_WORDS = 700
BUS_BYTES = 8


def draw_dma(stream: Stream) -> ClockedDma:
    return ClockedDma(
        burst_bytes=BUS_BYTES << stream.integer(0, 4) if stream.integer(0, 3) else stream.integer(1, 100),
        max_outstanding=stream.integer(1, 20),
        setup_cycles=stream.integer(0, 25) * stream.integer(0, 1),
        latency_cycles=stream.integer(1, 120),
        bus_bytes=BUS_BYTES,
        interval_cycles=stream.integer(1, 4),
    )


def draw_descriptor(stream: Stream, burst_bytes: int) -> Descriptor:
    """Draw stretches of 1 to 300 bytes; half of them are multiples of the burst."""
    segment_bytes = stream.integer(1, 300)
    if stream.integer(0, 1):
        segment_bytes = burst_bytes * stream.integer(1, max(1, 300 // burst_bytes))
    # A burst of few bytes makes a scratchpad word of each.
    words = -(-segment_bytes // burst_bytes) * -(-burst_bytes // BUS_BYTES)
    segments = stream.integer(1, min(12, SCRATCHPAD_WORDS // words))
    return Descriptor(stream.integer(0, 500), segments, segment_bytes, segment_bytes + stream.integer(0, 40))


def draw_transfers(seed: int) -> tuple[ClockedDma, np.ndarray, np.ndarray, Descriptor | None, Descriptor | None]:
    """Draw a DMA, its memory and scratchpad, and a load, a store, or both."""
    stream = Stream(9, seed)
    dma = draw_dma(stream)
    load, store = (draw_descriptor(stream, dma.burst_bytes) for _ in range(2))
    which = stream.integer(0, 2)
    memory = stream.integers(0, 255, (MEMORY_BYTES,)).astype(np.uint8)
    scratchpad = stream.integers(0, 255, (SCRATCHPAD_WORDS, BUS_BYTES)).astype(np.uint8)
    return dma, memory, scratchpad, load if which != 1 else None, store if which != 0 else None


def bus_sizes(dma: ClockedDma, moved: Descriptor) -> list[int]:
    """Bytes of each request as the bus moves them, in whole words."""
    return [-(-size // dma.bus_bytes) * dma.bus_bytes for _, size in moved.requests(dma.burst_bytes)]


def twin_cycles(dma: ClockedDma, moved: Descriptor | None) -> int:
    """Cycles of a transfer that is alone, request by request on fractions of cycles."""
    return dma.setup_cycles + request_by_request(bus_sizes(dma, moved), dma.path) if moved else 0


def twin_bytes(
    dma: ClockedDma, memory: np.ndarray, words: np.ndarray, load: Descriptor | None, store: Descriptor | None
) -> tuple[np.ndarray, np.ndarray]:
    """Memory and scratchpad after a load alone or a store alone."""
    memory, words = np.concatenate([memory, np.zeros(dma.bus_bytes, np.uint8)]), words.copy()
    for moved in filter(None, (load, store)):
        word = 0
        for address, size in moved.requests(dma.burst_bytes):
            for at in range(0, size, dma.bus_bytes):
                if moved is load:
                    words[word] = memory[address + at : address + at + dma.bus_bytes]
                else:
                    part = min(dma.bus_bytes, size - at)
                    memory[address + at : address + at + part] = words[word, :part]
                word += 1
    return memory[: -dma.bus_bytes], words


def dma_differences(one: DmaRun, other: DmaRun) -> list[str]:
    """Names of what two runs do not agree in."""
    return [name for name, value in vars(one).items() if not np.array_equal(value, getattr(other, name))]
