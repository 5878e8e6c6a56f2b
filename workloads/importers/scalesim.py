"""Read SCALE-Sim 3 files: its configuration (.cfg) and its topologies (.csv), of convolutions or of GEMMs."""

from __future__ import annotations

import configparser
from collections.abc import Iterator
from pathlib import Path

from simulator.errors import NetworkError, SpecError
from simulator.timing.scalesim.work import ScaleSimConfig, ScaleSimDataflow, ScaleSimLayer

_KIB = 1024
_MAX = 1 << 31
_CONV = ("ifmap height", "ifmap width", "filter height", "filter width", "channels", "number of filters", "stride")
_GEMM = ("M", "N", "K")


def read_config(path: Path) -> ScaleSimConfig:
    """Read a configuration.

    Raises
    ------
    SpecError
        No such file, a section or key that is missing, a value that cannot be used, or a mode other than CALC.

    """
    return _ConfigFile(path).config()


class _ConfigFile:
    """A parsed file that can say where a value stands."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.parser = configparser.ConfigParser(interpolation=None)
        try:
            self.text = path.read_text(encoding="utf-8-sig")
            self.parser.read_string(self.text)
        except (OSError, UnicodeDecodeError) as error:
            raise SpecError(f"{path} cannot be read: {getattr(error, 'strerror', None) or error}") from None
        except configparser.Error as error:
            where = " ".join(str(error).replace("'<string>'", "").split())
            raise SpecError(f"{path}: {where}. Write [section] and key = value lines") from None

    def config(self) -> ScaleSimConfig:
        presets = "architecture_presets"
        self._only_calc()
        return ScaleSimConfig(
            run_name=self._text("general", "run_name", "any name"),
            rows=self._count(presets, "ArrayHeight"),
            cols=self._count(presets, "ArrayWidth"),
            ifmap_bytes=_KIB * self._count(presets, "IfmapSramSzkB"),
            filter_bytes=_KIB * self._count(presets, "FilterSramSzkB"),
            ofmap_bytes=_KIB * self._count(presets, "OfmapSramSzkB"),
            dataflow=self._dataflow(presets),
        )

    def _only_calc(self) -> None:
        mode = self._text("run_presets", "InterfaceBandwidth", "CALC")
        if mode != "CALC":
            raise self._error(
                "run_presets",
                "InterfaceBandwidth",
                mode,
                "only CALC is reproduced; USER replays a trace of the buffers",
            )
        for section, key in (("sparsity", "SparsitySupport"), ("run_presets", "UseRamulatorTrace")):
            value = self.parser.get(section, key, fallback="false")
            if value.lower() != "false":
                raise self._error(section, key, value, "is not reproduced; write false")

    def _dataflow(self, section: str) -> ScaleSimDataflow:
        value = self._text(section, "Dataflow", "ws, os or is")
        try:
            return ScaleSimDataflow(value)
        except ValueError:
            raise self._error(section, "Dataflow", value, "write ws, os or is") from None

    def _count(self, section: str, key: str) -> int:
        value = self._text(section, key, "a whole number from 1 on")
        number = _whole(value)
        if number is None:
            raise self._error(section, key, value, "write a whole number from 1 on")
        return number

    def _text(self, section: str, key: str, works: str) -> str:
        if not self.parser.has_section(section):
            raise SpecError(f"{self.path}: section [{section}] is missing; it must hold {key} = {works}")
        if not self.parser.has_option(section, key):
            line = self._line(section, "")
            raise SpecError(f"{self.path}, line {line}: [{section}] has no {key}; write {key} = {works}")
        return self.parser.get(section, key)

    def _error(self, section: str, key: str, value: str, works: str) -> SpecError:
        return SpecError(f"{self.path}, line {self._line(section, key)}: [{section}] {key} = {value}: {works}")

    def _line(self, section: str, key: str) -> int:
        """Return the line of a key, or of its section for an empty key, counted from 1."""
        current = ""
        for number, line in enumerate(self.text.splitlines(), 1):
            stripped = line.strip()
            if stripped.startswith("[") and "]" in stripped:
                current = stripped[1 : stripped.index("]")]
                if current == section and not key:
                    return number
            name = stripped.replace(":", "=").partition("=")[0].strip()
            if current == section and key and name.lower() == key.lower():
                return number
        raise AssertionError("the parser found it")


def read_topology(path: Path, *, gemm: bool) -> tuple[ScaleSimLayer, ...]:
    """Read the layers of a topology.

    The first line is a header. A name with DP in it is one layer of one channel for each channel, as in SCALE-Sim. The
    trailing comma that SCALE-Sim needs may be absent; a sparsity ratio (N:M) is read over, since without sparsity
    support SCALE-Sim does the same.

    Raises
    ------
    NetworkError
        No such file, no layers, or a row that cannot be used.

    """
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise NetworkError(f"{path} cannot be read: {getattr(error, 'strerror', None) or error}") from None
    if lines and _is_layer(lines[0]):
        raise NetworkError(f"{path}, line 1: a layer, where SCALE-Sim reads over a header; put a header line before it")
    layers: list[ScaleSimLayer] = []
    for number, line in enumerate(lines, 1):
        if number > 1 and line.strip():
            layers += _gemm_row(path, number, line) if gemm else _conv_row(path, number, line)
    if not layers:
        raise NetworkError(f"{path}: no layers; write a header line, then one layer a line")
    return tuple(layers)


def _is_layer(line: str) -> bool:
    """Whether what follows the first cell of a line are numbers."""
    cells = [cell.strip() for cell in line.strip().removesuffix(",").split(",")][1:]
    return len(cells) >= len(_GEMM) and all(_whole(cell) is not None for cell in cells[: len(_CONV)])


def _gemm_row(path: Path, number: int, line: str) -> Iterator[ScaleSimLayer]:
    name, (m, n, k) = _fields(path, number, line, _GEMM)
    yield ScaleSimLayer(name, m, k, 1, k, 1, n, 1)


def _conv_row(path: Path, number: int, line: str) -> Iterator[ScaleSimLayer]:
    name, (height, width, filter_height, filter_width, channels, filters, stride) = _fields(path, number, line, _CONV)
    for what, window, size in (("height", filter_height, height), ("width", filter_width, width)):
        if window > size:
            raise NetworkError(
                f"{path}, line {number}: layer {name}: filter {what} {window} is larger than ifmap {what} {size}; "
                f"ifmap sizes include padding, so write at least {window}"
            )
    depthwise = "DP" in name
    for channel in range(channels if depthwise else 1):
        label = f"{name}Channel_{channel}" if depthwise else name
        depth = 1 if depthwise else channels
        yield ScaleSimLayer(label, height, width, filter_height, filter_width, depth, filters, stride)


def _fields(path: Path, number: int, line: str, names: tuple[str, ...]) -> tuple[str, list[int]]:
    """Split a row into its name and one number for each of `names`."""
    cells = [cell.strip() for cell in line.strip().removesuffix(",").split(",")]
    if len(cells) not in (len(names) + 1, len(names) + 2):
        raise NetworkError(
            f"{path}, line {number}: {len(cells)} values in {line.strip()!r}; write a name, then "
            f"{', '.join(names)}, and perhaps N:M (-i conv and -i gemm tell the two kinds of topology)"
        )
    values = []
    for what, cell in zip(names, cells[1:], strict=False):
        value = _whole(cell)
        if value is None:
            raise NetworkError(f"{path}, line {number}: {what} = {cell!r}; write a whole number from 1 on")
        values.append(value)
    return cells[0], values


def _whole(text: str) -> int | None:
    """Return a whole number from 1 to 2^31, else None."""
    digits = text.strip()
    if not (digits.isascii() and digits.isdigit() and len(digits) <= 10):
        return None
    value = int(digits)
    return value if 1 <= value <= _MAX else None
