"""A training step by its parts: forward, dgrad, wgrad, batch norm, quantizers, updates."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from reports.sums import summed
from reports.tables import cells_of
from simulator.records.layer import LayerRecord
from simulator.records.run import RunRecord

_NORMS = ("L1Statistics", "L2Statistics", "NormalizeChannels", "AffineChannels", "AffineQuantize", "RunningAverage")
_UPDATES = ("Update", "MomentumUpdate")
_ROLES = {
    **dict.fromkeys(_NORMS, "batch norm"),
    **dict.fromkeys(("L1NormGradient", "L2NormGradient"), "batch norm, backward"),
    **dict.fromkeys(("ScaleQuantize", "FlagQuantize"), "quantizers"),
    **dict.fromkeys(("AlignedAdd", "AlignedConcat", "Split"), "sums and joins"),
    **dict.fromkeys((*_UPDATES, "FixedQuantize"), "updates, weights to 8 bits"),
    **dict.fromkeys(("SoftmaxCrossEntropyGradient", "SquaredErrorGradient"), "loss"),
}


@dataclass(frozen=True)
class Part:
    """The layers of one role in a step."""

    role: str
    """What they do, as `role_of` names it."""
    layers: tuple[LayerRecord, ...]
    """The layers."""

    @property
    def total_cycles(self) -> int:
        """Cycles of all its layers."""
        return sum(layer.total_cycles for layer in self.layers)


def is_training_step(record: RunRecord) -> bool:
    """Tell whether the run is a step of training: it updates weights."""
    return any(layer.op in _UPDATES for layer in record.layers)


def role_of(layer: LayerRecord) -> str:
    """Return which part of a step a layer is."""
    if layer.engine == "array":
        kind = layer.name.rpartition(".")[2]
        return kind if kind in ("dgrad", "wgrad") else "forward"
    if layer.op == "Transpose":
        return "transposes of operands"
    return _ROLES.get(layer.op, "other")


def parts_of(layers: Sequence[LayerRecord]) -> tuple[Part, ...]:
    """Return the parts of a step, the one of most cycles first."""
    found: dict[str, list[LayerRecord]] = {}
    for layer in layers:
        found.setdefault(role_of(layer), []).append(layer)
    parts = (Part(role, tuple(members)) for role, members in found.items())
    return tuple(sorted(parts, key=lambda part: -part.total_cycles))


def part_rows(record: RunRecord) -> list[dict[str, str]]:
    """Return one row a part, {header: cell}, with the columns of `reports.tables`; nothing for an inference."""
    if not is_training_step(record):
        return []
    return [_cells(part, record) for part in parts_of(record.layers)]


def _cells(part: Part, record: RunRecord) -> dict[str, str]:
    cells = cells_of(summed(part.role, part.layers, record.peak_macs_per_cycle))
    row = {"part": part.role, "layers": str(len(part.layers)), "MMACs": cells["MMACs"]}
    if not record.total_cycles:
        return row
    share = f"{100 * part.total_cycles / record.total_cycles:.1f}"
    timed = {header: cells[header] for header in ("kcycles", "util. %", "DRAM KiB", "energy uJ")}
    return row | {"% of cycles": share} | timed
