"""Load accelerators and energy tables: presets by name, files by path. A file's every problem is told with its line."""

from __future__ import annotations

from collections.abc import Sequence
from difflib import get_close_matches
from functools import lru_cache
from pathlib import Path
from typing import TypeVar

from pydantic import ValidationError

from accel_models.registry import EnergyTableSource, registered_energy_table, registered_energy_tables
from accel_models.yaml_document import Document, read_document
from simulator.accelerator.base import Spec
from simulator.accelerator.energy import EnergyTable
from simulator.accelerator.problems import problems
from simulator.accelerator.spec import Accelerator
from simulator.accelerator.technology import Technology
from simulator.errors import SpecError
from simulator.plugins import ACCELERATORS, broken, load_plugin, plugins

_HERE = Path(__file__).parent
_SpecT = TypeVar("_SpecT", bound=Spec)
_COMPONENTS = set(Technology.model_fields) - set(EnergyTable.model_fields)
"""Keys that only a technology has."""


def load_accelerator(name_or_path: str | Path) -> Accelerator:
    """Load a preset by name (see `preset_names`), a plugin's accelerator, or an accelerator from a YAML file.

    An `energy_table` that is a file is looked up beside the accelerator's own file.

    Raises
    ------
    SpecError
        No such preset or file, or a file with problems: every one of them, a line each, with its line number.
    PluginError
        A plugin that cannot be loaded, or fails.

    """
    if not isinstance(name_or_path, str | Path):
        raise SpecError(f"an accelerator is loaded by name or path, not {name_or_path!r}")
    presets = _presets()
    path = presets.get(name_or_path) if isinstance(name_or_path, str) else None
    if path is None and name_or_path in plugin_names():
        path = _plugin_file(str(name_or_path))
    path = path or Path(name_or_path)
    if not path.is_file():
        raise SpecError(_not_found("accelerator", "presets", str(name_or_path), [*presets, *plugin_names()]))
    document = read_document(path)
    accelerator, found = _validate(document, Accelerator)
    if accelerator is not None and not found:
        try:
            return _with_energy_table(accelerator, path.parent)
        except SpecError as error:
            found = [(document.line(("energy_table",)), f"energy_table: {error}")]
    raise SpecError(_report(document, found))


def preset_names() -> tuple[str, ...]:
    """Names of the accelerators that come with the package, sorted."""
    return tuple(_presets())


def plugin_names() -> tuple[str, ...]:
    """Names of the accelerators that plugins bring, sorted; a preset comes before one of the same name."""
    return tuple(name for name in plugins(ACCELERATORS) if name not in _presets())


def _plugin_file(name: str) -> Path:
    provider = load_plugin(ACCELERATORS, name)
    try:
        return Path(provider())
    except Exception as error:  # whatever the code of others raises
        raise broken(ACCELERATORS, name, error) from error


def load_energy_table(name_or_path: str | Path, relative_to: str | Path | None = None) -> EnergyTable | Technology:
    """Load a registered energy table by name (see `energy_table_names`) or one from a YAML file.

    A file that says what components cost (`sram`, `adder` ...) is a Technology, which prices any device; one that says
    what actions cost is an EnergyTable, the prices of one device.

    Parameters
    ----------
    name_or_path
        As in an accelerator's `energy_table`; what ends in .yaml or holds a slash is a file.
    relative_to
        Folder in which a relative path is looked up; None = the current one.

    Raises
    ------
    SpecError
        No such table or file, a name registered twice, or a file with problems (all of them, with line numbers).

    """
    source = _energy_table_source(name_or_path, Path(relative_to or ""))
    if isinstance(source, EnergyTable | Technology):
        return source
    path = Path(source)
    try:
        status = path.stat()
    except OSError:
        return _read_table(path, 0, 0)  # tells what is wrong with it
    return _read_table(path, status.st_mtime_ns, status.st_size)


def energy_table_names() -> tuple[str, ...]:
    """Names of every registered energy table, sorted."""
    return tuple(sorted(registered_energy_tables()))


def builtin_energy_tables() -> dict[str, EnergyTableSource]:
    """Energy tables that come with the package, by name; registered like any other provider's."""
    return {path.stem: path for path in sorted((_HERE / "energy").glob("*.yaml"))}


def _presets() -> dict[str, Path]:
    return {path.stem: path for path in sorted((_HERE / "presets").glob("*.yaml"))}


def _validate(document: Document, model: type[_SpecT]) -> tuple[_SpecT | None, list[tuple[int, str]]]:
    """Validate what a file says: None where that is invalid, and (line, problem) of each problem."""
    found = list(document.problems)
    try:
        return model.model_validate(document.data), found
    except ValidationError as error:
        told = {text.partition(":")[0] for _, text in found}
        found += [(document.line(p.location), str(p)) for p in problems(error, model) if p.key not in told]
    return None, found


def _whole(document: Document, model: type[_SpecT]) -> _SpecT:
    found, wrong = _validate(document, model)
    if found is None or wrong:
        raise SpecError(_report(document, wrong))
    return found


@lru_cache(maxsize=64)
def _read_table(path: Path, mtime_ns: int, size: int) -> EnergyTable | Technology:
    """Read a table, once for as long as its file stays what it is: a sweep asks for it at every point."""
    document = read_document(path)
    if _COMPONENTS & set(document.data):
        return _whole(document, Technology)
    return _whole(document, EnergyTable)


def _report(document: Document, found: Sequence[tuple[int, str]]) -> str:
    # On one line a misspelt key comes before the key that is missing because of it.
    ordered = sorted(found, key=lambda item: (item[0], ": missing" in item[1]))
    return "\n".join(f"{document.name}:{line}: {text}" for line, text in ordered)


def _with_energy_table(accelerator: Accelerator, folder: Path) -> Accelerator:
    """Return the accelerator with its energy table known to exist; a file's path as seen from the current folder."""
    source = _energy_table_source(accelerator.energy_table, folder)
    if not _is_file_name(accelerator.energy_table):
        return accelerator
    return accelerator.model_copy(update={"energy_table": str(source)})


def _energy_table_source(name_or_path: str | Path, folder: Path) -> EnergyTableSource:
    if not _is_file_name(name_or_path):
        found = registered_energy_table(str(name_or_path))
        if found is None:
            raise SpecError(_not_found("energy table", "tables", str(name_or_path), energy_table_names()))
        return found
    path = folder / name_or_path
    if not path.is_file():
        raise SpecError(_not_found("energy table", "tables", str(path), energy_table_names()))
    return path


def _is_file_name(name_or_path: str | Path) -> bool:
    text = str(name_or_path)
    return isinstance(name_or_path, Path) or text.endswith((".yaml", ".yml")) or "/" in text or "\\" in text


def _not_found(what: str, plural: str, name: str, known: Sequence[str]) -> str:
    close = get_close_matches(Path(name).stem.lower(), known, n=1, cutoff=0.5)
    hint = f"did you mean {close[0]}? " if close else ""
    if _is_file_name(name):
        reason = "it is a folder" if Path(name).is_dir() else "there is no such file"
        return f"{what} {name!r}: {reason}; {hint}{plural}: {', '.join(known)}"
    return f"no {what} is called {name!r}; {hint}{plural}: {', '.join(known)}; or give the path of a YAML file"
