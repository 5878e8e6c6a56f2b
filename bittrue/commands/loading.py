"""What commands take from the shell: a network and an accelerator by name or file, with KEY=VALUE changes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from simulator.accelerator.spec import Accelerator
    from workloads.network import Network


def load_device(name: str, changes: Sequence[str]) -> Accelerator:
    """Load a preset or a YAML file, with the changes of --set."""
    from accel_models.load import load_accelerator

    accelerator = load_accelerator(name)
    return accelerator.evolve(_assignments("--set", changes)) if changes else accelerator


def _assignments(option: str, texts: Sequence[str]) -> dict[str, Any]:
    from accel_models.yaml_document import parse_value
    from simulator.errors import SpecError

    values = {}
    for text in texts:
        key, equals, value = text.partition("=")
        if not equals or not key.strip():
            raise SpecError(f"{option} {text}: write KEY=VALUE")
        try:
            values[key.strip()] = parse_value(value)
        except SpecError as error:
            raise SpecError(f"{option} {key.strip()}: {error}") from None
    return values


def load_named_network(name: str, options: Sequence[str], seed: int | None) -> Network:
    """Load a network with the options of --net; a built-in one gets seeded weights where `seed` is given."""
    from workloads.load import load_network
    from workloads.nets import registry

    keywords = _assignments("--net", options)
    if seed is not None and name in registry.names() and not Path(name).is_file():
        known = registry.describe(name)[1]
        keywords = {k: v for k, v in (("weights", "seeded"), ("seed", seed)) if k in known} | keywords
    return load_network(name, **keywords)
