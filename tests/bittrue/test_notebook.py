"""What a notebook shows: the figures of the tables, as well-formed HTML, with every name escaped."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree

import numpy as np
import pytest

import bittrue
from reports.tables import layer_rows, summary_rows
from simulator.notebook import facts_table, folded_table


def cells(html):
    root = ElementTree.fromstring(f"<root>{html}</root>")
    return ["".join(cell.itertext()) for tag in ("th", "td", "b", "summary") for cell in root.iter(tag)]


@pytest.fixture(scope="module")
def run():
    network = bittrue.networks.gemm(4, 8, 6).with_weights(np.ones((8, 6), np.int8))
    return bittrue.simulate(network, bittrue.load_accelerator("edge_32x32"), [np.ones((4, 8), np.int8)])


def test_a_run_shows_its_totals_and_layers(run):
    shown = cells(run._repr_html_())
    for label, value in summary_rows(run.record)[2:]:
        assert label in shown
        assert value in shown
    for row in layer_rows(run.record):
        assert all(cell in shown for cell in row.values())
    assert f"{len(run.layers)} layers" in shown


def test_a_network_shows_what_goes_in_and_out():
    network = bittrue.load_network("unet", size=32, classes=3)
    shown = cells(network._repr_html_())
    assert "float32 [1, 32, 32, 3]" in shown
    assert f"{network.macs:,}" in shown
    assert f"{len(network.graph.nodes)}, float, no weights" in shown


def test_an_accelerator_shows_its_array_and_registers():
    shown = cells(bittrue.load_accelerator("edge_16x16_os").evolve({"array.rows": 24})._repr_html_())
    assert any(text.startswith("24 x 16, output stationary") for text in shown)
    assert "partial sum" not in shown
    assert "accumulator" in shown


def test_names_are_escaped_and_nothing_is_no_table():
    assert cells(facts_table("<a&b>", [("<i>", "x < y")])) == ["<i>", "x < y", "<a&b>"]
    assert folded_table("none", [], 1) == ""
