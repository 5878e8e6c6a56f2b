"""Where the command line writes, and how it refuses: results on standard output, all else on standard error."""

from __future__ import annotations

import functools
import os
import sys
from collections.abc import Callable
from typing import ParamSpec

import typer
from rich.console import Console
from rich.text import Text

from simulator.errors import BittrueError

BAD_INPUT = 2
INTERRUPTED = 130
UNBOUNDED = 10_000
"""Width of a page that nobody watches: a file or a pipe takes lines of any length."""

_P = ParamSpec("_P")


def stdout() -> Console:
    """Return the console of results: the terminal's width, or no limit in a file or pipe."""
    console = Console(highlight=False, markup=False, emoji=False, soft_wrap=True)
    if not console.is_terminal and not os.environ.get("COLUMNS", "").isdigit():
        console.width = UNBOUNDED
    return console


def stderr() -> Console:
    """Return the console of progress, notes and refusals."""
    return Console(stderr=True, highlight=False, markup=False, emoji=False, soft_wrap=True)


def refuse(message: str) -> typer.Exit:
    """Write a refusal and return the exit that goes with it."""
    stderr().print(Text.assemble(("error: ", "bold red"), message))
    return typer.Exit(BAD_INPUT)


def refusals(command: Callable[_P, None]) -> Callable[_P, None]:
    """Turn what a user can mend into a message and an exit status, without a traceback."""

    @functools.wraps(command)
    def guarded(*args: _P.args, **keywords: _P.kwargs) -> None:
        try:
            command(*args, **keywords)
        except BittrueError as error:
            raise refuse(str(error)) from None
        except BrokenPipeError:
            raise  # the reader of our output went away: typer ends quietly
        except OSError as error:
            raise refuse(f"{error.filename or 'file'}: {error.strerror or error}") from None
        except KeyboardInterrupt:
            stderr().print("interrupted")
            raise typer.Exit(INTERRUPTED) from None

    return guarded


def tolerate_unprintable() -> None:
    """Let names that the terminal's encoding lacks come out as `?` rather than end the program."""
    for stream in (sys.stdout, sys.stderr):
        reconfigure = getattr(stream, "reconfigure", None)
        if reconfigure is not None:
            reconfigure(errors="replace")
