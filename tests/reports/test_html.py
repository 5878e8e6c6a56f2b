"""The report: one file, whole, safe, and the same every time."""

from __future__ import annotations

import base64
import io
import re
from dataclasses import replace
from functools import cache
from html.parser import HTMLParser

import numpy as np
import pytest
from PIL import Image

from reports.html import render
from simulator.records.explain import explain
from simulator.records.run import Segmentation
from support.records import renamed, run_record

VOID = {"meta", "img", "link", "br", "input", "hr", "wbr"}
LABELS = np.array([[[0, 0, 1, 7]]], dtype=np.uint8)
PHOTO = np.full((4, 8, 3), 90, dtype=np.uint8)


class Page(HTMLParser):
    """Elements, ids, text and cells of a page; refuses tags that do not nest."""

    def __init__(self, text: str):
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.text: list[str] = []
        self._open: list[str] = []
        self.feed(text)
        self.close()
        assert self._open == []

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self._open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self._open.pop() == tag

    def handle_data(self, data):
        if self._open and self._open[-1] not in ("script", "style"):
            self.text.append(data)

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.elements if name == tag]

    @property
    def sections(self) -> list[str | None]:
        return [attributes.get("id") for attributes in self.all("section")]


def page(record, outputs=None, photo=None) -> Page:
    return Page(render(record, outputs or {}, photo))


@cache
def whole() -> str:
    """Text of a report with everything in it: drawn once, read by many tests."""
    return render(run_record(6, overflow=True, segmentation=True), {"labels": LABELS}, PHOTO)


def table_rows(text: str) -> list[list[str]]:
    """Index, whole name and further cells of every layer in the layer table."""
    body = text[text.index('id="layer-table"') :]
    body = body[body.index("<tbody>") : body.index("</tbody>")]
    rows = re.findall(r'<tr[^>]*class="layer[^>]*data-name="([^"]*)">(.*?)</tr>', body, flags=re.DOTALL)
    cells = [re.findall(r"<td[^>]*>(.*?)</td>", row, flags=re.DOTALL) for _, row in rows]
    return [[row[0], name, *row[2:]] for (name, _), row in zip(rows, cells, strict=True)]


def test_a_whole_run_has_every_section():
    found = Page(whole()).sections
    figures = ["roofline", "cycles", "timeline", "energy", "traffic", "overflow"]
    assert found == ["notes", "segmentation", "totals", *figures, "layers", "accelerator", "provenance"]


def test_timing_only_leaves_values_out():
    report = page(run_record(6, mode="timing"))
    assert report.sections == [
        "notes",
        "totals",
        "roofline",
        "cycles",
        "timeline",
        "energy",
        "traffic",
        "layers",
        "accelerator",
        "provenance",
    ]
    assert "timing only" in "".join(report.text)
    assert not any("verflow" in text for text in report.text if "arithmetic" not in text)


def test_values_only_leaves_time_out():
    report = page(run_record(6, mode="values"))
    assert report.sections == ["notes", "overflow", "layers", "accelerator", "provenance"]
    text = "".join(report.text)
    assert "values only" in text
    assert "Bottleneck" not in text
    assert not {"frames/s", "kcycles", "energy"} & set(report.text)


def test_a_run_without_notes_or_layers_is_a_page_too():
    report = page(replace(run_record(0), notes=()))
    assert report.sections == ["layers", "accelerator", "provenance"]


@pytest.mark.parametrize("count", [1, 6, 60, 120])
def test_the_table_holds_every_layer(count):
    record = run_record(count, mode="values")
    rows = table_rows(render(record, {}, None))
    assert [row[:3] for row in rows] == [[str(la.index), la.name, la.op] for la in record.layers]


def test_columns_bear_their_definitions():
    report = Page(whole())
    heads = [head.get("title") for head in report.all("th") if head.get("scope") == "col"]
    assert explain("LayerRecord.utilization")[0].text in heads
    assert explain("LayerRecord.total_cycles")[0].text in heads
    assert all(heads)


