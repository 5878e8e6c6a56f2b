"""What a saved run was asked for: kept beside it, so that it can be run again."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any

from bittrue.moved_files import SearchPlan, digest
from simulator.errors import InputError, RunFolderError

COMMAND_FILE = "command.json"
_WEIGHTS = "weights="


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
    network_sha256: str = ""
    """Of the network's file; empty for a name, and for runs of earlier versions."""
    weights_sha256: str = ""
    """Of the file of --net weights=FILE."""

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
        """Return it with absolute paths and the digests of its files as they are now."""
        network = Path(self.network)
        named = replace(
            self,
            network=str(network.resolve()) if network.exists() else self.network,
            network_sha256=digest(network) if network.is_file() else "",
        )
        if weights := self._weights():
            named = named._with_weights(weights.resolve())
            named = replace(named, weights_sha256=digest(weights) if weights.is_file() else "")
        if self.input is None:
            return named
        path = Path(self.input).resolve()
        return replace(named, input=str(path), input_sha256=digest(path))

    def located(self, plan: SearchPlan) -> tuple[RunCommand, tuple[str, ...]]:
        """Return it with the files that were moved where `plan` finds them, and what to tell of each.

        A network or weights that are where they were are taken as they are now: whether they changed is what a replay
        tells. An input is the very file that was read.

        Raises
        ------
        InputError
            A file is gone, or the input is not what it was, and no file with its digest is found.

        """
        found, told = self, list[str]()
        if self.network_sha256 and not Path(self.network).is_file():
            moved = _moved("network", Path(self.network), self.network_sha256, plan, told)
            found = replace(found, network=str(moved))
        weights = self._weights()
        if weights and self.weights_sha256 and not weights.is_file():
            found = found._with_weights(_moved("weights", weights, self.weights_sha256, plan, told))
        if self.input is not None:
            path = Path(self.input)
            if not path.is_file() or digest(path) != self.input_sha256:
                found = replace(found, input=str(_moved("input", path, self.input_sha256, plan, told)))
        return found, tuple(told)

    def _weights(self) -> Path | None:
        """File of --net weights=FILE; None where weights are not from a file."""
        text = next((text for text in self.net if text.startswith(_WEIGHTS)), "")
        path = Path(text.removeprefix(_WEIGHTS))
        return path if path.suffix and (path.exists() or self.weights_sha256) else None

    def _with_weights(self, path: Path) -> RunCommand:
        return replace(self, net=tuple(f"{_WEIGHTS}{path}" if t.startswith(_WEIGHTS) else t for t in self.net))


def _moved(kind: str, path: Path, sha256: str, plan: SearchPlan, told: list[str]) -> Path:
    moved = plan.find(path, sha256)
    if moved is None:
        reason = "it is not the file that the saved run read" if path.is_file() else "it is gone"
        raise InputError(
            f"{kind} {path}: {reason}, and no other {path.suffix} file with its SHA-256 {sha256} lies in {plan}; "
            "say where to look: --search DIR"
        )
    told.append(f"{kind} {path} was moved: taken from {moved}, which has the same SHA-256")
    return moved


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
