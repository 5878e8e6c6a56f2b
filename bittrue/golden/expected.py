"""Holding what came out to what a case expects."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from bittrue.golden.model import FIGURES, Expectation, GoldenFile
from bittrue.golden.result import CaseResult, Change, Failure, NewOutputs
from reports.compare import TensorDifference, compare_tensor, read_reference
from simulator.accelerator.problems import nearest
from simulator.errors import SpecError
from simulator.graph.graph import Graph
from simulator.records.run import RunRecord

Arrays = Mapping[str, NDArray[Any]]


@dataclass(frozen=True)
class Verdict:
    """What one kind of expectation came to."""

    checked: tuple[str, ...] = ()
    failures: tuple[Failure, ...] = ()
    required: tuple[Failure, ...] = ()
    """Those of `failures` that an update does not mend."""
    changes: tuple[Change, ...] = ()
    outputs: NewOutputs | None = None


@dataclass(frozen=True, eq=False)
class Expected:
    """What one case expects."""

    file: GoldenFile
    case: str
    expect: Expectation
    recording: bool
    """A .npz of outputs that is not there yet will be written."""

    @property
    def path(self) -> Path | None:
        """File of expected tensors."""
        return None if self.expect.outputs is None else self.file.path.parent / self.expect.outputs

    @cached_property
    def outputs(self) -> Arrays | None:
        """Expected tensors; None where there is no file of them (yet)."""
        if self.path is None or (self.recording and self.path.suffix == ".npz" and not self.path.exists()):
            return None
        if not self.path.is_file():
            advice = "; `bittrue check --update` writes it" if self.path.suffix == ".npz" else ""
            raise SpecError(f"outputs {self.path}: no such file{advice}")
        found = read_reference(self.path)
        if not found or "" in found:
            raise SpecError(f"outputs {self.path}: holds no arrays by name")
        return found

    def location(self, *keys: str) -> tuple[str, ...]:
        """Keys from the top of the golden."""
        return ("cases", self.case, "expect", *keys)

    def failure(self, key: str, text: str) -> Failure:
        """Return a failure at a key of this expectation."""
        return Failure(self.file.line(*self.location(key)), text)

    def tensor_names(self, graph: Graph) -> set[str]:
        """Return the tensors that must be known; SpecError where the network has no such tensor that is computed."""
        names = {*(self.outputs or ()), *(self.expect.hashes or ())}
        computed = [*graph.inputs, *(name for node in graph.nodes for name in node.outputs)]
        for name in names:
            if name not in computed:
                raise SpecError(f"{graph.name} computes no tensor {name!r}{nearest(name, computed)}")
        return names

    def hashed(self, outputs: Iterable[str]) -> list[str]:
        """Return the tensors to hash: those named, or all outputs."""
        if "hashes" not in self.expect.model_fields_set:
            return []
        return list(self.expect.hashes or outputs)

    def result(self, record: RunRecord, tensors: Arrays, *verdicts: Verdict) -> CaseResult:
        """Return the verdicts as one."""
        return CaseResult(
            self.case,
            record,
            tuple(name for verdict in verdicts for name in verdict.checked),
            tuple(failure for verdict in verdicts for failure in verdict.failures),
            tuple(failure for verdict in verdicts for failure in verdict.required),
            tuple(change for verdict in verdicts for change in verdict.changes),
            next((verdict.outputs for verdict in verdicts if verdict.outputs), None),
            tensors,
        )


def describe(difference: TensorDifference) -> str:
    """Say where a tensor differs: first value expected, second found."""
    d = difference
    if d.reason:
        return f"{d.name}: {d.reason}"
    place = ", ".join(map(str, d.coordinates))
    return (
        f"{d.name}[{place}]: {d.first} expected, {d.second} found; {d.differing:,} of {d.elements:,} values differ, "
        f"by {d.greatest} at most"
    )


def judge_outputs(expected: Expected, tensors: Arrays, outputs: Arrays) -> Verdict:
    """Hold tensors to the file of expected ones; a new .npz gets the network's outputs."""
    path = expected.path
    if path is None:
        return Verdict()
    wanted = expected.outputs
    if wanted is None:
        lines = tuple(f"{name}: not recorded -> {value.dtype} {list(value.shape)}" for name, value in outputs.items())
        failure = expected.failure("outputs", f"{path}: not recorded")
        return Verdict((path.name,), (failure,), (), (), NewOutputs(path, dict(outputs), lines))
    tolerance = expected.expect.tolerance
    compared = [compare_tensor(name, value, tensors.get(name), tolerance) for name, value in wanted.items()]
    different = [difference for difference in compared if difference is not None]
    failures = tuple(expected.failure("outputs", describe(difference)) for difference in different)
    if path.suffix == ".json" or not different:  # somebody else's results are not ours to renew
        return Verdict(tuple(wanted), failures, failures)
    lines = tuple(f"{describe(d).replace(' expected, ', ' -> ').replace(' found', '')}" for d in different)
    return Verdict(tuple(wanted), failures, (), (), NewOutputs(path, {name: tensors[name] for name in wanted}, lines))


def judge_hashes(expected: Expected, found: Mapping[str, str]) -> Verdict:
    """Hold hashes, by tensor name, to those of the golden."""
    given = expected.expect.hashes
    checked = tuple(f"{name} by hash" for name in found)
    if not given:
        if not found:
            return Verdict()
        failure = expected.failure("hashes", "hashes: not recorded; `bittrue check --update` fills them in")
        return Verdict(checked, (failure,), (), (Change(expected.location("hashes"), None, dict(found)),))
    wrong = [name for name, digest in found.items() if given[name] != digest]
    failures = []
    for name in wrong:
        line = expected.file.line(*expected.location("hashes", name))
        old = given[name]
        text = "not recorded; `bittrue check --update` fills it in"
        if old:
            text = f"{old} expected, {found[name]} found (a hash does not tell where: keep `outputs` to know)"
        failures.append(Failure(line, f"{name}: {text}"))
    changes = tuple(Change(expected.location("hashes", name), given[name], found[name]) for name in wrong)
    return Verdict(checked, tuple(failures), (), changes)


def judge_figures(expected: Expected, record: RunRecord) -> Verdict:
    """Hold the run's figures to their bounds."""
    names = [name for name in FIGURES if name in expected.expect.model_fields_set]
    failures, required, changes = [], [], []
    for name in names:
        found = getattr(record, name)
        bound = getattr(expected.expect, name)
        location = expected.location(name)
        if bound is None or ("value" in bound.model_fields_set and not bound.allows_value(found)):
            golden = None if bound is None else bound.value
            failures.append(expected.failure(name, _figure_text(name, golden, found, bound)))
            inside = (*location, "value") in expected.file.document.spans
            changes.append(Change((*location, "value") if inside else location, golden, found))
        for word, limit in (("at least", bound and bound.least), ("at most", bound and bound.most)):
            if limit is not None and (found < limit if word == "at least" else found > limit):
                required.append(expected.failure(name, f"{name}: {word} {limit:,} required, {found:,} found"))
    return Verdict(tuple(names), (*failures, *required), tuple(required), tuple(changes))


def _figure_text(name: str, golden: float | None, found: float, bound: Any) -> str:
    if golden is None:
        return f"{name}: not recorded ({found:,} found); `bittrue check --update` fills it in"
    within = f" within {bound.within_percent:g} %" if bound.within_percent else ""
    change = f" ({100 * (found - golden) / golden:+.2f} %)" if golden else ""
    return f"{name}: {golden:,}{within} expected, {found:,} found{change}"
