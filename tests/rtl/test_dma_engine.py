"""The DMA's load engine in SystemVerilog, against a memory of given latency and bandwidth: bytes and cycles."""

from __future__ import annotations

import ctypes
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
import pytest

from simulator.timing.dma import MemoryPath, transfer
from support.dma_twin import request_by_request
from support.gemm_cases import Stream
from support.verilator import build, lint, needs_verilator

pytestmark = needs_verilator

BUS_BYTES = 8
PARAMETERS = {"BUS_BYTES": BUS_BYTES}
CASES = 300


@dataclass(frozen=True)
class Load:
    """One descriptor, and the memory; `interval` = cycles of a bus word."""

    address: int
    segments: int
    segment_bytes: int
    stride: int
    burst_bytes: int
    max_outstanding: int
    setup_cycles: int
    latency_cycles: int
    interval: int

    @property
    def path(self) -> MemoryPath:
        rate = Fraction(BUS_BYTES, self.interval)
        return MemoryPath(self.burst_bytes, self.max_outstanding, self.setup_cycles, self.latency_cycles, rate)

    @property
    def requests(self) -> list[tuple[int, int]]:
        """Address and bytes of each."""
        return [
            (self.address + segment * self.stride + at, min(self.burst_bytes, self.segment_bytes - at))
            for segment in range(self.segments)
            for at in range(0, self.segment_bytes, self.burst_bytes)
        ]


def draw(seed: int) -> Load:
    stream = Stream(9, seed)
    burst_bytes = BUS_BYTES << stream.integer(0, 4)
    segment_bytes = stream.integer(1, 300)
    if stream.integer(0, 1):
        segment_bytes = burst_bytes * stream.integer(1, 8)
    return Load(
        address=stream.integer(0, 500),
        segments=stream.integer(1, 12),
        segment_bytes=segment_bytes,
        stride=segment_bytes + stream.integer(0, 40),
        burst_bytes=burst_bytes,
        max_outstanding=stream.integer(1, 20),
        setup_cycles=stream.integer(0, 25),
        latency_cycles=stream.integer(1, 120),
        interval=stream.integer(1, 4),
    )


@pytest.fixture(scope="module")
def library() -> ctypes.CDLL:
    loaded = ctypes.CDLL(str(build("dma_load", PARAMETERS, "dma_bench.cpp", {})))
    loaded.dma_run.restype = ctypes.c_int64
    return loaded


def run(library: ctypes.CDLL, load: Load, memory: np.ndarray, words: np.ndarray) -> int:
    fields = np.array(list(vars(load).values()), np.int64)
    pointers = (ctypes.c_void_p(array.ctypes.data) for array in (fields, memory, words))
    return library.dma_run(*pointers, ctypes.c_int64(len(words)), ctypes.c_int64(1_000_000))


def test_bytes_and_cycles(library):
    equal_requests = 0
    for seed in range(CASES):
        load = draw(seed)
        memory = Stream(10, seed).integers(0, 255, (20_000,)).astype(np.uint8)
        beats = [(at + i, size - i) for at, size in load.requests for i in range(0, size, BUS_BYTES)]
        words = np.zeros((len(beats), BUS_BYTES), np.uint8)
        cycles = run(library, load, memory, words)
        for word, (at, size) in zip(words, beats, strict=True):
            np.testing.assert_array_equal(word[:size], memory[at : at + min(size, BUS_BYTES)])
        # The bus moves whole words.
        sizes = [-(-size // BUS_BYTES) * BUS_BYTES for _, size in load.requests]
        assert cycles == load.setup_cycles + request_by_request(sizes, load.path), (seed, load)
        if len(set(sizes)) == 1:
            equal_requests += 1
            assert cycles == transfer(sum(sizes), len(sizes), 1, load.path).cycles, (seed, load)
    assert equal_requests > CASES // 3


def test_lint_finds_nothing():
    assert lint("dma_load", PARAMETERS) == ""
