"""Register-accurate model of the DMA, rtl/dma.sv, and of a memory of fixed latency and bandwidth behind it.

Functions that take `cycle` step what they name from that cycle to the next; a half is issued its grant first.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from simulator.kernels._jit import kernel
from simulator.kernels.clocked import digest_word

SETTINGS = np.dtype(
    [
        (name, np.int64)
        for name in (
            *("burst_bytes", "max_outstanding", "setup_cycles"),
            *("latency_cycles", "interval_cycles", "bus_bytes"),
        )
    ]
)
"""Of the DMA, and of the memory: a beat of `bus_bytes` takes `interval_cycles`."""

DMA_COUNTS = np.dtype([("digest", np.uint64), ("load_cycles", np.int64), ("store_cycles", np.int64)])
"""What a run of the DMA adds to (`digest`) and sets."""

LOAD, STORE, NOBODY = 0, 1, 2
"""The two halves; who issues requests."""

# A descriptor.
_ADDRESS, _SEGMENTS, _SEGMENT_BYTES, _STRIDE = range(4)
DESCRIPTOR = 4

# Registers of a half (rtl/dma_requests.sv).
_STATE, _SETUP_LEFT, _INDEX, _LAST_INDEX, _SEGMENT, _LEFT, _SEGMENT_ADDRESS, _REQUEST_ADDRESS, _IN_FLIGHT = range(9)
HALF = 9
_IDLE, _SETUP, _ISSUE, _DRAIN = range(4)

# A request that waits in memory, and what memory knows beside: first and next of them, when the bus is free.
_BEGIN, _BEATS, _FIRST_BYTE, _BYTES, _WRITES, _OF, _TAKEN = range(7)
WAITING = 7
_HEAD, _TAIL, _BUS_FREE = range(3)
MEMORY = 3

# A beat: whether there is one, whether memory is written, the descriptor it belongs to, address, bytes, whether last.
HAS, WRITES, OF, AT, SIZE, LAST = range(6)
BEAT = 6


@kernel(inline=True)
def begin(half: Any, descriptors: Any, first: Any, last: Any, settings: Any) -> None:
    """Start a half on descriptors `first` to `last` of `descriptors`, int64 [D, DESCRIPTOR], from the next cycle on."""
    half[_SETUP_LEFT] = settings["setup_cycles"] * (last - first + 1)
    half[_STATE] = _SETUP if half[_SETUP_LEFT] else _ISSUE
    half[_LAST_INDEX], half[_IN_FLIGHT] = last, 0
    _enter(half, descriptors, first)


@kernel(inline=True)
def _enter(half: Any, descriptors: Any, index: Any) -> None:
    half[_INDEX], half[_SEGMENT] = index, 0
    half[_LEFT] = descriptors[index, _SEGMENT_BYTES]
    half[_SEGMENT_ADDRESS] = half[_REQUEST_ADDRESS] = descriptors[index, _ADDRESS]


@kernel(inline=True)
def busy(half: Any) -> Any:
    """Whether a half is at work."""
    return half[_STATE] != _IDLE


@kernel(inline=True)
def granted(owner: Any, halves: Any) -> Any:
    """Which half may issue requests in this cycle; `halves` int64 [2, HALF]."""
    if owner != NOBODY:
        return owner
    return LOAD if halves[LOAD, _STATE] == _ISSUE else STORE


@kernel(inline=True)
def next_owner(grant: Any, halves: Any, is_last: Any) -> Any:
    """Who may issue requests in the next cycle alone, given who may in this one and whether it ends a command."""
    return grant if halves[grant, _STATE] == _ISSUE and not is_last else NOBODY


@kernel(inline=True)
def requests(half: Any, settings: Any) -> Any:
    """Whether a half that is granted issues a request."""
    return half[_STATE] == _ISSUE and half[_IN_FLIGHT] < settings["max_outstanding"]


@kernel(inline=True)
def is_last_request(half: Any, descriptors: Any, settings: Any) -> Any:
    """Whether the request in hand is the last one of the command."""
    index = half[_INDEX]
    ends = half[_LEFT] <= settings["burst_bytes"] and half[_SEGMENT] == descriptors[index, _SEGMENTS] - 1
    return ends and index == half[_LAST_INDEX]


@kernel(inline=True)
def clock_half(half: Any, descriptors: Any, issued: Any, lands: Any, settings: Any) -> Any:
    """Clock rtl/dma_requests.sv; return whether it finishes.

    `issued`: its request went out in this cycle; `lands`: the last beat of one of its requests is there.
    """
    finishes = half[_STATE] == _DRAIN and lands and half[_IN_FLIGHT] == 1
    half[_IN_FLIGHT] += np.int64(issued) - np.int64(lands)
    if half[_STATE] == _SETUP:
        half[_SETUP_LEFT] -= 1
        if half[_SETUP_LEFT] == 0:
            half[_STATE] = _ISSUE
    if issued:
        index = half[_INDEX]
        if is_last_request(half, descriptors, settings):
            half[_STATE] = _DRAIN
        elif half[_LEFT] > settings["burst_bytes"]:
            half[_LEFT] -= settings["burst_bytes"]
            half[_REQUEST_ADDRESS] += settings["burst_bytes"]
        elif half[_SEGMENT] < descriptors[index, _SEGMENTS] - 1:
            half[_SEGMENT] += 1
            half[_SEGMENT_ADDRESS] += descriptors[index, _STRIDE]
            half[_REQUEST_ADDRESS] = half[_SEGMENT_ADDRESS]
            half[_LEFT] = descriptors[index, _SEGMENT_BYTES]
        else:
            _enter(half, descriptors, index + 1)
    if finishes:
        half[_STATE] = _IDLE
    return finishes


@kernel(inline=True)
def ask(memory: Any, waiting: Any, half: Any, writes: Any, cycle: Any, settings: Any) -> None:
    """Hand a half's request to memory, which answers in order, after its latency and once the bus is free.

    `memory` int64 [MEMORY]; `waiting` int64 [n, WAITING], a ring of at least as many requests as may be in flight.
    """
    size = min(half[_LEFT], settings["burst_bytes"])
    beats = -(-size // settings["bus_bytes"])
    starts = max(cycle + settings["latency_cycles"], memory[_BUS_FREE])
    entry = waiting[memory[_TAIL] % waiting.shape[0]]
    entry[_BEGIN], entry[_BEATS], entry[_TAKEN] = starts, beats, 0
    entry[_FIRST_BYTE], entry[_BYTES] = half[_REQUEST_ADDRESS], size
    entry[_WRITES], entry[_OF] = writes, half[_INDEX]
    memory[_BUS_FREE] = starts + beats * settings["interval_cycles"]
    memory[_TAIL] += 1


@kernel(inline=True)
def serve(memory: Any, waiting: Any, beat: Any, cycle: Any, settings: Any) -> None:
    """Fill in the beat of this cycle, int64 [BEAT], and take it off the ring."""
    beat[HAS] = beat[WRITES] = beat[LAST] = 0
    if memory[_HEAD] == memory[_TAIL]:
        return
    entry = waiting[memory[_HEAD] % waiting.shape[0]]
    taken = entry[_TAKEN]
    if cycle != entry[_BEGIN] + (taken + 1) * settings["interval_cycles"] - 1:
        return
    beat[HAS], beat[WRITES], beat[OF] = 1, entry[_WRITES], entry[_OF]
    beat[AT] = entry[_FIRST_BYTE] + taken * settings["bus_bytes"]
    beat[SIZE] = min(settings["bus_bytes"], entry[_BYTES] - taken * settings["bus_bytes"])
    beat[LAST] = np.int64(taken == entry[_BEATS] - 1)
    entry[_TAKEN] += 1
    memory[_HEAD] += beat[LAST]


@kernel(inline=True)
def digest_bus(digest: Any, half: Any, issued: Any, writes: Any, beat: Any, settings: Any) -> Any:
    """Mix in what passes between DMA and memory in a cycle."""
    flags = np.int64(issued) | np.int64(issued and writes) << 1
    flags |= beat[HAS] << 2 | beat[WRITES] << 3 | beat[LAST] << 4
    digest = np.uint64(digest_word(digest, flags))
    if issued:
        digest = np.uint64(digest_word(digest, half[_REQUEST_ADDRESS]))
        digest = np.uint64(digest_word(digest, min(half[_LEFT], settings["burst_bytes"])))
    return digest


@kernel()
def clock_dma(load: Any, store: Any, settings: Any, bytes_in_memory: Any, words: Any, counts: Any) -> None:
    """Run a load and a store from the same cycle on, each where it has segments.

    Parameters
    ----------
    load, store
        int64 [1, DESCRIPTOR]: address, segments, segment bytes, stride.
    settings
        Record of dtype SETTINGS.
    bytes_in_memory
        uint8 [bytes], read and written; a bus word more than is asked for at its end.
    words
        uint8 [words, bus bytes], the scratchpad: the load fills it, the store empties it, each from word 0 on.
    counts
        Record of dtype DMA_COUNTS, updated.

    """
    halves = np.zeros((2, HALF), np.int64)
    waiting, memory = np.zeros((2 * settings["max_outstanding"] + 2, WAITING), np.int64), np.zeros(MEMORY, np.int64)
    beat, output = np.zeros(BEAT, np.int64), words[0].copy()
    loaded = stored = cycle = np.int64(0)
    owner = NOBODY
    if load[0, _SEGMENTS] > 0:
        begin(halves[LOAD], load, 0, 0, settings)
    if store[0, _SEGMENTS] > 0:
        begin(halves[STORE], store, 0, 0, settings)
    counts["load_cycles"] = counts["store_cycles"] = 0
    while busy(halves[LOAD]) or busy(halves[STORE]):
        counts["load_cycles"] += np.int64(busy(halves[LOAD]))
        counts["store_cycles"] += np.int64(busy(halves[STORE]))
        serve(memory, waiting, beat, cycle, settings)
        grant = granted(owner, halves)
        descriptors = load if grant == LOAD else store
        issued = requests(halves[grant], settings)
        is_last = issued and is_last_request(halves[grant], descriptors, settings)
        counts["digest"] = digest_bus(counts["digest"], halves[grant], issued, grant == STORE, beat, settings)
        if issued:
            ask(memory, waiting, halves[grant], grant == STORE, cycle, settings)
        if beat[HAS] and beat[WRITES]:
            bytes_in_memory[beat[AT] : beat[AT] + beat[SIZE]] = output[: beat[SIZE]]
            stored += 1
        elif beat[HAS]:
            words[loaded] = bytes_in_memory[beat[AT] : beat[AT] + settings["bus_bytes"]]
            loaded += 1
        if stored < words.shape[0]:
            output[:] = words[stored]
        owner = next_owner(grant, halves, is_last)
        for which in range(2):
            lands = beat[HAS] and beat[LAST] and beat[WRITES] == which
            clock_half(halves[which], load if which == LOAD else store, issued and grant == which, lands, settings)
        cycle += 1
