"""Energy tables that distributions register: this one and any other, by the same entry-point group."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path

from simulator.accelerator.energy import EnergyTable
from simulator.accelerator.technology import Technology
from simulator.errors import SpecError

EnergyTableSource = str | Path | EnergyTable | Technology
"""What a provider gives for a name: the path of a YAML file, or the table itself: of one device, or of a technology."""

ENERGY_TABLE_GROUP = "bittrue.energy_tables"
"""Each entry point of this group is a callable that returns {name: EnergyTableSource}."""

_log = logging.getLogger(__name__)


def registered_energy_tables() -> dict[str, list[tuple[str, EnergyTableSource]]]:
    """Return (provider, source) of every registered table, by the table's name."""
    tables: dict[str, list[tuple[str, EnergyTableSource]]] = {}
    for entry in _providers():
        for name, source in _provided(entry).items():
            tables.setdefault(name, []).append((entry.value, source))
    return tables


def registered_energy_table(name: str) -> EnergyTableSource | None:
    """Return the source of the table called `name`; None where nobody registers it.

    Raises
    ------
    SpecError
        More than one provider registers the name.

    """
    found = registered_energy_tables().get(name, [])
    if len(found) > 1:
        providers = ", ".join(provider for provider, _ in found)
        raise SpecError(f"energy table {name!r} is registered by {providers}; give the path of the one that is meant")
    return found[0][1] if found else None


@cache
def _providers() -> tuple[EntryPoint, ...]:
    return tuple(sorted(entry_points(group=ENERGY_TABLE_GROUP), key=lambda entry: entry.value))


@cache
def _provided(entry: EntryPoint) -> Mapping[str, EnergyTableSource]:
    try:
        return dict(entry.load()())
    except Exception as error:
        # A broken extension must not take the tables of the others with it.
        _log.warning("energy tables of %s are left out: %s: %s", entry.value, type(error).__name__, error)
        return {}
