"""What the reports say of an evaluation, against the record."""

from __future__ import annotations

import re
from dataclasses import replace
from xml.etree import ElementTree

import pytest

from reports.evaluation import class_rows, evaluation_rows, evaluation_verdict, points, sweep_sentence
from reports.figures_evaluation import miou_by_width
from simulator.records.evaluation import EvaluationRecord, EvaluationRow, UnusableSample


def row(machine, bits, *iou, events=0, correct=80):
    float_row = machine == "float"
    counts = (None, None) if float_row else (events, int(events > 0))
    return EvaluationRow(machine, None if float_row else bits, None if float_row else bits, 100, correct, iou, *counts)


def record(*rows, **changes):
    made = EvaluationRecord(
        network="net",
        accelerator="edge",
        dataset="camvid",
        split="test",
        fit="stretch",
        classes=("sky", "tree", "road"),
        images=7,
        wanted_images=7,
        rows=rows,
    )
    return replace(made, **changes)


FLOAT = row("float", None, 0.9, 0.7, None, correct=90)
WIDE = row("registers", 32, 0.8, 0.7, None)
DEVICE = row("device", 16, 0.5, 0.2, 0.2, events=1234, correct=40)
NARROW = row("registers", 14, 0.1, 0.2, 0.0, events=99, correct=10)
MIDDLE = row("registers", 20, 0.8, 0.7, None)


def test_scores_follow_from_counts():
    assert (DEVICE.miou, DEVICE.pixel_accuracy) == (pytest.approx(0.3), 0.4)
    assert FLOAT.miou == pytest.approx(0.8), "a class that nobody names does not count"
    assert row("device", 32, None, None, None).miou == 0


def test_losses_are_told_apart():
    found = record(FLOAT, DEVICE, NARROW, MIDDLE, WIDE)
    assert found.quantization_loss == pytest.approx(0.05)
    assert found.overflow_loss == pytest.approx(0.45)
    assert evaluation_verdict(found) == (
        "Of 50.00 points of mIoU lost against float, 5.00 are quantization (float to 32-bit registers) and 45.00 "
        "overflow (1,234 events)."
    )
    assert sweep_sentence(found).startswith("Of the widths tried, 20 bits is the narrowest")
    assert sweep_sentence(record(DEVICE, NARROW, replace(WIDE, accumulator_bits=14, correct=81), WIDE)).count("32 bits")


def test_what_is_not_known_is_said():
    alone = record(row("device", 32, 0.5, 0.5, 0.5))
    assert "0 points of mIoU are lost to overflow on edge (no event)" in evaluation_verdict(alone)
    assert "no float network was given" in evaluation_verdict(alone)
    assert sweep_sentence(alone) == ""
    hit = record(FLOAT, DEVICE, replace(WIDE, events=5, images_with_events=1))
    assert "The reference itself, 32-bit registers, overflows (5 events)" in evaluation_verdict(hit)


def test_rows_as_cells():
    cells = evaluation_rows(record(FLOAT, DEVICE, WIDE))
    assert [row["machine"] for row in cells] == ["float", "edge", "registers"]
    assert cells[1] == {
        "machine": "edge",
        "register bits": "16",
        "mIoU %": "30.00",
        "pixel accuracy %": "40.00",
        "points lost to overflow": "45.00",
        "events": "1,234",
        "images hit": "1",
    }
    assert cells[0]["points lost to overflow"] == "-"
    narrow_inside = replace(DEVICE, partial_sum_bits=12)
    assert evaluation_rows(record(narrow_inside))[0]["register bits"] == "12 / 16"
    assert class_rows(record(FLOAT, DEVICE))[2] == {"class": "road", "float %": "-", "device %": "20.00"}


def test_a_loss_never_reads_as_none():
    assert [points(loss) for loss in (0.0, 1e-6, -1e-6, 0.1234)] == ["0", "<0.01", ">-0.01", "12.34"]


def test_unusable_samples_finish_an_evaluation():
    assert record(DEVICE).finished
    assert not record(DEVICE, images=5).finished
    assert record(DEVICE, images=5, unusable=(UnusableSample("a", "b"),) * 2).finished


def test_the_picture_shows_each_network_and_its_float_score():
    first = record(FLOAT, DEVICE, NARROW, MIDDLE, WIDE)
    second = record(DEVICE, NARROW, WIDE, network="other")
    drawing = miou_by_width((first, second, record(DEVICE)))
    text = drawing.svg()
    ElementTree.fromstring(text)
    assert text == miou_by_width((first, second)).svg(), "the same bytes; what has no widths is not drawn"
    words = re.findall(r">([^<>]+)</text>", text)
    assert {"net", "other", "float 80.0", "14", "20", "32"} <= set(words)
    assert "14 bits 10.0 %" in drawing.alt
    assert "camvid test, 7 images, edge" in drawing.caption
    assert miou_by_width((record(DEVICE),)) is None


def test_one_network_on_two_devices_is_told_apart():
    first = record(DEVICE, NARROW, WIDE)
    text = miou_by_width((first, replace(first, accelerator="other"))).svg()
    assert "net, on edge" in text
    assert "net, on other" in text
    modes = [replace(first, overflow=mode) for mode in ("wrap", "saturate")]
    assert "net, registers that saturate" in miou_by_width(modes).svg()


def test_many_records_are_left_out_in_words():
    many = [record(DEVICE, NARROW, WIDE, network=f"net{index}") for index in range(7)]
    assert "Not drawn: 2 more" in miou_by_width(many).caption
