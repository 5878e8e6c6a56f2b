"""The report in a real browser: nothing fails, nothing is cut off, tables sort and fold, it prints."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from reports.html import render
from simulator.records.explain import explain
from simulator.records.store import read_run
from support.chromium import assert_opens_cleanly, chromium, needs_chromium, opened
from support.records import run_record

pytestmark = needs_chromium

LABELS = np.array([[[0, 0, 1, 7]]], dtype=np.uint8)
PHOTO = np.full((4, 8, 3), 90, dtype=np.uint8)
SAVED = Path(__file__).parent / "data" / "run_schema_1"
COUNT = 30


def record(*, step: bool = False):
    """Layers stage0.0.conv, stage0.1.conv ..., five a stage, and a head of its own; the whole of it, or a step."""
    found = run_record(COUNT, overflow=True, segmentation=True)
    names = [f"stage{i // 5}.{i % 5}.conv" for i in range(COUNT - 1)] + ["labels"]
    layers = [replace(layer, name=name) for layer, name in zip(found.layers, names, strict=True)]
    if step:
        layers[4] = replace(layers[4], op="Update")
    return replace(found, layers=tuple(layers))


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    return written(tmp_path_factory, render(record(), {"labels": LABELS}, PHOTO))


@pytest.fixture(scope="module")
def step_path(tmp_path_factory):
    return written(tmp_path_factory, render(record(step=True), {}, None))


@pytest.fixture(scope="module")
def saved_path(tmp_path_factory):
    stored = read_run(SAVED)
    return written(tmp_path_factory, render(stored.record, stored.outputs, stored.preview))


def written(tmp_path_factory, text: str) -> Path:
    where = tmp_path_factory.mktemp("report") / "report.html"
    where.write_text(text, encoding="utf-8")
    return where


@pytest.fixture(scope="module")
def browser():
    with chromium() as started:
        yield started


def visible(page) -> list[str]:
    """What stands in the name column of the rows that are shown, in order."""
    rows = page.locator("#layer-table tbody tr:visible td.name")
    return [text.strip() for text in rows.all_inner_texts()]


def head(page, text: str):
    return page.locator("#layer-table thead button", has_text=re.compile(f"^{re.escape(text)}$"))


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1440, 400])
def test_it_opens_without_a_complaint_and_nothing_sticks_out(browser, path, width, scheme):
    assert_opens_cleanly(browser, path, width, scheme, figures=9)
    with opened(browser, path, width, scheme) as (page, _):
        assert page.evaluate("[...document.querySelectorAll('img')].map(e => e.naturalWidth)") == [8, 8, 8]


@pytest.mark.parametrize(("width", "scheme"), [(1440, "light"), (400, "dark")])
def test_a_saved_run_with_a_sweep_of_widths_opens_too(browser, saved_path, width, scheme):
    with opened(browser, saved_path, width, scheme) as (page, seen):
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        assert page.locator("#sweep-table tbody tr").count() == 2
        # Its layers make no blocks, so that there is nothing to fold.
        assert page.locator("#layers .tools").count() == 0
    assert seen.complaints == []


def luminance(colour: str) -> float:
    """Relative luminance of `rgb(r, g, b)` (WCAG 2.2)."""
    shares = [int(part) / 255 for part in re.findall(r"\d+", colour)[:3]]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in shares]
    return sum(weight * part for weight, part in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_text_is_legible_on_its_ground(browser, path, scheme):
    with opened(browser, path, scheme=scheme) as (page, _):
        texts = set(
            page.evaluate(
                "[...document.querySelectorAll('figure svg text')].map(e => getComputedStyle(e).fill)"
                ".concat([...document.querySelectorAll('td, th, p, h2, a')].map(e => getComputedStyle(e).color))"
            )
        )
        grounds = {page.evaluate("getComputedStyle(document.querySelector('#layers')).backgroundColor")}
    for text in texts:
        for ground in grounds:
            darker, lighter = sorted((luminance(text), luminance(ground)))
            # 4.5 is what WCAG asks of body text; the numbers of layers that overflowed are orange, 3 is for such marks.
            assert (lighter + 0.05) / (darker + 0.05) >= (3 if text == "rgb(217, 95, 2)" else 4.5), (text, ground)


def test_headings_sort_the_parts_of_each_block(browser, path):
    layers = record().layers
    cycles = {layer.name: layer.total_cycles for layer in layers}
    stages = {f"stage{i}": sum(cycles[f"stage{i}.{j}.conv"] for j in range(5 - (i == 5))) for i in range(6)}
    with opened(browser, path) as (page, _):
        head(page, "kcycles").click()
        found = visible(page)
        assert page.locator("th[aria-sort='descending']").inner_text().strip().startswith("kcycles")
        tops = [name for name in found if name in stages or name == "labels"]
        both = stages | {"labels": cycles["labels"]}
        assert tops == sorted(both, key=lambda name: -both[name])
        within = [f"{tops[0]}.{name}" for name in found[1:6]]
        assert within == sorted(within, key=lambda name: -cycles[name])
        assert len(within) == 5
        head(page, "kcycles").click()
        assert [name for name in visible(page) if name in both] == tops[::-1]
        head(page, "#").click()
        assert [name for name in visible(page) if name in both] == [*stages, "labels"]


def test_layers_alone_are_sorted_across_blocks(browser, path):
    layers = record().layers
    with opened(browser, path) as (page, _):
        page.get_by_label("layers only").check()
        assert visible(page) == [layer.name for layer in layers]
        head(page, "DRAM KiB").click()
        by_traffic = sorted(layers, key=lambda layer: (-layer.dram_bytes, layer.index))
        assert visible(page) == [layer.name for layer in by_traffic]
        head(page, "layer").click()
        assert visible(page) == sorted(layer.name for layer in layers)
        # What has no such number stays last, whichever way the others are sorted.
        for _ in range(2):
            head(page, "MMACs").click()
            assert visible(page)[-1] in ("labels", *(f"stage{i}.4.conv" for i in range(6)))
        page.get_by_label("layers only").uncheck()
        assert "stage0" in visible(page)


def test_blocks_fold(browser, path):
    with opened(browser, path) as (page, _):
        everything = visible(page)
        assert len(everything) == 30 + 6
        button = page.get_by_role("button", name="stage1")
        button.click()
        assert button.get_attribute("aria-expanded") == "false"
        assert len(visible(page)) == 36 - 5
        page.get_by_role("button", name="Fold all", exact=True).click()
        assert visible(page) == [*(f"stage{i}" for i in range(6)), "labels"]
        head(page, "kcycles").click()
        assert len(visible(page)) == 7
        page.get_by_role("button", name="stage1").press("Enter")
        assert len(visible(page)) == 7 + 5
        page.get_by_role("button", name="Unfold all").click()
        assert len(visible(page)) == 36


def test_a_blocks_row_shows_the_sum_of_its_layers(browser, path):
    layers = record().layers[:5]
    with opened(browser, path) as (page, _):
        heads = [text.strip() for text in page.locator("#layer-table thead th").all_inner_texts()]
        cells = page.locator("#layer-table tr.block", has_text="stage0").first.locator("td").all_inner_texts()
        assert cells[heads.index("op")] == "5 layers"
        assert cells[heads.index("kcycles")] == f"{sum(la.total_cycles for la in layers) / 1e3:,.1f}"
        assert cells[heads.index("overflows")] == f"{sum(la.overflow.events for la in layers):,}"


def test_headings_tell_what_explain_tells(browser, path):
    with opened(browser, path) as (page, _):
        for text, field in (("util. %", "LayerRecord.utilization"), ("headroom", "OverflowRecord.headroom_bits")):
            assert head(page, text).locator("..").get_attribute("title") == explain(field)[0].text


def test_the_labels_can_be_made_clearer(browser, path):
    with opened(browser, path) as (page, _):
        assert page.evaluate("getComputedStyle(document.querySelector('#overlay .labels')).opacity") == "0.6"
        page.get_by_label("Opacity").fill("25")
        assert page.evaluate("getComputedStyle(document.querySelector('#overlay .labels')).opacity") == "0.25"


def test_it_prints(browser, path):
    with opened(browser, path, scheme="dark") as (page, seen):
        document = page.pdf(format="A4", margin=dict.fromkeys(("top", "right", "bottom", "left"), "12mm"))
        page.emulate_media(media="print")
        page.set_viewport_size({"width": 703, "height": 1000})  # A4 less its margins at 96 pixels an inch
        assert page.evaluate("document.documentElement.scrollWidth") <= 703
        assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    assert document.startswith(b"%PDF-")
    assert 3 <= len(re.findall(rb"/Type\s*/Page\b", document)) <= 12
    assert seen.complaints == []


@pytest.mark.parametrize("width", [1440, 400])
def test_a_training_step_shows_its_parts_on_the_same_page(browser, step_path, width):
    with opened(browser, step_path, width) as (page, seen):
        assert "One training step" in page.locator("header").inner_text()
        assert page.locator("#part-table tbody tr td:first-child").all_inner_texts()[0] == "forward"
        assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert seen.complaints == []
