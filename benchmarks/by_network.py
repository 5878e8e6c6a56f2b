"""A benchmark that prints rows for each network on each accelerator."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence

from benchmarks.machine import describe_machine
from benchmarks.plain_table import PlainTable, words


def print_by_network(
    about: str | None,
    networks: Sequence[str],
    accelerators: Sequence[str],
    table: PlainTable,
    rows: Callable[[str, str], Sequence[list[str]]],
) -> None:
    """Read the command line, print the machine, and what `rows` returns for each network and accelerator.

    Parameters
    ----------
    about
        The module's docstring.
    networks, accelerators
        Names that stand for those that the command line does not give.
    table
        Its columns.
    rows
        (network, accelerator) -> cells.

    """
    parser = argparse.ArgumentParser(description=about.splitlines()[0] if about else "")
    parser.add_argument("--networks", type=words, default=tuple(networks), help="by commas")
    parser.add_argument("--accelerators", type=words, default=tuple(accelerators), help="presets by commas")
    options = parser.parse_args()
    print(describe_machine())
    print(table.header())
    for network in options.networks:
        for name in options.accelerators:
            for cells in rows(network, name):
                print(table.row(cells), flush=True)
