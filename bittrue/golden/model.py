"""Golden: networks on accelerators, with what each must give. The YAML keys are the fields."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import AfterValidator, BeforeValidator, Field, ValidationError, model_validator

from accel_models.yaml_document import Document, parse_document, read_document
from bittrue.sweeping.space import NetworkChoice
from simulator.accelerator.base import Spec
from simulator.accelerator.problems import problems
from simulator.errors import SpecError

FIGURES = ("total_cycles", "total_energy_pj", "dram_bytes", "overflow_events")
"""Fields of RunRecord that can be bounded."""
_VALUES = ("outputs", "hashes", "overflow_events")
"""Expectations that need inputs."""


class Bound(Spec):
    """What a figure may be."""

    value: int | float | None = None
    """The golden figure; `--update` renews it."""
    within_percent: float = Field(default=0, ge=0)
    """How far from `value` it may lie, in per cent of it; 0 = equal."""
    least: int | float | None = None
    """A requirement, which `--update` leaves alone."""
    most: int | float | None = None
    """A requirement, which `--update` leaves alone."""

    @model_validator(mode="after")
    def _bounds_something(self) -> Self:
        if not self.model_fields_set & {"value", "least", "most"}:
            raise ValueError("give value, least or most")
        if self.within_percent and "value" not in self.model_fields_set:
            raise ValueError("within_percent: is of a value; give it too")
        return self

    def allows_value(self, found: float) -> bool:
        """Whether `found` is the golden figure, as far as it is asked to be."""
        return self.value is not None and abs(found - self.value) * 100 <= self.within_percent * abs(self.value)


def _as_bound(value: Any) -> Any:
    return {"value": value} if isinstance(value, int | float) and not isinstance(value, bool) else value


def _as_file(value: Any) -> Any:
    return {"file": value} if isinstance(value, str) else value


def _as_network(value: Any) -> Any:
    return {"network": value} if isinstance(value, str) else value


def _as_hash(value: str | None) -> str | None:
    if value is not None and not re.fullmatch(r"sha256:[0-9a-f]{64}", value):
        raise ValueError(
            f"{value!r} is no hash: write sha256: and 64 hexadecimal digits, or nothing for --update to fill"
        )
    return value


Figure = Annotated[Bound | None, BeforeValidator(_as_bound)]


class CaseInputs(Spec):
    """What a case runs on."""

    file: str | None = None
    """An image, .npy, .npz, or the manifest.json of vectors; relative to the golden's own file."""
    seed: int | None = Field(default=None, ge=0)
    """Random integers of each input's whole range."""

    @model_validator(mode="after")
    def _is_one_of_both(self) -> Self:
        if (self.file is None) == (self.seed is None):
            raise ValueError("give exactly one of file and seed")
        return self


class Expectation(Spec):
    """What a case must give. A key without a value is not recorded yet: `--update` fills it in."""

    outputs: str | None = None
    """A .npz of tensors by name, or the manifest.json of vectors; relative to the golden's own file."""
    tolerance: int = Field(default=0, ge=0)
    """Difference of values of `outputs` that is none."""
    hashes: dict[str, Annotated[str | None, AfterValidator(_as_hash)]] | None = None
    """`sha256:...` by tensor name; without any, --update takes all outputs."""
    total_cycles: Figure = None
    """Cycles of the run."""
    total_energy_pj: Figure = None
    """Energy of the run, picojoules."""
    dram_bytes: Figure = None
    """DRAM bytes read and written."""
    overflow_events: Figure = None
    """Events of all layers, partial sums and accumulators."""

    @model_validator(mode="after")
    def _expects_something(self) -> Self:
        given = self.model_fields_set - {"tolerance"}
        if not given:
            raise ValueError(f"nothing is expected; give some of outputs, hashes, {', '.join(FIGURES)}")
        if "outputs" in given and self.outputs is None:
            raise ValueError("outputs: has no value; name the .npz that --update shall write")
        if self.outputs is not None and not self.outputs.endswith((".npz", ".json")):
            raise ValueError(f"outputs: {self.outputs!r} is neither a .npz nor the manifest.json of vectors")
        return self


class Case(Spec):
    """A network on an accelerator."""

    network: Annotated[NetworkChoice, BeforeValidator(_as_network)]
    """Built-in name or file (relative to the golden's own), or a mapping with a built-in one's keywords beside it."""
    accelerator: str
    """Preset or YAML file (relative to the golden's own)."""
    changes: dict[str, Any] = Field(default_factory=dict)
    """Changes of the accelerator by dotted key."""
    inputs: Annotated[CaseInputs | None, BeforeValidator(_as_file)] = None
    """A file, or {seed: N} for random integers; without them, timing only."""
    seed: int = Field(default=0, ge=0)
    """Of stochastic rounding."""
    expect: Expectation
    """What must come out."""

    @model_validator(mode="after")
    def _has_inputs_for_values(self) -> Self:
        needed = [key for key in _VALUES if key in self.expect.model_fields_set]
        if needed and self.inputs is None:
            raise ValueError(
                f"inputs: missing; {needed[0]} needs values. Give a file, or {{seed: 0}} for random integers"
            )
        return self


class Golden(Spec):
    """Cases that must not change."""

    description: str = ""
    """What is guarded, in a sentence."""
    cases: dict[str, Case] = Field(min_length=1)
    """What is held, by names of your own."""


@dataclass(frozen=True, eq=False)
class GoldenFile:
    """A golden as it was read, to be written back with its comments."""

    path: Path
    golden: Golden
    document: Document
    text: str
    """What the document was parsed from."""

    def near(self, name: str) -> str:
        """Return a file beside the golden where there is one of that name, else the name as it is."""
        nearby = self.path.parent / name
        return str(nearby) if nearby.is_file() else name

    def line(self, *location: str) -> int:
        """Line of a key."""
        return self.document.line(location)


def read_golden(path: Path) -> GoldenFile:
    """Read a golden.

    Raises
    ------
    SpecError
        The file cannot be read, or what is in it is no golden: every problem with its line.

    """
    read_document(path)  # says what is wrong with a file that is no YAML document
    text = path.read_bytes().decode("utf-8-sig")
    document = parse_document(text, str(path))
    try:
        golden = Golden.model_validate(document.data)
    except ValidationError as error:
        lines = [f"{path}:{document.line(p.location)}: {p}" for p in problems(error, Golden)]
        raise SpecError("\n".join(lines)) from None
    if document.problems:
        raise SpecError("\n".join(f"{path}:{line}: {text}" for line, text in document.problems))
    return GoldenFile(path, golden, document, text)
