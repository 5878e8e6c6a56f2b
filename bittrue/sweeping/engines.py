"""Engines: who evaluates the points. In this process, in local processes (loky), on a Dask or a Ray cluster."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, Protocol

from bittrue.sweeping.batches import MOST_POINTS, Done, evaluate_batch
from bittrue.sweeping.evaluate import IN_FLIGHT_PER_WORKER, LOST, Evaluate, Outcome
from bittrue.sweeping.points import DesignPoint
from bittrue.sweeping.ray_engine import Ray
from simulator.errors import InputError

ENGINES = "in-process, processes, processes:N, dask:ADDRESS, ray:auto and ray:ADDRESS"


class Engine(Protocol):
    """Evaluates points, in any order, and gives outcomes as they come."""

    def outcomes(
        self, points: Sequence[DesignPoint], evaluate: Evaluate, *, alone: bool = False
    ) -> Iterator[Sequence[Outcome]]:
        """Evaluate `points`; exactly one outcome each, those together that came together.

        Parameters
        ----------
        points
            In the order in which they are begun, more or less.
        evaluate
            What evaluates one.
        alone
            One point at a time, so that a process that dies tells which point it was.

        """
        ...


@dataclass(frozen=True)
class InProcess:
    """The calling process, one point after another. A point that crashes it ends the sweep."""

    def outcomes(
        self, points: Sequence[DesignPoint], evaluate: Evaluate, *, alone: bool = False
    ) -> Iterator[Sequence[Outcome]]:
        """Evaluate points in order."""
        done = 0
        while done < len(points):
            found: list[Outcome] = []
            try:
                evaluate_batch(evaluate, points[done : done + (1 if alone else MOST_POINTS)], found)
            except BaseException:
                if found:
                    yield found
                raise
            done += len(found)
            yield found


@dataclass(frozen=True)
class Processes:
    """Local processes, one Numba thread each; one that dies is replaced."""

    workers: int

    def outcomes(
        self, points: Sequence[DesignPoint], evaluate: Evaluate, *, alone: bool = False
    ) -> Iterator[Sequence[Outcome]]:
        """Evaluate points; InputError where loky is not installed."""
        try:
            from loky import ProcessPoolExecutor
        except ImportError:
            raise InputError("engine processes needs loky: pip install 'bittrue[processes]'") from None
        workers = 1 if alone else self.workers
        flow = _Flow(evaluate, deque(points), workers, 1 if alone else workers * IN_FLIGHT_PER_WORKER)
        while flow.waiting:
            pool = ProcessPoolExecutor(workers, env={"NUMBA_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"})
            try:
                yield from flow.through(pool)
            finally:
                pool.shutdown(wait=True, kill_workers=True)


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
    flying: dict[Future[Done], tuple[DesignPoint, ...]] = field(default_factory=dict)

    def through(self, pool: Any) -> Iterator[tuple[Outcome, ...]]:
        """Yield outcomes until all points are evaluated or the pool is broken: what is under way then is lost."""
        while self._fill(pool) and self.flying:
            for future in wait(self.flying, return_when=FIRST_COMPLETED).done:
                yield self._taken(future)
        while self.flying:
            yield self._taken(next(iter(self.flying)))

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


@dataclass(frozen=True)
class Dask:
    """A Dask cluster; its workers need bittrue installed."""

    address: str
    """Of the scheduler, e.g. tcp://host:8786."""
    timeout_s: float = 20
    """How long to wait for it, seconds."""

    def outcomes(
        self, points: Sequence[DesignPoint], evaluate: Evaluate, *, alone: bool = False
    ) -> Iterator[Sequence[Outcome]]:
        """Evaluate points; InputError where Dask is not installed or no scheduler answers."""
        try:
            from distributed import Client, KilledWorker, as_completed
        except ImportError:
            raise InputError("engine dask needs Dask: pip install 'bittrue[dask]'") from None
        try:
            client = Client(self.address, timeout=self.timeout_s)
        except (OSError, ValueError) as error:
            raise InputError(f"engine dask: no scheduler at {self.address} ({error})") from None
        with client:
            room = 1 if alone else max(1, sum(client.nthreads().values())) * IN_FLIGHT_PER_WORKER
            waiting = iter(points)

            def send(count: int) -> list[Any]:
                return [
                    client.submit(evaluate, point, key=f"bittrue-{point.key}", pure=False, retries=0)
                    for point in islice(waiting, count)
                ]

            under_way = as_completed(send(room))
            for future in under_way:
                key = future.key.removeprefix("bittrue-")
                try:
                    outcome = future.result()
                except KilledWorker:
                    outcome = Outcome(key, error=LOST, lost=True)
                except Exception as error:
                    outcome = Outcome(key, error=f"{type(error).__name__}: {error}")
                future.release()
                under_way.update(send(1))
                yield (outcome,)


def engine_named(text: str) -> Engine:
    """Return the engine that ``--engine`` names.

    Parameters
    ----------
    text
        ``in-process``, ``processes`` (a worker for each core), ``processes:N``, ``dask:ADDRESS``, ``ray:auto`` (the
        cluster of this machine, or the one that the environment variable RAY_ADDRESS names), or ``ray:ADDRESS``.

    Raises
    ------
    InputError
        Anything else.

    """
    kind, _, detail = text.partition(":")
    if kind == "in-process" and not detail:
        return InProcess()
    if kind == "processes" and (not detail or (detail.isdigit() and int(detail) > 0)):
        return Processes(int(detail or os.cpu_count() or 1))
    if kind == "dask" and detail:
        return Dask(detail)
    if kind == "ray" and detail:
        return Ray(detail)
    raise InputError(f"engine {text!r} does not exist; there are {ENGINES}")
