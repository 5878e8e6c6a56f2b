"""What every field of a record means, taken from the docstring that stands under it in the source."""

from __future__ import annotations

import ast
import inspect
from collections.abc import Iterator
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cache
from types import ModuleType

from simulator.errors import SpecError
from simulator.records import accumulator_sweep, activity, evaluation, layer, overflow, run

_PLACES = {
    "LayerRecord": (layer, "layers[i]."),
    "EnergyRecord": (layer, "layers[i].energy."),
    "ActivityRecord": (activity, "layers[i].activity."),
    "OverflowRecord": (overflow, "layers[i].overflow."),
    "FirstEvent": (overflow, "layers[i].overflow.first_event."),
    "RunRecord": (run, ""),
    "Segmentation": (run, "segmentation."),
    "TraceEvent": (run, "events[i]."),
    "SweepPoint": (accumulator_sweep, "accumulator_sweep[i]."),
    "OutputError": (accumulator_sweep, "accumulator_sweep[i].outputs[i]."),
    "EvaluationRecord": (evaluation, "evaluation."),
    "EvaluationRow": (evaluation, "evaluation.rows[i]."),
    "UnusableSample": (evaluation, "evaluation.unusable[i]."),
}
"""Module of each record class, and how a field of it is reached from a RunRecord (``evaluation``: from what `evaluate`
returns)."""


@dataclass(frozen=True)
class Explanation:
    """One field or property of a record."""

    record: str
    """Class it belongs to, e.g. LayerRecord."""
    field: str
    """Its name, e.g. stall_cycles."""
    type: str
    """Its type, as the source has it."""
    text: str
    """What it means, in one line, with its formula."""

    @property
    def path(self) -> str:
        """How it is reached from a RunRecord, e.g. layers[i].overflow.events."""
        return _PLACES[self.record][1] + self.field


@cache
def explanations() -> tuple[Explanation, ...]:
    """Every field and property of every record, layers first, in the order of the source."""
    return tuple(item for name, (module, _) in _PLACES.items() for item in attributes(module, name))


def explain(name: str) -> tuple[Explanation, ...]:
    """Return what `name` means: more than one where several records have such a field.

    Parameters
    ----------
    name
        A field, alone (``events``), by record (``LayerRecord.macs``) or by path (``overflow.events``).

    Raises
    ------
    SpecError
        No record has such a field; the message names the nearest ones.

    """
    found = tuple(item for item in explanations() if _means(name, item))
    if found:
        return found
    fields = sorted({item.field for item in explanations()})
    wanted = name.rpartition(".")[2].lower()
    near = get_close_matches(wanted, fields, n=3, cutoff=0.6) or [field for field in fields if wanted in field][:3]
    hint = f"did you mean {' or '.join(near)}?" if near else "`bittrue explain` alone lists them all"
    raise SpecError(f"no record has a field {name!r}; {hint}")


def _means(name: str, item: Explanation) -> bool:
    whole = item.path.replace("[i]", "")
    return name in (item.field, f"{item.record}.{item.field}", whole) or whole.endswith(f".{name}")


def attributes(module: ModuleType, name: str) -> Iterator[Explanation]:
    """Yield every field and property of the class of that name in `module`, with the docstring under it."""
    tree = ast.parse(inspect.getsource(module))
    body = next(node.body for node in tree.body if isinstance(node, ast.ClassDef) and node.name == name)
    for node, after in zip(body, [*body[1:], None], strict=True):
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            yield Explanation(name, node.target.id, ast.unparse(node.annotation), _text(after))
        elif isinstance(node, ast.FunctionDef) and any(
            ast.unparse(d) in ("property", "cached_property") for d in node.decorator_list
        ):
            returns = ast.unparse(node.returns) if node.returns else ""
            yield Explanation(name, node.name, returns, _text(node.body[0]))


def _text(node: ast.stmt | None) -> str:
    if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str):
        return " ".join(node.value.value.split())
    return ""
