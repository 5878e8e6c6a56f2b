"""The table of an accumulator sweep as text cells, for the terminal and HTML, and its outcome in a sentence."""

from __future__ import annotations

from reports.units import short_name
from simulator.records.accumulator_sweep import OutputError, SweepPoint
from simulator.records.run import RunRecord

FIELDS = {
    "bits": ("SweepPoint", "accumulator_bits"),
    "output": ("OutputError", "output"),
    "differing %": ("OutputError", "differing_share"),
    "max error LSB": ("OutputError", "max_difference"),
    "mean error LSB": ("OutputError", "mean_difference"),
    "labels differing %": ("SweepPoint", "label_disagreement"),
    "events": ("SweepPoint", "events"),
    "layers hit": ("SweepPoint", "layers_with_events"),
    "worst layer": ("SweepPoint", "worst_layer"),
}
"""Column header -> the record and field it shows, whose definition `bittrue explain` prints."""


def sweep_rows(record: RunRecord) -> list[dict[str, str]]:
    """Return one row per width and output, {header: cell}; what belongs to a width stands in its first row alone."""
    points = record.accumulator_sweep
    absent = set()
    if all(len(point.outputs) == 1 for point in points):
        absent.add("output")
    if all(point.label_disagreement is None for point in points):
        absent.add("labels differing %")
    rows = [
        _error_cells(error) | (_point_cells(point) if index == 0 else dict.fromkeys(_point_cells(point), ""))
        for point in points
        for index, error in enumerate(point.outputs)
    ]
    widths = [str(point.accumulator_bits) for point in points for _ in point.outputs]
    cells = [{"bits": width} | row for width, row in zip(widths, rows, strict=True)]
    return [{header: row[header] for header in FIELDS if header not in absent} for row in cells]


def _error_cells(error: OutputError) -> dict[str, str]:
    return {
        "output": error.output,
        "differing %": share_text(error.differing_share),
        "max error LSB": _size(error.max_difference),
        "mean error LSB": _size(error.mean_difference),
    }


def _point_cells(point: SweepPoint) -> dict[str, str]:
    disagreement = point.label_disagreement
    return {
        "labels differing %": "-" if disagreement is None else share_text(disagreement),
        "events": f"{point.events:,}",
        "layers hit": f"{point.layers_with_events:,}",
        "worst layer": "-" if point.worst_layer is None else short_name(point.worst_layer),
    }


def share_text(share: float) -> str:
    """Return a share in percent with two decimals; what is not 0 never reads as 0, what is not all never as 100."""
    if 0 < share < 5e-5:
        return "<0.01"
    return ">99.99" if 0.99995 <= share < 1 else f"{100 * share:.2f}"


def _size(difference: float | None) -> str:
    if difference is None:
        return "not finite"
    if difference == int(difference):
        return f"{int(difference):,}"
    return f"{difference:.3g}" if difference < 1e4 else f"{difference:,.0f}"


def sweep_verdict(record: RunRecord) -> str:
    """Say from which width on, of those tried, every output is that of 32-bit registers; empty without a sweep."""
    points = sorted(record.accumulator_sweep, key=lambda point: point.accumulator_bits)
    if not points:
        return ""
    wrong = [index for index, point in enumerate(points) if any(error.differing for error in point.outputs)]
    enough = wrong[-1] + 1 if wrong else 0
    if enough == len(points):
        return f"Even at {points[-1].accumulator_bits} bits, the widest tried, some output differs from 32 bits."
    bits = points[enough].accumulator_bits
    return f"Of the widths tried, {bits} bits is the narrowest from which on every output is that of 32-bit registers."
