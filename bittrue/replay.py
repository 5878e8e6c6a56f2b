"""What a saved run was asked for: kept beside it, so that it can be run again."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any

from simulator.errors import InputError, RunFolderError

COMMAND_FILE = "command.json"


@dataclass(frozen=True)
class RunCommand:
    """A `bittrue run`, but for the accelerator, which run.json holds whole, and what changes no bit."""

    network: str
    """Name, or absolute path."""
    net: tuple[str, ...] = ()
    """--net, KEY=VALUE."""
    input: str | None = None
    """Absolute path; None = timing only."""
    input_sha256: str = ""
    """Of that file's bytes."""
    scheme: str | None = None
    calibration: str | None = None
    activation_scales: str | None = None
    values_only: bool = False
    keep_tensors: bool = False
    ledger: str = "fast"
    activity: bool = False
    accumulator_sweep: tuple[int, ...] = ()
    seed: int = 0
    batch: int = 1
    """Images in one run."""

    def write(self, folder: Path) -> None:
        """Write it to the folder of the run, whole or not at all; RunFolderError where that fails."""
        path = folder / COMMAND_FILE
        draft = path.with_suffix(".new")
        try:
            draft.write_text(json.dumps(asdict(self), indent=2) + "\n", encoding="utf-8")
            draft.replace(path)
        except OSError as error:
            draft.unlink(missing_ok=True)
            raise RunFolderError(f"{path} cannot be written: {error.strerror or error}") from None

    def with_digest(self) -> RunCommand:
        """Return it with absolute paths and the digest of the input as it is now."""
        network = Path(self.network)
        named = replace(self, network=str(network.resolve()) if network.exists() else self.network)
        if self.input is None:
            return named
        path = Path(self.input).resolve()
        return replace(named, input=str(path), input_sha256=_digest(path))

    def check_input(self) -> None:
        """Raise InputError where the input is gone or is not what it was."""
        if self.input is None:
            return
        path = Path(self.input)
        if not path.is_file():
            raise InputError(f"input {path}: it is gone; the run cannot be replayed without it")
        if _digest(path) != self.input_sha256:
            raise InputError(f"input {path}: it is not the file that the saved run read (SHA-256 {self.input_sha256})")


def read_command(folder: Path) -> RunCommand:
    """Read what a saved run was asked for; RunFolderError where the folder does not say, or is damaged."""
    path = folder / COMMAND_FILE
    if not path.is_file():
        raise RunFolderError(
            f"{folder} does not say how it was made: only what `bittrue run -o` saved, and not a training step, "
            f"holds {COMMAND_FILE}"
        )
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
        known = {field.name for field in fields(RunCommand)}
        if not isinstance(data, dict) or not set(data) <= known:
            raise ValueError("unknown entries")
        return RunCommand(**{key: _tuple(value) for key, value in data.items()})
    except (OSError, ValueError, TypeError) as error:
        raise RunFolderError(f"{path} is damaged ({error})") from None


def _tuple(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
