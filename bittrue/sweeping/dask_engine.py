"""Evaluate points on a Dask cluster."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from typing import Any

from bittrue.sweeping.evaluate import IN_FLIGHT_PER_WORKER, LOST, Evaluate, Outcome
from bittrue.sweeping.points import DesignPoint
from simulator.errors import InputError


@dataclass(frozen=True)
class Dask:
    """A Dask cluster; its workers need bittrue installed."""

    address: str
    """Of the scheduler, e.g. tcp://host:8786."""
    timeout_s: float = 20
    """How long to wait for it, seconds."""

    @contextmanager
    def session(self) -> Iterator[_Client]:
        """Be a client of the cluster; InputError where Dask is not installed or no scheduler answers."""
        try:
            import distributed
        except ImportError:
            raise InputError("engine dask needs Dask: pip install 'bittrue[dask]'") from None
        try:
            client = distributed.Client(self.address, timeout=self.timeout_s)
        except (OSError, ValueError) as error:
            raise InputError(f"engine dask: no scheduler at {self.address} ({error})") from None
        with client:
            yield _Client(distributed, client)


class _Client:
    def __init__(self, distributed: Any, client: Any) -> None:
        self._distributed, self._client = distributed, client

    def outcomes(
        self, points: Sequence[DesignPoint], evaluate: Evaluate, *, alone: bool = False
    ) -> Iterator[Sequence[Outcome]]:
        """Evaluate points, one a task."""
        client = self._client
        room = 1 if alone else max(1, sum(client.nthreads().values())) * IN_FLIGHT_PER_WORKER
        waiting = iter(points)

        def send(count: int) -> list[Any]:
            return [
                client.submit(evaluate, point, key=f"bittrue-{point.key}", pure=False, retries=0)
                for point in islice(waiting, count)
            ]

        under_way = self._distributed.as_completed(send(room))
        for future in under_way:
            key = future.key.removeprefix("bittrue-")
            try:
                outcome = future.result()
            except self._distributed.KilledWorker:
                outcome = Outcome(key, error=LOST, lost=True)
            except Exception as error:
                outcome = Outcome(key, error=f"{type(error).__name__}: {error}")
            future.release()
            under_way.update(send(1))
            yield (outcome,)