def test_totals_bear_their_definitions():
    titles = {card.get("title") for card in Page(whole()).all("div")}
    assert {
        explain(f"RunRecord.{name}")[0].text for name in ("frames_per_s", "tops_per_w", "peak_memory_bytes")
    } <= titles


def test_the_file_loads_nothing():
    text = whole()
    report = Page(text)
    for _, attributes in report.elements:
        for name in ("src", "href", "xlink:href", "srcset", "data", "action"):
            assert (attributes.get(name) or "#").startswith(("#", "data:image/png;base64,"))
    assert not report.all("link")
    assert "@import" not in text
    assert set(re.findall(r"url\(([^)]{1,8})", text)) <= {
        f"#{text_}" for text_ in re.findall(r"url\(#([^)]{1,7})", text)
    }
    assert set(re.findall(r"https?://[^\s\"'<]*", text)) <= {
        "http://www.w3.org/2000/svg",
        "http://www.w3.org/1999/xlink",
    }


def test_same_run_same_bytes():
    assert render(run_record(6, overflow=True, segmentation=True), {"labels": LABELS}, PHOTO) == whole()


def test_ids_are_unique():
    ids = [a["id"] for _, a in Page(whole()).elements if "id" in a]
    assert len(ids) == len(set(ids))


@pytest.mark.parametrize(
    "hostile", ["<script>alert(1)</script>", "\"><img src=x onerror='y'>", "</svg></title>{{ 7*7 }}"]
)
def test_hostile_text_stays_text(hostile):
    record = renamed(run_record(6, overflow=True), hostile)
    record = replace(
        record,
        network=hostile,
        accelerator=hostile,
        notes=(hostile,),
        spec={hostile: {hostile: [hostile]}},
        energy_table={"name": hostile, hostile: {"pj": 1, "source": hostile}},
        segmentation=Segmentation("labels", (hostile, hostile)),
    )
    text = render(record, {"labels": LABELS}, PHOTO)
    report = Page(text)
    assert len(report.all("script")) == 1
    assert len(report.all("img")) == 3
    assert not any(name.startswith("on") for _, attributes in report.elements for name in attributes)
    assert hostile in "".join(report.text)


def test_notes_and_sources_are_told():
    text = "".join(Page(whole()).text)
    assert all(
        told in text for told in ("weights are seeded, not trained", "a paper", "another paper", "5" * 64, "a" * 64)
    )


def test_overflowed_layers_are_listed_with_their_first_event():
    text = "".join(Page(whole()).text)
    assert "Layers that overflowed" in text
    assert "output 17, k = 143, accumulator" in text
    assert "Layers that overflowed" not in "".join(page(run_record(6, mode="values")).text)


def test_the_labels_lie_over_the_photo_and_stand_beside_it_with_a_legend():
    report = Page(whole())
    assert [image.get("alt") for image in report.all("img")] == ["Input photo", "Labels over the photo", "Label map"]
    legend = "".join(report.text)
    assert "background" in legend
    assert "50.0 %" in legend
    assert "class 7" in legend


def test_black_labels_leave_the_photo_clear():
    over = next(image for image in Page(whole()).all("img") if image.get("alt") == "Labels over the photo")
    pixels = np.asarray(Image.open(io.BytesIO(base64.b64decode(over["src"].split(",")[1]))))
    assert pixels.shape == (*PHOTO.shape[:2], 4)
    # Labels 0 0 1 7 in columns of two pixels: background, background, dark red, grey.
    assert pixels[0, ::2].tolist() == [[0, 0, 0, 0], [0, 0, 0, 0], [128, 0, 0, 255], [128, 128, 128, 255]]


def test_without_a_photo_the_label_map_stands_alone():
    assert len(page(run_record(2, mode="values", segmentation=True), {"labels": LABELS}).all("img")) == 1


def test_an_output_that_is_no_label_map_is_told():
    report = page(run_record(2, mode="values", segmentation=True), {"labels": np.zeros(5)})
    assert "segmentation" not in report.sections
    assert any("no label map is drawn" in text for text in report.text)


def test_the_specification_reads_as_its_yaml():
    text = whole()
    assert "array:\n  rows: 16\n  cols: 16\n" in text
    assert "tags:\n  - small\n  - test" in text
