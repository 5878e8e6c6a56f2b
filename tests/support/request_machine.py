"""The SimPy machine with every request of a transfer on its own: what its constants of a transfer stand in for.

Engines, memories and the order of the DMAs of a core are the machine's; the memory is another. A request goes out a
cycle after the one before, while fewer than the limit are in flight. The memory takes requests of all cores as they
come, the lower core first, and gives their data in that order, no sooner than a latency later, and where it has banks,
no sooner than the row is open, which is opened when the request's own data could first pass.
"""

from __future__ import annotations

from fractions import Fraction
from math import ceil
from unittest.mock import patch

from simulator.accelerator.spec import Accelerator
from simulator.mapping.schedule import LayerSchedule
from simulator.timing import machine
from simulator.timing.dram_banks import DramBanks, Piece, Region
from support.dma_twin import sizes_of


class _Banks(DramBanks):
    """Banks that have one request after another."""

    def move(self, tensor: int, span: tuple[int, int], begun: bool, times: tuple[Fraction, Fraction], write: bool):
        """End of the data of bytes `span` of a tensor, of which `begun` the first burst has been moved.

        times: when the request is known, and when the bus is free for it.
        """
        spec, (start, stop), (known, end) = self._spec, span, times
        while start < stop:
            row = start // spec.row_bytes
            until = min(stop, (row + 1) * spec.row_bytes)
            first = -(-start // spec.access_bytes) if begun else start // spec.access_bytes
            moved = (-(-until // spec.access_bytes) - first) * spec.access_bytes
            bank = (row + tensor * spec.banks // 4) % spec.banks
            place = ceil(end)
            usable = self._refresh(place)
            opened = self._open_row(Piece(bank, row // spec.banks * 4 + tensor, moved), ceil(known))
            if max(usable, opened) > place:
                end = Fraction(max(usable, opened))
            end += moved / self._rate
            self._free[bank] = max(self._free[bank], ceil(end) + write * spec.wr_cycles)
            start, begun = until, False
        return end


def _requests(region: Region, burst: int):
    """First and last byte of each request, and whether it goes on where the one before ended."""
    stretches = max(1, min(region.segments, region.size))
    done = 0
    for i in range(stretches):
        size = region.size // stretches + (i < region.size % stretches)
        first = region.first + (i * region.span // stretches if region.span > region.size else done)
        done += size
        for at in range(0, size, burst):
            yield (first + at, first + min(at + burst, size)), at > 0


class _RequestCore(machine._Core):
    def _transfer(self, engine: int, index: int, moved):
        memory, env, path = self._memory, self._env, self._path
        begin = int(env.now)
        yield env.timeout(path.setup_cycles * len(moved))
        yield self._requests.request(engine)
        write = engine == self._store_id
        if memory.banks is None:
            requests = [(0, (0, size), False) for size in sizes_of(list(moved), path.burst_bytes)]
        else:
            where = self._regions(index, write=write)
            requests = [(r.tensor, *one) for r in where for one in _requests(r, path.burst_bytes)]
        ends: list[Fraction] = []
        issue = Fraction(env.now)
        for j, (tensor, span, begun) in enumerate(requests):
            if j:
                issue += 1
            if j >= path.max_outstanding:
                issue = max(issue, ends[j - path.max_outstanding])
            if issue > env.now:
                yield env.timeout(issue - env.now)
            yield memory.bus.request(engine)
            memory.bus.release()
            end = max(issue + path.latency_cycles, memory.bus_free)
            if memory.banks is None:
                end += (span[1] - span[0]) / path.bytes_per_cycle
            else:
                end = memory.banks.move(tensor, span, begun, (issue + path.latency_cycles, end), write)
            memory.bus_free = end
            ends.append(end)
        yield env.timeout(min(ceil(issue) + 1, ceil(ends[-1])) - env.now)
        self._requests.release()
        if ceil(ends[-1]) > env.now:
            yield env.timeout(ceil(ends[-1]) - env.now)
        self._intervals["store dma" if write else "load dma"].add(begin, ceil(ends[-1]))


def cycles_by_requests(layer: LayerSchedule, accelerator: Accelerator) -> int:
    """Cycles of a layer, request by request."""
    with patch.object(machine, "_Core", _RequestCore), patch.object(machine, "DramBanks", _Banks):
        return machine._run_layer("layer", layer, accelerator, 1)[0].end_cycle
