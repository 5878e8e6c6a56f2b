"""The examples of a Markdown page, found by Sybil: run in the page's order, what they print compared with the page.

A fenced block is one of

* Python (``>>>`` lines with what they print, or plain statements), run in the page's own namespace;
* commands, each behind ``$``, with what they print, or copied as they are, and then they only must succeed;
* what a comment before it says: ``<!-- file: NAME -->`` is written to the folder in which the page's examples run,
  ``<!-- not run: REASON -->`` is left alone. ``<!-- examples not run: REASON -->`` holds for the whole page;
* anything else: shown, not run.

``...`` in what is printed stands for anything, as in doctest.
"""

from __future__ import annotations

import doctest
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from sybil import Document, Example, Region
from sybil.evaluators.doctest import DocTestEvaluator
from sybil.evaluators.python import PythonEvaluator
from sybil.parsers.abstract.doctest import DocTestStringParser
from sybil.parsers.markdown.lexers import FencedCodeBlockLexer
from typer.testing import CliRunner

from bittrue.cli import app

ROOT = Path(__file__).parents[2]
OPTIONS = doctest.ELLIPSIS
BAD_INPUT = 2
COMMAND = re.compile(
    r"^(\$ |(\.venv/bin/)?(bittrue [a-z]|(python3?|pip|pytest) )|make \w|[A-Z_]+=\S+ \w|mkdir |for \w+ in )"
)
_COMMENT = re.compile(r"<!-- (not run|file): ([^>]*?) -->\s*$")
_WHOLE_PAGE = re.compile(r"^<!-- examples not run: [^>]+ -->$", re.MULTILINE)
_BLOCKS = FencedCodeBlockLexer(language=r"[^\n]*")
_PYTHON = PythonEvaluator(["annotations"])
_DOCTESTS = DocTestStringParser(DocTestEvaluator(OPTIONS))


@dataclass(frozen=True)
class Block:
    """A fenced block and what is to be done with it: python, doctest, commands, file, not run or shown."""

    region: Region
    role: str
    name: str
    """Of a file; the reason why a block is not run."""
    text: str


def blocks(page: Path) -> Iterator[Block]:
    """Yield the fenced blocks of a page."""
    document = Document(page.read_text(encoding="utf-8"), str(page))
    for region in _BLOCKS(document):
        comment = _COMMENT.search(document.text[: region.start])
        text = str(region.lexemes["source"])
        role, name = comment.groups() if comment else (_role(region.lexemes["language"], text), "")
        yield Block(region, role, name, text)


def is_run(page: Path) -> bool:
    """Whether the page's examples are run at all."""
    return not _WHOLE_PAGE.search(page.read_text(encoding="utf-8"))


def parser(document: Document) -> Iterator[Region]:
    """Yield what is to be evaluated of a page: a parser for `sybil.Document.parse`."""
    for block in blocks(Path(document.path)):
        region = block.region
        region.parsed = region.lexemes["source"]
        if block.role == "doctest":
            for part in _DOCTESTS(region.parsed, document.path):
                part.adjust(region, region.parsed)
                yield part
        elif block.role == "python":
            region.evaluator = _PYTHON
            yield region
        elif block.role == "commands":
            region.evaluator = _run_commands
            yield region
        elif block.role == "file":
            region.evaluator = _Writer(block.name)
            yield region


def _role(language: str, text: str) -> str:
    if language == "python":
        return "doctest" if text.startswith(">>>") else "python"
    if not language and any(COMMAND.match(line) for line in text.splitlines()):
        return "commands"
    return "shown"


@dataclass(frozen=True)
class _Writer:
    name: str

    def __call__(self, example: Example) -> None:
        Path(self.name).parent.mkdir(parents=True, exist_ok=True)
        Path(self.name).write_text(example.parsed, encoding="utf-8")


def _run_commands(example: Example) -> str | None:
    for command, expected in transcript(example.parsed):
        status, found = run(command)
        if expected is None:
            if status:
                return f"{command}\nended with status {status}:\n{found}"
        elif not doctest.OutputChecker().check_output(expected, found, OPTIONS):
            return f"{command}\nexpected:\n{expected}\nprinted:\n{found}"
    return None


def transcript(text: str) -> list[tuple[str, str | None]]:
    """Return (command, what it prints) of a block; None = not compared."""
    joined = re.sub(r"\\\n\s*", "", text)
    if not joined.startswith("$ "):
        return [(line, None) for line in joined.splitlines() if line.strip() and not line.startswith("#")]
    parts = re.split(r"^\$ ", joined, flags=re.MULTILINE)[1:]
    found = []
    for part in parts:
        command, _, printed = part.partition("\n")
        printed = re.sub(r"\n\n+\Z", "\n", printed)  # a blank line before the next command
        found.append((command, printed))
    return found


def run(command: str) -> tuple[int, str]:
    """Run a command in the current folder; its status and what it prints: results, or the refusal."""
    words = shlex.split(command, comments=True)
    if words[0] in ("bittrue", ".venv/bin/bittrue") and not {"|", ">", ";", "&&"} & set(words):
        result = CliRunner().invoke(app, words[1:])
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        return result.exit_code, result.stdout + (result.stderr if result.exit_code == BAD_INPUT else "")
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
    environment = {**os.environ, "PATH": path, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, env=environment, check=False)
    return done.returncode, done.stdout + done.stderr
