"""Engines: who evaluates the points. In this process, in local processes (loky), on a Dask or a Ray cluster."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from itertools import islice
from typing import Any, Protocol

from bittrue.sweeping.evaluate import IN_FLIGHT_PER_WORKER, LOST, Evaluate, Outcome
from bittrue.sweeping.points import DesignPoint
from bittrue.sweeping.ray_engine import Ray
from simulator.errors import InputError

ENGINES = "in-process, processes, processes:N, dask:ADDRESS, ray:auto and ray:ADDRESS"


class Engine(Protocol):
    """Evaluates points, in any order, and gives outcomes as they come."""

    def outcomes(self, points: Iterable[DesignPoint], evaluate: Evaluate, *, alone: bool = False) -> Iterator[Outcome]:
        """Evaluate `points`; exactly one outcome each.

        Parameters
        ----------
        points
            Taken one by one, as there is room.
        evaluate
            What evaluates one.
        alone
            One point at a time, so that a process that dies tells which point it was.

        """
        ...


@dataclass(frozen=True)
class InProcess:
    """The calling process, one point after another. A point that crashes it ends the sweep."""

    def outcomes(self, points: Iterable[DesignPoint], evaluate: Evaluate, *, alone: bool = False) -> Iterator[Outcome]:
        """Evaluate points in order."""
        del alone
        for point in points:
            yield evaluate(point)


@dataclass(frozen=True)
class Processes:
    """Local processes, one Numba thread each; one that dies is replaced."""

    workers: int

    def outcomes(self, points: Iterable[DesignPoint], evaluate: Evaluate, *, alone: bool = False) -> Iterator[Outcome]:
        """Evaluate points; InputError where loky is not installed."""
        try:
            from loky import ProcessPoolExecutor
        except ImportError:
            raise InputError("engine processes needs loky: pip install 'bittrue[processes]'") from None
        workers = 1 if alone else self.workers
        room = 1 if alone else workers * IN_FLIGHT_PER_WORKER
        waiting = iter(points)
        unsent: list[DesignPoint] = []
        while True:
            pool = ProcessPoolExecutor(workers, env={"NUMBA_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"})
            flying: dict[Future[Outcome], DesignPoint] = {}
            whole = True
            try:
                while whole:
                    whole = _fill(pool, flying, unsent, waiting, room, evaluate)
                    if not flying:
                        if whole:
                            return
                        break
                    for future in wait(flying, return_when=FIRST_COMPLETED).done:
                        outcome = _result(future, flying.pop(future))
                        whole = whole and not outcome.lost
                        yield outcome
                # The pool is broken: what else was under way is lost with it.
                for future, point in flying.items():
                    yield _result(future, point)
            finally:
                pool.shutdown(wait=True, kill_workers=True)


def _fill(
    pool: Any,
    flying: dict[Future[Outcome], DesignPoint],
    unsent: list[DesignPoint],
    waiting: Iterator[DesignPoint],
    room: int,
    evaluate: Evaluate,
) -> bool:
    """Send points until `room` are under way; False where the pool is broken: the one not taken is kept in `unsent`."""
    while len(flying) < room:
        if not unsent:
            unsent += islice(waiting, 1)
        if not unsent:
            return True
        try:
            flying[pool.submit(evaluate, unsent[0])] = unsent[0]
        except BrokenProcessPool:
            return False
        unsent.clear()
    return True


def _result(future: Future[Outcome], point: DesignPoint) -> Outcome:
    try:
        return future.result()
    except BrokenProcessPool:
        return Outcome(point.key, error=LOST, lost=True)
    except Exception as error:
        return Outcome(point.key, error=f"{type(error).__name__}: {error}")


@dataclass(frozen=True)
class Dask:
    """A Dask cluster; its workers need bittrue installed."""

    address: str
    """Of the scheduler, e.g. tcp://host:8786."""
    timeout_s: float = 20
    """How long to wait for it, seconds."""

    def outcomes(self, points: Iterable[DesignPoint], evaluate: Evaluate, *, alone: bool = False) -> Iterator[Outcome]:
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
                yield outcome


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
