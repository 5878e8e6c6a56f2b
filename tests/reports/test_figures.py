"""Figures: what stands in the SVG, against the record it was drawn from."""

from __future__ import annotations

import re
from dataclasses import replace
from xml.etree import ElementTree

import pytest
from matplotlib.path import Path

from reports import figures
from reports.figures_style import quantity, scaled, shortened
from support.records import renamed, run_record, stepped

SVG = "{http://www.w3.org/2000/svg}"
TOTALS = (figures.time, figures.components, figures.memories)
ALL = (
    figures.roofline,
    figures.cycles,
    figures.energy,
    figures.traffic,
    figures.overflow,
    *TOTALS,
    figures.timeline,
)
BY_LAYER = (figures.cycles, figures.energy, figures.traffic)


def parse(drawing: figures.Drawing) -> ElementTree.Element:
    return ElementTree.fromstring(drawing.svg())


def titles(drawing: figures.Drawing) -> dict[str, str]:
    """Hover text of every layer in the SVG, by id."""
    groups = parse(drawing).iter(f"{SVG}g")
    found = {group.get("id", ""): group.find(f"{SVG}title") for group in groups}
    return {name: title.text or "" for name, title in found.items() if title is not None}


@pytest.mark.parametrize("count", [1, 6, 120])
@pytest.mark.parametrize("draw", BY_LAYER, ids=lambda f: f.__name__)
def test_every_layer_has_its_place(draw, count):
    record = run_record(count, overflow=True)
    found = titles(draw(record))
    assert list(found) == [f"{draw.__name__}-layer-{i}" for i in range(count)]
    assert [text.split("\n")[0] for text in found.values()] == [
        f"{la.index} {la.name} ({la.op})" for la in record.layers
    ]


@pytest.mark.parametrize("count", [6, 120])
def test_roofline_and_overflow_hold_the_layers_they_are_about(count):
    record = run_record(count, overflow=True)
    on_array = [layer.index for layer in record.layers if layer.engine == "array"]
    assert sorted(titles(figures.roofline(record))) == sorted(f"roofline-layer-{i}" for i in on_array)
    assert list(titles(figures.overflow(record))) == [f"overflow-layer-{i}" for i in on_array]
    assert f"Not shown: {count - len(on_array)} layers" in figures.roofline(record).caption
    assert f"Not shown: {count - len(on_array)} layers" in figures.overflow(record).caption


def bar_lengths(drawing: figures.Drawing, label: str, rows: bool) -> list[float]:
    """Length of each bar of one series, in the units of the axis."""
    (axes,) = drawing.figure.axes
    path: Path = next(patch for patch in axes.patches if patch.get_label() == label).get_path()
    corners = path.vertices.reshape(-1, 5, 2)[:, :, 0 if rows else 1]
    return [float(value) for value in corners.max(axis=1) - corners.min(axis=1)]


@pytest.mark.parametrize("count", [6, 60])
def test_bars_are_as_long_as_the_record_says(count):
    record = run_record(count)
    drawing = figures.cycles(record)
    for engine, label in (
        ("array", "array computing"),
        ("vector", "vector unit computing"),
        ("host", "host computing"),
    ):
        thousand = [layer.compute_cycles / 1e3 for layer in record.layers if layer.engine == engine]
        assert bar_lengths(drawing, label, rows=count == 6) == pytest.approx(thousand)
    stores = [layer.store_stall_cycles / 1e3 for layer in record.layers]
    assert bar_lengths(drawing, "waiting for stores", rows=count == 6) == pytest.approx(stores)


def test_the_stack_of_energy_reaches_the_layers_energy():
    record = run_record(30)
    (axes,) = figures.energy(record).figure.axes
    top = [0.0] * 30
    for patch in axes.patches:
        corners = patch.get_path().vertices
        if len(corners) % 5 == 0 and not str(patch.get_gid()).startswith("layer"):
            for bar in corners.reshape(-1, 5, 2):
                place = round(float(bar[:, 0].min() + bar[:, 0].max()) / 2)
                top[place] = max(top[place], float(bar[:, 1].max()))
    assert top == pytest.approx([layer.energy_pj / 1e6 for layer in record.layers])


