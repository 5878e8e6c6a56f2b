"""Evaluate points on a Ray cluster."""

from __future__ import annotations

import logging
import socket
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from typing import Any

from bittrue.sweeping.evaluate import IN_FLIGHT_PER_WORKER, LOST, Evaluate, Outcome
from bittrue.sweeping.points import DesignPoint
from simulator.errors import InputError

_ONE_THREAD = {"env_vars": {"NUMBA_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}}


@dataclass(frozen=True)
class Ray:
    """A Ray cluster; its nodes need bittrue installed. A worker that dies is replaced by Ray."""

    address: str
    """``auto`` (the cluster of this machine, or of RAY_ADDRESS), HOST:PORT, or ray://HOST:PORT (Ray Client)."""
    timeout_s: float = 20
    """How long to wait for HOST:PORT to answer, seconds."""

    @contextmanager
    def session(self) -> Iterator[_Driver]:
        """Be a driver of the cluster, or stay the one that this process is; InputError without Ray or a cluster."""
        try:
            import ray
        except ImportError:
            raise InputError("engine ray needs Ray: pip install 'bittrue[ray]'") from None
        if ray.is_initialized():
            yield _Driver(ray)
            return
        self._connect(ray)
        try:
            yield _Driver(ray)
        finally:
            ray.shutdown()

    def _connect(self, ray: Any) -> None:
        self._refuse_if_nobody_listens()
        try:
            ray.init(address=self.address, log_to_driver=False, logging_level=logging.ERROR)
        except (OSError, ValueError, RuntimeError) as error:
            hint = "; a cluster that asks for a token needs RAY_AUTH_MODE=token here" * (
                "token" in f"{error.__cause__}"
            )
            raise InputError(f"engine ray: no cluster at {self.address} ({error}){hint}") from None

    def _refuse_if_nobody_listens(self) -> None:
        """Raise InputError at once: Ray itself would try for more than a minute."""
        host, _, port = self.address.rpartition(":")
        if "/" in host or not host or not port.isdigit():
            return
        try:
            socket.create_connection((host, int(port)), self.timeout_s).close()
        except (OSError, OverflowError) as error:
            raise InputError(f"engine ray: no cluster at {self.address} ({error})") from None


class _Driver:
    def __init__(self, ray: Any) -> None:
        self._ray = ray

    def outcomes(
        self, points: Sequence[DesignPoint], evaluate: Evaluate, *, alone: bool = False
    ) -> Iterator[Sequence[Outcome]]:
        """Evaluate points, one a task."""
        ray, waiting = self._ray, iter(points)
        flying: dict[Any, DesignPoint] = {}
        # Who tries a point again, and whether it counts, is for the sweep to say.
        task = ray.remote(max_retries=0, num_cpus=1, runtime_env=_ONE_THREAD)(evaluate)
        room = 1 if alone else max(1, int(ray.cluster_resources().get("CPU", 1))) * IN_FLIGHT_PER_WORKER
        try:
            while True:
                flying |= {task.remote(point): point for point in islice(waiting, room - len(flying))}
                if not flying:
                    return
                for reference in ray.wait(list(flying), num_returns=1)[0]:
                    yield (_result(ray, reference, flying.pop(reference)),)
        finally:
            for reference in flying:
                ray.cancel(reference, force=True)


def _result(ray: Any, reference: Any, point: DesignPoint) -> Outcome:
    try:
        outcome: Outcome = ray.get(reference)
        return outcome
    except ray.exceptions.RayTaskError as error:
        return Outcome(point.key, error=f"{type(error.cause).__name__}: {error.cause}")
    except ray.exceptions.RuntimeEnvSetupError as error:
        return Outcome(point.key, error=f"{type(error).__name__}: {error}")
    except ray.exceptions.RayError:
        # Its worker or node died, or was ended for its memory.
        return Outcome(point.key, error=LOST, lost=True)
