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
    return accelerator.evolve(assignments("--set", changes)) if changes else accelerator


def assignments(option: str, texts: Sequence[str]) -> dict[str, Any]:
    """Read an option that is repeated with KEY=VALUE, values as YAML has them."""
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

    keywords = assignments("--net", options)
    if seed is not None and name in registry.names() and not Path(name).is_file():
        known = registry.describe(name)[1]
        keywords = {k: v for k, v in (("weights", "seeded"), ("seed", seed)) if k in known} | keywords
    return load_network(name, **keywords)


def text_pairs(option: str, texts: Sequence[str]) -> dict[str, str]:
    """Read an option that is repeated with KEY=VALUE, both plain text."""
    from simulator.errors import InputError

    pairs = {}
    for text in texts:
        key, equals, value = text.partition("=")
        if not equals or not key.strip() or not value.strip():
            raise InputError(f"{option} {text}: write NAME=NAME")
        pairs[key.strip()] = value.strip()
    return pairs


def register_widths(text: str) -> tuple[int, ...]:
    """Read what --accumulator-sweep takes: whole numbers of bits with commas; empty for none."""
    if not text:
        return ()
    from simulator.errors import InputError
    from simulator.execution.sweep import sweep_widths

    parts = [part.strip() for part in text.split(",")]
    if not all(part.isascii() and part.isdigit() for part in parts):
        raise InputError(f"--accumulator-sweep {text}: write whole numbers of bits with commas, e.g. 16,20,24")
    return sweep_widths([int(part) for part in parts])
