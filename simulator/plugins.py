"""What other distributions add by entry points: networks, accelerators, data sets."""

from __future__ import annotations

from functools import cache
from importlib.metadata import EntryPoint, entry_points
from typing import Any

from simulator.errors import PluginError

NETWORKS = "bittrue.networks"
"""Each entry point is a function, its keywords all with defaults, that returns a Network; its name is the network's."""
ACCELERATORS = "bittrue.accelerators"
"""Each entry point is a function that returns the path of a YAML file; its name is the accelerator's."""
DATASETS = "bittrue.datasets"
"""Each entry point is a function of (folder, split) that returns a Dataset; its name is the kind."""


@cache
def plugins(group: str) -> dict[str, EntryPoint]:
    """Return the entry points of a group by name, none of them loaded.

    Raises
    ------
    PluginError
        Two distributions that give one name.

    """
    found: dict[str, EntryPoint] = {}
    for entry in sorted(entry_points(group=group), key=lambda entry: (entry.name, entry.value)):
        other = found.get(entry.name)
        if other is not None and other.value != entry.value:
            both = f"{other.value} and {entry.value}"
            raise PluginError(f"{group} {entry.name!r} is given by {both}; uninstall one of the two")
        found[entry.name] = entry
    return found


def load_plugin(group: str, name: str) -> Any:
    """Import what a plugin gives.

    Raises
    ------
    PluginError
        It cannot be imported; the message names it, its distribution, and why.

    """
    entry = plugins(group)[name]
    try:
        return entry.load()
    except Exception as error:  # whatever the code of others raises
        raise broken(group, name, error) from error


def broken(group: str, name: str, error: Exception) -> PluginError:
    """Return the error of a plugin that failed while it was loaded or used."""
    entry = plugins(group)[name]
    home = f" of {entry.dist.name} {entry.dist.version}" if entry.dist else ""
    return PluginError(f"plugin {group} {name!r} ({entry.value}{home}) failed: {type(error).__name__}: {error}")
