"""The command line: `bittrue --help`."""

from __future__ import annotations

import typer

from bittrue.commands.catalogue import accelerators, networks
from bittrue.commands.check import check
from bittrue.commands.compare import compare
from bittrue.commands.eval import evaluate
from bittrue.commands.explain import explain
from bittrue.commands.explain_point import explain_point
from bittrue.commands.explain_scaling import explain_scaling
from bittrue.commands.export import export
from bittrue.commands.fit import fit
from bittrue.commands.mapping import mapping
from bittrue.commands.memory import memory
from bittrue.commands.report import report
from bittrue.commands.run import run
from bittrue.commands.scalesim import scalesim
from bittrue.commands.sweep import sweep
from bittrue.commands.train import train
from bittrue.commands.vectors import vectors
from bittrue.commands.warmup import warmup
from bittrue.console import tolerate_unprintable

app = typer.Typer(
    name="bittrue",
    help="Bit-accurate, cycle-approximate simulator of fixed-point systolic-array accelerators.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="Exit status: 0 done, 1 a comparison or check that failed, 2 bad input.",
)
_COMMANDS = (
    run,
    accelerators,
    networks,
    mapping,
    memory,
    explain,
    report,
    compare,
    check,
    vectors,
    sweep,
    fit,
    train,
    scalesim,
    export,
    warmup,
)
for _command in _COMMANDS:
    app.command()(_command)
app.command("eval")(evaluate)
app.command("explain-scaling")(explain_scaling)
app.command("explain-point")(explain_point)


@app.callback(invoke_without_command=True)
def _options(version: bool = typer.Option(False, "--version", help="Print the version and exit.")) -> None:
    if version:
        from importlib.metadata import version as installed

        typer.echo(f"bittrue {installed('bittrue')}")
        raise typer.Exit


def main() -> None:
    """Run the command line; the entry point of `bittrue`."""
    tolerate_unprintable()
    app()