def test_roofline_points_stand_at_intensity_and_rate():
    record = run_record(6)
    axes = figures.roofline(record).figure.axes[0]
    points = {
        line.get_gid(): (line.get_xdata()[0], line.get_ydata()[0]) for line in axes.lines if line.get_gid() is not None
    }
    layer = record.layers[1]
    expected = (layer.macs / (layer.dram_read_bytes + layer.dram_write_bytes), layer.macs / layer.total_cycles)
    assert points["layer-1"] == pytest.approx(expected)


def test_no_layer_of_the_sample_is_above_the_roof():
    record = run_record(60)
    for layer in record.layers:
        roof = min(record.peak_macs_per_cycle, record.dram_bytes_per_cycle * layer.operational_intensity)
        assert layer.macs / max(layer.total_cycles, 1) <= roof


def test_axes_carry_their_units():
    record = run_record(60)
    assert figures.cycles(record).figure.axes[0].get_ylabel() == "thousand cycles"
    assert figures.energy(record).figure.axes[0].get_ylabel() == "µJ"
    assert figures.traffic(record).figure.axes[0].get_ylabel() == "KiB"
    assert figures.overflow(record).figure.axes[0].get_ylabel() == "bits"
    text = figures.roofline(record).svg()
    assert all(label in text for label in ("MACs per byte of DRAM traffic", "MACs per cycle", "GMAC/s"))


def test_overflow_names_the_layers_with_events():
    few, many = figures.overflow(run_record(6, overflow=True)), figures.overflow(run_record(120, overflow=True))
    assert [text.get_text() for text in few.figure.axes[0].texts] == ["1,202 events"]
    # Layers 2, 9, 16 .. of which every fifth is off the array; the number stands over the layer's own index.
    for text in many.figure.axes[0].texts:
        assert int(text.get_text()) == text.xy[0]
        assert int(text.get_text()) % 7 == 2


@pytest.mark.parametrize("count", [8, 120])
def test_shares_of_outputs_by_needed_bits(count):
    assert figures.needed_bits(run_record(count)) is None, "no layer was stepped"
    record = stepped(run_record(count, overflow=True))
    drawing = figures.needed_bits(record)
    (image,) = drawing.figure.axes[0].get_images()
    left, _, bottom, _ = image.get_extent()
    shown = image.get_array() if count == 8 else image.get_array().T
    low = left if count == 8 else bottom
    known = [layer for layer in record.layers if layer.overflow and layer.overflow.outputs_by_needed_bits]
    places = {la.index: i for i, la in enumerate(known)} if count == 8 else {la.index: la.index for la in known}
    for layer in known:
        bits = layer.overflow.accumulator_needed_bits
        row = shown[places[layer.index]]
        total = 101_111
        for below, rarer in enumerate((1, 11, 111, 1111)):  # outputs that need as many bits, or more
            column = int(bits - below - (low + 0.5))
            if column >= 0:
                assert row[column] == pytest.approx(100 * rarer / total)
        assert row[int(bits - (low + 0.5)) + 1 :].mask.all(), "none needs more"
    texts = titles(drawing)
    assert list(texts) == [f"needed-bits-layer-{layer.index}" for layer in known]
    bits = known[0].overflow.accumulator_needed_bits
    assert f"99.9 % of the outputs need at most {bits - 2} bits" in texts[f"needed-bits-layer-{known[0].index}"]
    assert f"Not shown: {count - len(known)} layers" in drawing.caption


def test_registers_of_both_widths_are_drawn():
    lines = {line.get_label(): line for line in figures.overflow(run_record(60)).figure.axes[0].lines}
    assert set(lines["accumulator width"].get_ydata()) == {24}
    assert set(lines["partial-sum width"].get_ydata()) == {20}


