"""Arguments and options that several commands take, in the same words."""

from __future__ import annotations

from typing import Annotated

import typer

NetworkName = Annotated[str, typer.Argument(help="A file (.tflite ...) or a built-in name (`bittrue networks`).")]
AcceleratorName = Annotated[
    str, typer.Option("--accelerator", "-a", help="A preset (`bittrue accelerators`) or a YAML file.")
]
AcceleratorChanges = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="Change the accelerator, e.g. array.rows=64. Repeatable."),
]
NetworkOptions = Annotated[
    list[str] | None,
    typer.Option("--net", metavar="KEY=VALUE", help="Option of a built-in network, e.g. size=257. Repeatable."),
]
Threads = Annotated[int | None, typer.Option(min=1, help="Threads; all cores without it.", show_default=False)]
