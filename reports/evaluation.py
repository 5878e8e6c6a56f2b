"""The table of an evaluation as text cells, and what it says of losses in a sentence."""

from __future__ import annotations

from reports.units import short_name
from simulator.records.evaluation import FLOAT, EvaluationRecord, EvaluationRow


def evaluation_rows(record: EvaluationRecord) -> list[dict[str, str]]:
    """Return one row a machine, {header: cell}."""
    return [_cells(record, row) for row in record.rows]


def _cells(record: EvaluationRecord, row: EvaluationRow) -> dict[str, str]:
    integer = row.machine != FLOAT
    bits = "-" if row.accumulator_bits is None else str(row.accumulator_bits)
    if row.partial_sum_bits is not None and row.partial_sum_bits != row.accumulator_bits:
        bits = f"{row.partial_sum_bits} / {bits}"
    return {
        "machine": record.accelerator if row.machine == "device" else row.machine,
        "register bits": bits,
        "mIoU %": f"{100 * row.miou:.2f}",
        "pixel accuracy %": f"{100 * row.pixel_accuracy:.2f}",
        "points lost to overflow": points(record.overflow_loss_of(row)) if integer else "-",
        "events": "-" if row.events is None else f"{row.events:,}",
        "images hit": "-" if row.images_with_events is None else f"{row.images_with_events:,}",
    }


def class_rows(record: EvaluationRecord) -> list[dict[str, str]]:
    """Return the IoU of each class, one row a class and one column a machine."""
    names = [row.name for row in record.rows]
    return [
        {"class": short_name(name)}
        | {
            f"{machine} %": "-" if (iou := row.class_iou[index]) is None else f"{100 * iou:.2f}"
            for machine, row in zip(names, record.rows, strict=True)
        }
        for index, name in enumerate(record.classes)
    ]


def points(loss: float) -> str:
    """Return a difference of mIoU in points (1 point = 0.01), 0 only where it is."""
    if loss and abs(loss) < 5e-5:
        return "<0.01" if loss > 0 else ">-0.01"
    return f"{100 * loss:.2f}" if loss else "0"


def evaluation_verdict(record: EvaluationRecord) -> str:
    """Say how much of the loss is quantization and how much overflow, as far as the rows tell."""
    device, reference = record.device_row, record.reference_row
    where = "32-bit registers" if reference is not device else f"the registers of {record.accelerator}"
    if record.float_row is None or record.quantization_loss is None:
        lost = f"{points(record.overflow_loss)} points of mIoU are lost to overflow on {record.accelerator}"
        text = f"{lost} ({_events(device)}). What quantization cost is not known: no float network was given."
    else:
        total = record.float_row.miou - device.miou
        text = (
            f"Of {points(total)} points of mIoU lost against float, {points(record.quantization_loss)} are "
            f"quantization (float to {where}) and {points(record.overflow_loss)} overflow ({_events(device)})."
        )
    if reference.events:
        text += (
            f" The reference itself, {where}, overflows ({reference.events:,} events): its loss counts as quantization."
        )
    return text


def _events(row: EvaluationRow) -> str:
    return f"{row.events:,} events" if row.events else "no event"


def sweep_sentence(record: EvaluationRecord) -> str:
    """Say from which width on nothing is lost, of those tried; empty where none was tried."""
    rows = [row for row in record.rows if row.machine == "registers"]
    if len(rows) < 2:
        return ""
    reference = record.reference_row
    same = [(row.correct, row.class_iou) == (reference.correct, reference.class_iou) for row in rows]
    first = len(same) - next((index for index, equal in enumerate(reversed(same)) if not equal), len(same))
    if first == len(rows):
        return "Every width tried, the widest too, changes the scores."
    return f"Of the widths tried, {rows[first].accumulator_bits} bits is the narrowest from which on no score changes."
