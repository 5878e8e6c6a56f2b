"""The Ray engine: points as tasks of a Ray cluster."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any

from bittrue.sweeping.engines import IN_FLIGHT_PER_WORKER, LOST, Evaluate
from bittrue.sweeping.evaluate import Outcome
from bittrue.sweeping.points import DesignPoint
from simulator.errors import InputError


@dataclass(frozen=True)
class Ray:
    """A Ray cluster; its nodes need bittrue installed."""

    address: str = "auto"
    """``auto`` = the cluster that this machine belongs to (`ray start`); HOST:PORT of its head; ray://HOST:PORT."""

    def outcomes(self, points: Iterable[DesignPoint], evaluate: Evaluate, *, alone: bool = False) -> Iterator[Outcome]:
        """Evaluate points, a processor each; InputError where Ray is not installed or no cluster answers."""
        try:
            import ray
        except ImportError:
            raise InputError("engine ray needs Ray: pip install 'bittrue[ray]'") from None
        mine = not ray.is_initialized()
        if mine:
            try:
                ray.init(address=self.address, log_to_driver=False, logging_level="ERROR")
            except (OSError, ValueError, RuntimeError) as error:
                reason = str(error).partition("\n")[0]
                raise InputError(f"engine ray: no cluster at {self.address} ({reason})") from None
        try:
            # No retries of its own: what becomes of a point is for the sweep to say.
            task = ray.remote(num_cpus=1, max_retries=0)(evaluate)
            room = 1 if alone else max(1, int(ray.cluster_resources().get("CPU", 1))) * IN_FLIGHT_PER_WORKER
            yield from _outcomes(ray, task, iter(points), room)
        finally:
            if mine:
                ray.shutdown()


def _outcomes(ray: Any, task: Any, waiting: Iterator[DesignPoint], room: int) -> Iterator[Outcome]:
    flying: dict[Any, str] = {}
    while True:
        for point in islice(waiting, room - len(flying)):
            flying[task.remote(point)] = point.key
        if not flying:
            return
        for done in ray.wait(list(flying), num_returns=1)[0]:
            key = flying.pop(done)
            try:
                outcome = ray.get(done)
            except ray.exceptions.RayTaskError as error:
                outcome = Outcome(key, error=str(error).strip().splitlines()[-1])
            except ray.exceptions.RayError:
                # The worker crashed, or was killed for its memory, or its node went away.
                outcome = Outcome(key, error=LOST, lost=True)
            yield outcome
