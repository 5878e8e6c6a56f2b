"""Evaluate points in processes of this machine (loky)."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

from bittrue.sweeping.batches import Done, evaluate_batch
from bittrue.sweeping.evaluate import IN_FLIGHT_PER_WORKER, LOST, Evaluate, Outcome
from bittrue.sweeping.points import DesignPoint
from simulator.errors import InputError

_ENVIRONMENT = {
    "NUMBA_NUM_THREADS": "1",
    "OMP_NUM_THREADS": "1",
    # loky takes 300 MB of growth for a leak, and replaces the process; here it is what points share, and bounded.
    "LOKY_MAX_MEMORY_LEAK_SIZE": "4e9",
}


@dataclass(frozen=True)
class Processes:
    """Local processes, one Numba thread each; one that dies is replaced."""

    workers: int

    @contextmanager
    def session(self) -> Iterator[_Pools]:
        """Keep processes, with what they have loaded and found, until the end."""
        try:
            import loky
        except ImportError:
            raise InputError("engine processes needs loky: pip install 'bittrue[processes]'") from None
        pools = _Pools(loky, self.workers)
        try:
            yield pools
        finally:
            pools.close()


class _Pools:
    """One pool of processes at a time: the one before, as long as it is whole and has as many workers as are asked."""

    def __init__(self, loky: Any, workers: int) -> None:
        self._loky, self._workers = loky, workers
        self._pool: Any = None
        self._size = 0

    def outcomes(
        self, points: Sequence[DesignPoint], evaluate: Evaluate, *, alone: bool = False
    ) -> Iterator[Sequence[Outcome]]:
        """Evaluate points; alone: in one process, one point after another."""
        workers = 1 if alone else self._workers
        flow = _Flow(evaluate, deque(points), workers, 1 if alone else workers * IN_FLIGHT_PER_WORKER)
        while flow.waiting:
            try:
                yield from flow.through(self._of(workers))
            finally:
                if not flow.whole:
                    self.close()

    def _of(self, workers: int) -> Any:
        if self._pool is None or self._size != workers:
            self.close()
            self._pool, self._size = self._loky.ProcessPoolExecutor(workers, env=_ENVIRONMENT), workers
        return self._pool

    def close(self) -> None:
        """End the processes, whatever they do."""
        if self._pool is not None:
            self._pool.shutdown(wait=True, kill_workers=True)
        self._pool = None


@dataclass
class _Flow:
    """Points on their way through a pool of processes, and through the next where that one breaks."""

    evaluate: Evaluate
    waiting: deque[DesignPoint]
    workers: int
    room: int
    """Batches under way at most."""
    size: int = 1
    """Points of the next batch, from how long the last one took."""
    whole: bool = False
    """Whether the last pool was left as it was: not broken, and with nothing under way."""
    flying: dict[Future[Done], tuple[DesignPoint, ...]] = field(default_factory=dict)

    def through(self, pool: Any) -> Iterator[tuple[Outcome, ...]]:
        """Yield outcomes until all points are evaluated or the pool is broken: what is under way then is lost."""
        self.whole, broken = False, False
        while not broken and self._fill(pool) and self.flying:
            for future in wait(self.flying, return_when=FIRST_COMPLETED).done:
                outcomes = self._taken(future)
                broken = broken or outcomes[0].error == LOST
                yield outcomes
        while self.flying:
            broken = True
            yield self._taken(next(iter(self.flying)))
        self.whole = not broken and not self.waiting

    def _fill(self, pool: Any) -> bool:
        """Send batches until `room` are under way; False where the pool is broken."""
        while self.waiting and len(self.flying) < self.room:
            # Ever smaller ones at the end, so that no worker is left alone with many.
            count = min(self.size, -(-len(self.waiting) // (self.workers * IN_FLIGHT_PER_WORKER)))
            batch = tuple(islice(self.waiting, count))
            try:
                self.flying[pool.submit(evaluate_batch, self.evaluate, batch)] = batch
            except BrokenProcessPool:
                return False
            for _ in batch:
                self.waiting.popleft()
        return True

    def _taken(self, future: Future[Done]) -> tuple[Outcome, ...]:
        """Return what came of a batch; points that it did not begin wait again, before the others."""
        batch = self.flying.pop(future)
        try:
            done = future.result()
        except BrokenProcessPool:
            return tuple(Outcome(point.key, error=LOST, lost=True) for point in batch)
        except Exception as error:
            told = f"{type(error).__name__}: {error}"
            return tuple(Outcome(point.key, error=told, lost=len(batch) > 1) for point in batch)
        self.size = done.size
        self.waiting.extendleft(reversed(batch[len(done.outcomes) :]))
        return done.outcomes
