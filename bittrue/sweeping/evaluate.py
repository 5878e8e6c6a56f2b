"""Evaluate one design point: time, energy and traffic, and accuracy where asked for, in any process."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import lru_cache

from accel_models.load import load_accelerator
from bittrue.api import simulate
from bittrue.sweeping.accuracy import figure_of_values
from bittrue.sweeping.layer_times import pack
from bittrue.sweeping.metrics import figures
from bittrue.sweeping.points import DesignPoint
from simulator.accelerator.spec import Accelerator
from simulator.errors import BittrueError
from workloads.load import load_network
from workloads.network import Network


@dataclass(frozen=True)
class Outcome:
    """What became of a point."""

    key: str
    """Of the point."""
    figures: dict[str, float] = field(default_factory=dict)
    """See `bittrue.sweeping.metrics.figures`; empty where it failed."""
    error: str = ""
    """Why it failed."""
    layers: bytes = b""
    """Time of each layer, see `bittrue.sweeping.layer_times`; empty where it failed."""
    lost: bool = False
    """The process that evaluated it, or one beside it, died: it may not be this point's fault."""


Evaluate = Callable[[DesignPoint], Outcome]
"""A function at the top of a module, so that another process finds it."""

LOST = "the process that evaluated it died"
IN_FLIGHT_PER_WORKER = 2
"""Points that an engine has sent for each of its workers: one under way, one to go on with."""


def evaluate(point: DesignPoint) -> Outcome:
    """Time a point, and compute its values where asked for.

    An error of any kind is an outcome: one point must not end a sweep.
    """
    try:
        accelerator = _accelerator(point.accelerator).evolve(point.changes)
        network = _network(point.network, json.dumps(point.keywords, sort_keys=True))
        record = simulate(network, accelerator, timing_only=True).record
        found = figures(record)
        if point.accuracy is not None:
            found |= figure_of_values(network, accelerator, point.accuracy)
        return Outcome(point.key, found, layers=pack(record))
    except BittrueError as error:
        return Outcome(point.key, error=str(error))
    except Exception as error:
        return Outcome(point.key, error=f"{type(error).__name__}: {error}")


@lru_cache(maxsize=8)
def _accelerator(name: str) -> Accelerator:
    """Read a file once a process: YAML takes longer than an evaluation may."""
    return load_accelerator(name)


@lru_cache(maxsize=8)
def _network(name: str, keywords: str) -> Network:
    """Load a network once a process: its layers and schedules are then found again from point to point."""
    given = {key: tuple(v) if isinstance(v, list) else v for key, v in json.loads(keywords).items()}
    return load_network(name, **given)
