"""Blocks of a network, their sums, and the table that shows both."""

from __future__ import annotations

from dataclasses import replace

import pytest

from reports.blocks import Block, Leaf, blocks, open_depth
from reports.layer_table import layer_table
from reports.sums import summed
from reports.training_parts import is_training_step, part_rows, parts_of, role_of
from simulator.records.activity import ActivityRecord
from simulator.records.explain import explain
from simulator.records.layer import LayerRecord
from simulator.records.overflow import OverflowRecord
from support.records import run_record
from support.small_runs import small_run


def layers(*names: str) -> list[LayerRecord]:
    return [LayerRecord(i, name, "Conv2D", "array", (), ()) for i, name in enumerate(names)]


def shape(tree: tuple[Block | Leaf, ...]) -> list:
    """Labels, a block as (label, parts)."""
    return [part.label if isinstance(part, Leaf) else (part.label, shape(part.parts)) for part in tree]


def test_names_that_begin_alike_are_a_block():
    found = blocks(layers("conv1", "layer1.0.conv1", "layer1.0.conv2", "layer1.1.conv1", "layer1.1.add", "labels"))
    expected = ["conv1", ("layer1", [("0", ["conv1", "conv2"]), ("1", ["conv1", "add"])]), "labels"]
    assert shape(found) == expected
    assert found[1].name == "layer1"
    assert [part.name for part in found[1].parts] == ["layer1.0", "layer1.1"]


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        # What all layers share is no block, and stays in the labels.
        (["net/a/x", "net/a/y", "net/b"], [("net/a", ["x", "y"]), "net/b"]),
        # A block of one part merges with it.
        (["a.0.0.x", "a.0.0.y", "b"], [("a.0.0", ["x", "y"]), "b"]),
        # A layer may bear the name of its block, several layers the same name.
        (["d.conv", "d.conv.wgrad", "e"], [("d.conv", ["conv", "wgrad"]), "e"]),
        (["x", "x"], ["x", "x"]),
        # Layers of one block that are far apart.
        (["a.f", "b.f", "a.g", "b.g"], [("a", ["f", "g"]), ("b", ["f", "g"])]),
        (["", "/", "..", "a"], ["", "/", "..", "a"]),
        (["/l/l.0/c/Conv", "/l/l.1/c/Conv", "/z"], [("l/l", ["0/c/Conv", "1/c/Conv"]), "z"]),
        ([], []),
    ],
)
def test_what_is_a_block(names, expected):
    assert shape(blocks(layers(*names))) == expected


def test_a_fused_layer_is_called_by_its_first_name():
    assert shape(blocks(layers("m/a/conv;m/b/bias", "m/a/relu;m/c", "n"))) == [("m/a", ["conv", "relu"]), "n"]


def test_blocks_stand_open_while_about_forty_rows_are_shown():
    assert open_depth(blocks(layers(*(f"b{i % 4}.c{i}" for i in range(20))))) == 1
    assert open_depth(blocks(layers(*(f"b{i % 4}.c{i}" for i in range(60))))) == 0
    assert open_depth(blocks(layers("a", "b"))) == 0


def test_counts_are_added_and_ratios_formed_anew():
    record = run_record(6, overflow=True)
    whole = summed("all", record.layers, record.peak_macs_per_cycle)
    assert (whole.macs, whole.total_cycles) == (record.total_macs, record.total_cycles)
    assert whole.utilization == pytest.approx(record.utilization)
    assert whole.energy_pj == pytest.approx(record.total_energy_pj)
    assert whole.dram_bytes == record.dram_bytes
    assert whole.overflow.events == record.overflow_events
    assert (whole.start_cycle, whole.end_cycle) == (0, record.total_cycles)
    on_array = sum(layer.compute_cycles for layer in record.layers if layer.engine == "array")
    assert whole.mapping_utilization == pytest.approx(record.total_macs / (256 * on_array))
    assert whole.engine == "array, vector, host"


def ledger(needed: int, exact: bool, width: int = 24) -> OverflowRecord:
    return OverflowRecord(
        needed_bits=needed, needed_bits_is_exact=exact, accumulator_needed_bits=needed, accumulator_bits=width
    )


