"""What the reports say of an accumulator sweep, against the record it is drawn from."""

from __future__ import annotations

import re
from dataclasses import replace
from xml.etree import ElementTree

import pytest

from reports import figures
from reports.html import render
from reports.sweep import share_text, sweep_rows, sweep_verdict
from simulator.records.accumulator_sweep import OutputError, SweepPoint
from simulator.records.explain import explain
from support.records import run_record
from support.small_runs import SWEEP

SVG = "{http://www.w3.org/2000/svg}"


def point(bits, differing, disagreement=None, outputs=("y",), events=0):
    errors = tuple(OutputError(name, 1000, differing, float(differing), differing / 1000) for name in outputs)
    return SweepPoint(bits, None, errors, disagreement, events, int(events > 0), "a;b" if events else None, events)


def swept(*points):
    return replace(run_record(3), accumulator_sweep=points)


def test_one_output_has_one_row_a_width():
    assert sweep_rows(swept(point(16, 250, events=12345), point(20, 0))) == [
        {
            "bits": "16",
            "differing %": "25.00",
            "max error LSB": "250",
            "mean error LSB": "0.25",
            "events": "12,345",
            "layers hit": "1",
            "worst layer": "a",
        },
        {
            "bits": "20",
            "differing %": "0.00",
            "max error LSB": "0",
            "mean error LSB": "0",
            "events": "0",
            "layers hit": "0",
            "worst layer": "-",
        },
    ]


def test_several_outputs_have_a_row_each():
    rows = sweep_rows(swept(*SWEEP))
    assert [(row["bits"], row["output"], row["events"]) for row in rows] == [
        ("16", "labels", "7"),
        ("16", "ratio", ""),
        ("24", "labels", "0"),
        ("24", "ratio", ""),
    ]
    assert rows[0]["labels differing %"] == "12.50"
    assert (rows[1]["differing %"], rows[1]["max error LSB"]) == ("50.00", "not finite")


@pytest.mark.parametrize(
    ("share", "text"), [(0, "0.00"), (1e-9, "<0.01"), (0.12345, "12.35"), (0.999999, ">99.99"), (1, "100.00")]
)
def test_a_share_is_not_rounded_to_nothing_or_all(share, text):
    assert share_text(share) == text


@pytest.mark.parametrize(
    ("differing", "verdict"),
    [
        ((9, 3, 0, 0), "20 bits is the narrowest from which on"),
        ((0, 3, 0, 0), "20 bits is the narrowest from which on"),
        ((0, 0, 0, 0), "16 bits is the narrowest from which on"),
        ((9, 0, 0, 1), "Even at 24 bits, the widest tried, some output differs"),
    ],
)
def test_the_verdict_counts_from_the_widest_down(differing, verdict):
    points = [point(bits, count) for bits, count in zip((16, 18, 20, 24), differing, strict=True)]
    assert verdict in sweep_verdict(swept(*points))


def test_the_figure_stands_at_the_shares():
    drawing = figures.sweep(swept(point(16, 250, 0.5), point(18, 40, 0.0), point(20, 0, 0.0)))
    (axes,) = drawing.figure.axes
    lines = {line.get_label(): (list(line.get_xdata()), list(line.get_ydata())) for line in axes.lines}
    assert lines == {
        "pixels with another label": ([16, 18, 20], [50, 0, 0]),
        "values of y": ([16, 18, 20], [25, 4, 0]),
    }
    root = ElementTree.fromstring(drawing.svg())
    titles = ((group.get("id"), group.find(f"{SVG}title")) for group in root.iter(f"{SVG}g"))
    told = {name: title.text for name, title in titles if title is not None}
    assert list(told) == ["sweep-bits-16", "sweep-bits-18", "sweep-bits-20"]
    assert "50.00 % of the pixels have another label\ny: 25.00 % differ" in told["sweep-bits-16"]


def test_an_output_that_is_the_label_map_is_drawn_once():
    drawing = figures.sweep(swept(point(16, 250, 0.25), point(20, 0, 0.0)))
    assert [line.get_label() for line in drawing.figure.axes[0].lines] == ["pixels with another label"]


def test_many_outputs_are_counted_where_they_are_not_drawn():
    drawing = figures.sweep(swept(point(16, 250, outputs=[f"y{i}" for i in range(7)])))
    assert len(drawing.figure.axes[0].lines) == 4
    assert "Not drawn: 3 more outputs" in drawing.caption


def test_the_report_has_the_section_where_there_was_a_sweep():
    text = render(swept(*SWEEP), {}, None)
    section = text[text.index('<section id="sweep">') :]
    section = section[: section.index("</section>")]
    assert "What a narrower accumulator costs" in section
    assert "24 bits is the narrowest from which on" in section
    rows = re.findall(r"<tr><td.*?</tr>", section, flags=re.DOTALL)
    assert [re.findall(r"<td[^>]*>(.*?)</td>", row)[:3] for row in rows[:2]] == [
        ["16", "labels", "12.50"],
        ["16", "ratio", "50.00"],
    ]
    definition = explain("SweepPoint.layers_with_events")[0].text
    assert f'title="{definition}">layers hit' in section
    assert 'id="sweep"' not in render(run_record(3), {}, None)
    assert "narrower" not in render(run_record(3), {}, None)


def test_hostile_names_stay_text():
    name = "<script>\"&'</title>--><!--\x00"
    errors = (OutputError(name, 4, 1, 1.0, 0.25),)
    record = swept(SweepPoint(16, 16, errors, None, 3, 1, name, 3), SweepPoint(24, 24, errors, None, 3, 1, name, 3))
    text = render(record, {}, None)
    assert text.count("<script") == 1
    assert "\x00" not in text
    ElementTree.fromstring(figures.sweep(record).svg())
    assert figures.sweep(record).svg() == figures.sweep(record).svg()
