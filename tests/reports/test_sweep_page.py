"""The page of a sweep: complete, self-contained, the same bytes every time."""

from __future__ import annotations

import re
from dataclasses import replace
from html.parser import HTMLParser

from typer.testing import CliRunner

from bittrue.cli import app
from reports.layer_shares import LayerShare
from reports.sweep_page import SweepPage, render_sweep, write_sweep_page


def row(network, rows, time, energy, on_front=1, error=""):
    figures = {} if error else {"total_time_s": time, "total_energy_pj": energy, "bottleneck": "load 61 %"}
    return (
        {"network": network, "array.rows": rows, "array.dataflow": "ws"}
        | figures
        | {
            "on_front": on_front,
            "point": f"{network[:4]}{rows}",
            "error": error,
        }
    )


NETWORKS = ("unet <small>", "fcn")
ROWS = [row(n, r, 1.0 / r, 1e9 * r, on_front=r != 16) for n in NETWORKS for r in (8, 16, 32)]
PAGE = SweepPage(
    name="shapes & sizes",
    description="Which?",
    version="1.2.3",
    objectives=("total_time_s", "total_energy_pj"),
    varied=("array.rows", "array.dataflow"),
    rows=[*ROWS, row("fcn", 64, 0, 0, 0, "does not fit <x>\nmore")],
    fronts={n: [r for r in reversed(ROWS) if r["network"] == n and r["on_front"]] for n in NETWORKS},
    counts={"points": 7, "evaluated": 6, "on a front": 4, "quarantined": 1},
    space={"name": "shapes & sizes", "vary": {"array.rows": [8, 16, 32, 64]}},
    layers={
        "fcn8": [
            LayerShare("first <1>", "array", "compute", 0.25, 0.25, 0.0, 0.0),
            LayerShare("second", "vector", "load", 0.5, 0.125, 0.25, 0.125),
            *(LayerShare(f"small{i}", "dma", "store", 0.02, 0.01, 0.0, 0.01) for i in range(10)),
        ]
    },
)


class _Parsed(HTMLParser):
    def __init__(self, text):
        super().__init__()
        self.ids, self.links, self.open = [], [], []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        for name, value in attributes:
            if name == "id":
                self.ids.append(value)
            if name in ("src", "href", "xlink:href") and not value.startswith(("#", "data:")):
                self.links.append(value)


def cells(text, table):
    body = re.search(rf'<table [^>]*id="{table}".*?</table>', text, re.DOTALL).group()
    rows = re.findall(r"<tr>(.*?)</tr>", body, re.DOTALL)[1:]
    return [[re.sub("<.*?>", "", cell) for cell in re.findall(r"<td.*?</td>", one, re.DOTALL)] for one in rows]


def test_fronts_failures_and_counts_are_there():
    text = render_sweep(PAGE)
    assert cells(text, "network-0-front") == [
        ["32", "ws", "31.2 ms", "32.0 mJ", "load 61 %"],
        ["8", "ws", "125 ms", "8.00 mJ", "load 61 %"],
    ]
    assert cells(text, "failure-table") == [["array rows 64, array dataflow ws", "does not fit &lt;x&gt;"]]
    assert "Best time of a run: 31.2 ms (with 32.0 mJ) by array rows 32" in text
    assert "Best energy of a run: 8.00 mJ (with 125 ms) by array rows 8" in text
    assert "unet &lt;small&gt;" in text
    assert text.count("<svg") == 2


def test_a_point_on_the_front_tells_where_its_time_goes():
    text = render_sweep(PAGE)
    assert "array rows 8, array dataflow ws (fcn8): load 61 %" in text
    rows = cells(text, "network-1-layers-1")
    assert rows[0] == ["second", "load", "50.0 %", "12.5 %", "25.0 %", "12.5 %"]
    assert rows[1] == ["first &lt;1&gt;", "compute", "25.0 %", "25.0 %", "0.0 %", "0.0 %"]
    assert rows[-1] == ["2 other layers", "", "4.0 %", "2.0 %", "0.0 %", "2.0 %"]
    assert len(rows) == 11
    assert "network-0-layers-1" not in text


def test_the_page_needs_nothing_else_and_its_ids_are_its_own():
    parsed = _Parsed(render_sweep(PAGE))
    assert parsed.links == []
    assert len(parsed.ids) == len(set(parsed.ids))
    used = set(re.findall(r'(?:url\(|href=")#([^)"]+)', render_sweep(PAGE)))
    assert used <= set(parsed.ids)


def test_the_same_sweep_gives_the_same_bytes_and_nothing_half_written(tmp_path):
    first = write_sweep_page(tmp_path / "report.html", PAGE).read_bytes()
    assert write_sweep_page(tmp_path / "report.html", PAGE).read_bytes() == first
    assert [path.name for path in tmp_path.iterdir()] == ["report.html"]


def test_a_sweep_without_a_result_still_has_a_page():
    failed = [row("fcn", 8, 0, 0, 0, "no")]
    text = render_sweep(replace(PAGE, rows=failed, fronts={"fcn": []}))
    assert "<svg" not in text
    assert cells(text, "failure-table") == [["array rows 8, array dataflow ws", "no"]]


def test_command_leaves_the_page(tmp_path):
    (tmp_path / "space.yaml").write_text(
        "name: s\naccelerator: edge_32x32\nnetworks: [{network: unet, size: 32, width: 0.125}]\n"
        "fixed: {mapper: fixed_rule}\nvary: {array.rows: [8, 16]}\n"
    )
    result = CliRunner().invoke(app, ["sweep", str(tmp_path / "space.yaml"), "-o", str(tmp_path / "out")])
    assert result.exit_code == 0, result.output
    text = (tmp_path / "out" / "report.html").read_text()
    assert "unet size=32 width=0.125" in text
    assert _Parsed(text).links == []
