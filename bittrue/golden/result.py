"""What a check found."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from bittrue.golden.model import GoldenFile
from simulator.records.run import RunRecord


@dataclass(frozen=True)
class Failure:
    """One expectation that was not met."""

    line: int
    """Of the golden."""
    text: str
    """Which tensor or figure, what was expected, what was found."""


@dataclass(frozen=True, eq=False)
class Change:
    """A value of the golden that `--update` renews."""

    location: tuple[str, ...]
    """Keys from the top of the golden."""
    old: Any
    """None = not recorded yet."""
    new: Any
    """A number, a hash, or hashes by tensor name."""

    def __str__(self) -> str:
        key = ".".join(part for part in self.location[1:] if part not in ("expect", "value"))
        percent = ""
        if isinstance(self.old, int | float) and self.old and isinstance(self.new, int | float):
            percent = f"  ({100 * (self.new - self.old) / self.old:+.2f} %)"
        return f"{key}: {_shown(self.old)} -> {_shown(self.new)}{percent}"


@dataclass(frozen=True, eq=False)
class NewOutputs:
    """A .npz of expected tensors that `--update` writes anew."""

    path: Path
    arrays: Mapping[str, NDArray[Any]]
    lines: tuple[str, ...]
    """Old and new of each tensor that changes."""


def _shown(value: Any) -> str:
    if value is None or value == {}:
        return "not recorded"
    if isinstance(value, dict):
        return ", ".join(f"{name} {_shown(digest)}" for name, digest in value.items())
    if isinstance(value, str):
        return value[:23] + "..." if len(value) > 26 else value
    return f"{value:,}"


@dataclass(frozen=True, eq=False)
class CaseResult:
    """What one case gave."""

    name: str
    record: RunRecord | None
    """None where a register that traps stopped the run."""
    checked: tuple[str, ...]
    """Tensors and figures that were held to the golden."""
    failures: tuple[Failure, ...] = ()
    required: tuple[Failure, ...] = ()
    """Those of `failures` that `--update` does not mend."""
    changes: tuple[Change, ...] = ()
    outputs: NewOutputs | None = None
    tensors: Mapping[str, NDArray[Any]] = field(default_factory=dict, repr=False)
    """What the simulator computed: the outputs, and the tensors that the golden names."""


@dataclass(frozen=True, eq=False)
class CheckResult:
    """What a golden's cases gave."""

    file: GoldenFile
    cases: tuple[CaseResult, ...]

    @property
    def passed(self) -> bool:
        """Whether every expectation was met."""
        return not any(case.failures for case in self.cases)

    @property
    def changed(self) -> bool:
        """Whether `--update` has something to write."""
        return any(case.changes or case.outputs for case in self.cases)

    def lines(self) -> list[str]:
        """Return a line a case, and below it one for each expectation that was not met."""
        found = []
        for case in self.cases:
            found.append(f"{case.name}: {'FAILED' if case.failures else 'passed'}  ({', '.join(case.checked)})")
            found += [f"  {self.file.path}:{failure.line}: {failure.text}" for failure in case.failures]
        failed = sum(bool(case.failures) for case in self.cases)
        return [*found, f"{failed} of {len(self.cases)} cases failed" if failed else f"{len(self.cases)} passed"]

    def update_lines(self) -> list[str]:
        """Return what `--update` changes: old -> new."""
        found = []
        for case in self.cases:
            found += [str(change) for change in case.changes]
            found += [f"{case.name}.{line}" for line in (case.outputs.lines if case.outputs else ())]
        return found