def test_a_block_needs_the_most_that_a_layer_needs_exactly_where_such_a_layer_was_measured():
    first, second = layers("a", "b")

    def of(one: OverflowRecord, two: OverflowRecord) -> OverflowRecord:
        return summed("ab", [replace(first, overflow=one), replace(second, overflow=two)], 1).overflow

    assert (of(ledger(18, True), ledger(20, False)).needed_bits_is_exact) is False
    both = of(ledger(20, True), ledger(20, False))
    assert (both.needed_bits, both.needed_bits_is_exact, both.headroom_bits) == (20, True, 4)
    assert of(ledger(18, True, 20), ledger(18, True, 24)).headroom_bits is None
    assert of(ledger(18, True), OverflowRecord(saturations=3)).saturations == 3


def test_activity_is_added_and_priced_only_where_all_of_it_is():
    first, second = layers("a", "b")
    one = ActivityRecord(10, 1, 1, 2, 3, 40, 5, 60, 7, 80, array_pj=1.5)
    added = summed("ab", [replace(first, activity=one), replace(second, activity=one)], 1).activity
    assert (added.products, added.zero_share, added.toggle_share, added.array_pj) == (20, 0.2, 15 / 180, 3.0)
    partly = [replace(first, activity=one), replace(second, activity=replace(one, array_pj=None))]
    assert summed("ab", partly, 1).activity.array_pj is None


def test_the_table_has_blocks_before_what_is_in_them_with_their_sums():
    record = small_run()
    renamed = replace(record, layers=(*(replace(la, name=f"b.{la.name}") for la in record.layers),))
    third = replace(record.layers[1], index=2, name="end")
    table = layer_table(replace(renamed, layers=(*renamed.layers, third)))
    assert [(row.number, row.parent, row.index, row.label) for row in table.rows] == [
        (0, None, None, "b"),
        (1, 0, 0, "conv"),
        (2, 0, 1, "add"),
        (3, None, 2, "end"),
    ]
    column = [column.header for column in table.columns].index("kcycles") - 2
    assert [row.cells[column].value for row in table.rows] == [1200, 1000, 200, 200]
    assert table.total[column].value == 1400
    assert table.rows[0].cells[column].share == pytest.approx(1200 / 1400)


def test_every_column_has_the_definition_that_explain_prints():
    for column in layer_table(run_record(6, overflow=True)).columns:
        assert column.definition in [item.text for item in explain(column.field)]


def test_headroom_is_what_the_accumulator_has_left():
    record = run_record(6, overflow=True)
    table = layer_table(record)
    column = [column.header for column in table.columns].index("headroom") - 2
    found = {row.index: row.cells[column].text for row in table.rows if not row.is_block}
    assert found[2] == str(24 - (18 + 2 + 8))
    assert found[4] == "-"


STEP = [
    ("a.conv", "Conv2D", "array", "forward"),
    ("a.conv.wgrad", "Conv2D", "array", "wgrad"),
    ("a.conv.dgrad", "TransposeConv2D", "array", "dgrad"),
    ("a.conv.wgrad.image", "Transpose", "dma", "transposes of operands"),
    ("a.weight.next", "Update", "vector", "updates, weights to 8 bits"),
    ("a.pool", "MaxPool2D", "vector", "other"),
]


def test_a_training_step_is_told_by_its_parts():
    found = [
        LayerRecord(i, name, op, engine, (), (), total_cycles=10 * i, end_cycle=100, macs=1_000_000)
        for i, (name, op, engine, _) in enumerate(STEP)
    ]
    assert [role_of(layer) for layer in found] == [role for *_, role in STEP]
    assert [part.role for part in parts_of(found)] == [role for *_, role in reversed(STEP)]
    record = replace(run_record(1), layers=tuple(found))
    assert is_training_step(record)
    first = part_rows(record)[-2]
    assert (first["part"], first["layers"], first["MMACs"], first["% of cycles"]) == ("wgrad", "1", "1.0", "10.0")
    assert part_rows(run_record(6)) == []