def test_one_line_where_there_is_one_register():
    record = run_record(60)
    layers = tuple(
        replace(la, overflow=replace(la.overflow, partial_sum_bits=None, partial_sum_needed_bits=None))
        for la in record.layers
    )
    labels = [line.get_label() for line in figures.overflow(replace(record, layers=layers)).figure.axes[0].lines]
    assert labels == ["accumulator width"]


def test_nothing_is_drawn_of_what_a_run_does_not_have():
    timing, values, empty = run_record(6, mode="timing"), run_record(6, mode="values"), run_record(0)
    assert [draw(timing) is None for draw in ALL] == [False] * 4 + [True] + [False] * 4
    assert [draw(values) is None for draw in ALL] == [True] * 4 + [False] + [True] * 4
    assert [draw(empty) is None for draw in ALL] == [True] * 9


@pytest.mark.parametrize("draw", ALL, ids=lambda f: f.__name__)
def test_same_record_same_bytes(draw):
    record = run_record(6, overflow=True)
    assert draw(record).svg() == draw(record).svg()


@pytest.mark.parametrize("draw", ALL, ids=lambda f: f.__name__)
@pytest.mark.parametrize(
    "name", ["<script>\"&'</title>--><!--", "$x_{1}$ \\frac{", "a\x00b\x1b[31m\n", "层/лист 🙂", "", "x" * 5000]
)
def test_hostile_names_stay_text(draw, name):
    record = renamed(run_record(6, overflow=True), name)
    root = parse(draw(record))
    assert {element.tag.removeprefix(SVG) for element in root.iter()} <= {
        "svg", "g", "path", "text", "tspan", "title", "defs", "style", "use", "clipPath", "rect", "image"
    }  # fmt: skip
    assert "\x00" not in draw(record).svg()


def test_ids_are_unique_and_every_reference_has_its_target():
    text = "".join(draw(run_record(6, overflow=True)).svg() for draw in ALL)
    ids = re.findall(r' id="([^"]*)"', text)
    assert len(ids) == len(set(ids))
    assert set(re.findall(r'(?:url\(|href=")#([^")]*)', text)) <= set(ids)
    assert set(re.findall(r'href="([^#"]{1,22})', text)) == {"data:image/png;base64,"}


def test_text_and_grid_follow_the_page():
    text = figures.cycles(run_record(6)).svg()
    assert "currentColor" in text
    assert "var(--grid" in text
    assert "#1c2127" not in text


def test_a_file_has_a_ground_of_its_own_and_ink_for_it():
    drawing = figures.cycles(run_record(6))
    text = drawing.file_text()
    style = ElementTree.fromstring(text).findtext(f"{SVG}style")
    light, dark = style.split("@media (prefers-color-scheme: dark)")
    for ground in (light, dark):
        assert {"color:", "--faint:", "--grid:", "background:"} <= set(ground.split())
    assert "<style>\nsvg {" not in drawing.svg()  # in a page it follows the page


def test_long_networks_stay_small():
    assert max(len(draw(run_record(120, overflow=True)).svg()) for draw in ALL) < 250_000


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        (0, "B", "0 B"),
        (1023, "B", "1023 B"),
        (1536, "B", "1.50 KiB"),
        (2.5e6, "pJ", "2.50 µJ"),
        (999, "cycles", "999 cycles"),
        (12_345_678, "cycles", "12.3 million cycles"),
    ],
)
def test_quantities_read_well(value, unit, text):
    assert quantity(value, unit) == text


def test_scale_keeps_the_largest_unit_open():
    assert scaled(5e18, "pJ") == (1e12, "J")


def test_a_long_name_keeps_both_ends():
    assert shortened("backbone/block_1/conv/weights/Conv2D_shifted", 21) == "backbo…Conv2D_shifted"
    assert shortened("a;b;c") == "a"
