"""What a mistaken specification file is told: every problem, its line, and what would work."""

from __future__ import annotations

from contextlib import suppress
from importlib.metadata import EntryPoint

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import accel_models.registry as registry
from accel_models.load import load_accelerator, load_energy_table
from accel_models.yaml_document import parse_document, parse_value
from simulator.errors import SpecError

GOOD = """\
name: mine
clock_mhz: 500
array:
  rows: 8
  cols: 8
  dataflow: weight_stationary
arithmetic:
  activation: int8
  weight: int8
  accumulator: {bits: 32, overflow: wrap}
  requantizer: fixed_point_double
memories:
  input_scratchpad: {size: 64 KiB}
  weight_scratchpad: {size: 64 KiB}
  accumulator: {size: 32 KiB}
dma: {burst_bytes: 64, max_outstanding: 4}
dram:
  bandwidth: 1 GB/s
  latency_ns: 100
vector_unit: {lanes: 8}
energy_table: illustrative_22nm
"""

TABLE = """\
name: t
node_nm: 22
mac: {pj: 1, source: measured}
idle_pe: {pj: 1, source: measured}
input_scratchpad_read_byte: {pj: 1, source: measured}
input_scratchpad_write_byte: {pj: 1, source: measured}
weight_scratchpad_read_byte: {pj: 1, source: measured}
weight_scratchpad_write_byte: {pj: 1, source: measured}
accumulator_read_byte: {pj: 1, source: measured}
accumulator_write_byte: {pj: 1, source: measured}
dram_byte: {pj: 1, source: measured}
vector_op: {pj: 1, source: measured}
host_op: {pj: 1, source: measured}
leakage: {mw: 1, source: measured}
"""


@pytest.fixture
def edge(tmp_path, monkeypatch):
    """Write edge.yaml, beside which the test runs."""
    monkeypatch.chdir(tmp_path)

    def write(text, *edits):
        for old, new in edits:
            assert text.count(old) == 1, old
            text = text.replace(old, new)
        (tmp_path / "edge.yaml").write_text(text)
        return "edge.yaml"

    return write


def _message(file):
    with pytest.raises(SpecError) as error:
        load_accelerator(file)
    return str(error.value).splitlines()


def test_good_file_loads(edge):
    accelerator = load_accelerator(edge(GOOD))
    assert (accelerator.name, accelerator.array.rows, accelerator.memories.accumulator.size) == ("mine", 8, 32768)
    assert accelerator.dram_bytes_per_cycle == 2


@pytest.mark.parametrize(
    ("edit", "expected"),
    [
        (("  cols: 8", "  colls: 8"), "edge.yaml:5: array.colls: unknown key, did you mean cols?"),
        (("  rows: 8", "  rows: 0"), "edge.yaml:4: array.rows: 0 is out of range: at least 1"),
        (("  rows: 8", "  rows: eight"), "edge.yaml:4: array.rows: 'eight' is not a whole number"),
        (("  rows: 8", "  rows: true"), "edge.yaml:4: array.rows: true is a truth value, which this key does not take"),
        (
            ("weight_stationary", "weight_stationery"),
            "edge.yaml:6: array.dataflow: 'weight_stationery' is not one of weight_stationary, output_stationary, "
            "did you mean weight_stationary?",
        ),
        (
            ("overflow: wrap", "overflow: off"),
            "edge.yaml:10: arithmetic.accumulator.overflow: 'off' is not one of wrap, saturate, trap",
        ),
        (
            ("{size: 32 KiB}", "{size: 32 Kib}"),
            "edge.yaml:15: memories.accumulator.size: '32 Kib': b means bits; write B for bytes",
        ),
        (
            ("{size: 32 KiB}", "{size: 32 cm}"),
            "edge.yaml:15: memories.accumulator.size: '32 cm': unknown unit; use B, KiB, MiB, GiB (powers of 1024) or "
            "kB, MB, GB (powers of 1000)",
        ),
        (
            ("latency_ns: 100", "latency_ns: 100 ns"),
            "edge.yaml:19: dram.latency_ns: '100 ns' is not a finite number; the unit is part of the key",
        ),
        (
            ("latency_ns: 100", "latency_ns: 100\n  latency_cycles: 5"),
            "edge.yaml:17: dram: give exactly one of latency_ns and latency_cycles",
        ),
        (("clock_mhz: 500", "clock_mhz: .inf"), "edge.yaml:2: clock_mhz: inf is not a finite number"),
        (("  activation: int8", "  activation: 8"), "edge.yaml:8: arithmetic.activation: 8 is not an integer format"),
        (
            ("  weight: int8", "  weight: int32"),
            "edge.yaml:9: arithmetic.weight: operands have at most 16 bits, not int32",
        ),
        (("name: mine", "name: null"), "edge.yaml:1: name: has no value (Short identifier, as in the file name)"),
        (
            ("clock_mhz: 500", "clock_mhz: 500\nrows: 4"),
            "edge.yaml:3: rows: unknown key here; it belongs to array.rows",
        ),
        (("  cols: 8\n", ""), "edge.yaml:3: array.cols: missing (Processing elements along the output channels)"),
        (
            ("dma: {burst_bytes: 64, max_outstanding: 4}\n", ""),
            "edge.yaml:1: dma: missing; it holds burst_bytes, max_outstanding, setup_cycles",
        ),
        (
            ("dma: {burst_bytes: 64, max_outstanding: 4}", "dma: 64"),
            "edge.yaml:16: dma: 64 is a single value where a group with the keys burst_bytes, max_outstanding, "
            "setup_cycles is expected",
        ),
        (("  cols: 8", "  cols: 8\n  rows: 9"), "edge.yaml:6: array.rows: given twice, first in line 4; keep one"),
        (
            ("illustrative_22nm", "ilustrative_22"),
            "edge.yaml:21: energy_table: no energy table is called 'ilustrative_22'; did you mean illustrative_22nm?",
        ),
        (
            ("illustrative_22nm", "nowhere/prices.yaml"),
            "edge.yaml:21: energy_table: energy table 'nowhere/prices.yaml': there is no such file",
        ),
        (("rows: 8", "rows: !!python/object:os.system 8"), "edge.yaml:4: array.rows: the tag tag:yaml.org,2002:python"),
        (("rows: 8", "? [1, 2]\n  : 3"), "edge.yaml:4: a key is a word, not a list of items"),
    ],
)
def test_one_mistake_is_told_with_its_line(edge, edit, expected):
    lines = _message(edge(GOOD, edit))
    assert [line for line in lines if line.startswith(expected)], lines
    assert len(lines) <= 2  # a misspelt key is also a missing one


def test_every_mistake_of_a_file_is_told_at_once(edge):
    lines = _message(edge(GOOD, ("  cols: 8", "  colls: 8"), ("lanes: 8", "lanes: x"), ("bits: 32", "bits: 99")))
    assert lines == [
        "edge.yaml:3: array.cols: missing (Processing elements along the output channels)",
        "edge.yaml:5: array.colls: unknown key, did you mean cols?",
        "edge.yaml:10: arithmetic.accumulator.bits: 99 is out of range: at most 64",
        "edge.yaml:20: vector_unit.lanes: 'x' is not a whole number",
    ]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "edge.yaml: the file is empty"),
        ("# only a comment\n", "edge.yaml: the file is empty"),
        ("- a\n- b\n", "edge.yaml:1: a specification is a list of `key: value` lines, not a list of items"),
        ("\nhello\n", "edge.yaml:2: a specification is a list of `key: value` lines, not the single value 'hello'"),
        ("name: x\narray:\n\trows: 3\n", "edge.yaml:3: not valid YAML: found character '\\t'"),
        ("name: [1, 2\nclock_mhz: 3\n", "edge.yaml:2: not valid YAML: "),
        ("name: 'x\n", "edge.yaml:2: not valid YAML: found unexpected end of stream"),
        ("name: a\n---\nname: b\n", "edge.yaml:2: not valid YAML: but found another document"),
        ("name: *nobody\n", "edge.yaml:1: not valid YAML: found undefined alias"),
        ("name: &a\n  name: *a\n", "edge.yaml:1: nested or repeated too deeply"),
        ("name: \x07\n", "edge.yaml: not a YAML text"),
        ("[" * 5000, "edge.yaml: not a YAML text"),
    ],
)
def test_files_that_are_not_a_specification_at_all(edge, text, expected):
    assert _message(edge(text))[0].startswith(expected)


def test_tabs_are_named(edge):
    assert _message(edge("name: x\narray:\n\trows: 3\n"))[0].endswith("indent with spaces, not with tabs")


def test_aliases_that_multiply_are_stopped(edge):
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]" for i in range(1, 10)]
    assert "too deeply" in _message(edge("\n".join(lines)))[0]


def test_missing_file_names_the_presets_and_the_nearest(edge):
    with pytest.raises(
        SpecError, match=r"no accelerator is called 'edge_32'; did you mean edge_32x32\? presets: .*narrow_16x16"
    ):
        load_accelerator("edge_32")
    with pytest.raises(SpecError, match=r"'edge_32x32.yaml': there is no such file; did you mean edge_32x32\?"):
        load_accelerator("edge_32x32.yaml")
    with pytest.raises(SpecError, match=r"'\./': it is a folder"):
        load_accelerator("./")


def test_binary_and_huge_files_are_refused(tmp_path):
    binary = tmp_path / "model.tflite"
    binary.write_bytes(b"\x1c\x00\x00\x00TFL3\xff\xfe" * 100)
    with pytest.raises(SpecError, match="not a text file in UTF-8"):
        load_accelerator(binary)
    binary.write_bytes(b"#" * 2_000_000)
    with pytest.raises(SpecError, match="2000000 bytes is no hand-written YAML file"):
        load_accelerator(binary)


def test_yaml_1_1_words_stay_words_and_1e3_is_a_number(edge):
    accelerator = load_accelerator(
        edge(
            GOOD,
            ("name: mine", "name: on"),
            ("clock_mhz: 500", "clock_mhz: 1e3"),
            ("  cols: 8", "  cols: 010\n  weight_double_buffer: off"),
        )
    )
    assert accelerator.name == "on"
    assert accelerator.clock_mhz == 1000
    assert accelerator.array.cols == 10  # YAML 1.1 would read octal 8
    assert accelerator.array.weight_double_buffer is False


def test_scalars_of_the_core_schema():
    document = parse_document("a: 0x1F\nb: 0o17\nc: -2.5e-1\nd: ~\ne: True\nf: 12:30:00\ng: 2024-01-01\nh:\n", "x")
    assert document.data == {
        "a": 31, "b": 15, "c": -0.25, "d": None, "e": True, "f": "12:30:00", "g": "2024-01-01", "h": None
    }  # fmt: skip


def test_parse_value_takes_scalars_and_mappings():
    assert parse_value("64") == 64
    assert parse_value("{bits: 20, overflow: saturate}") == {"bits": 20, "overflow": "saturate"}
    assert parse_value("12.8 GB/s") == "12.8 GB/s"
    for bad in ("{bits: 20", "{a: 1, a: 2}", "1\nother: 2"):
        with pytest.raises(SpecError):
            parse_value(bad)


def test_energy_table_file_is_found_beside_the_accelerator(tmp_path, monkeypatch):
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "edge.yaml").write_text(GOOD.replace("illustrative_22nm", "prices.yaml"))
    (tmp_path / "sub" / "prices.yaml").write_text(TABLE)
    monkeypatch.chdir(tmp_path)
    accelerator = load_accelerator("sub/edge.yaml")
    assert load_energy_table(accelerator.energy_table).mac.pj == 1
    assert load_energy_table("prices.yaml", relative_to="sub").name == "t"


def test_energy_table_needs_a_source_for_every_number(tmp_path):
    path = tmp_path / "prices.yaml"
    path.write_text(TABLE.replace("mac: {pj: 1, source: measured}", "mac: {pj: -1}"))
    with pytest.raises(SpecError) as error:
        load_energy_table(path)
    assert str(error.value).splitlines() == [
        f"{path}:3: mac.pj: -1 is out of range: at least 0",
        f"{path}:3: mac.source: missing (Where the number is from)",
    ]


def test_a_technology_is_told_from_a_table_of_one_device(tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text("name: mine\nnode_nm: 22\nadder: {pj: -1, um2: 2, source: measured}\n")
    with pytest.raises(SpecError) as error:
        load_energy_table(path)
    lines = str(error.value).splitlines()
    assert f"{path}:3: adder.pj: -1 is out of range: at least 0" in lines
    assert any("sram: missing; it holds source, knee_kib" in line for line in lines)
    assert not any("mac" in line.split(":")[2] for line in lines)


class _Entry:
    """An entry point of somebody else's distribution."""

    def __init__(self, value, provide):
        self.value, self.load = value, lambda: provide


def test_other_distributions_can_register_tables(tmp_path, monkeypatch, caplog):
    path = tmp_path / "theirs.yaml"
    path.write_text(TABLE)

    def broken():
        raise RuntimeError("no licence")

    theirs = _Entry("theirs:tables", lambda: {"theirs": path, "twice": path})
    entries = (
        *registry._providers(),
        theirs,
        _Entry("broken:tables", broken),
        _Entry("dup:t", lambda: {"twice": path}),
    )
    monkeypatch.setattr(registry, "_providers", lambda: entries)
    assert load_energy_table("theirs").mac.pj == 1
    assert load_energy_table("illustrative_22nm").node_nm == 22
    assert "broken:tables are left out: RuntimeError: no licence" in caplog.text
    with pytest.raises(SpecError, match="'twice' is registered by theirs:tables, dup:t"):
        load_energy_table("twice")


def test_builtin_tables_register_like_any_other():
    values = [entry.value for entry in registry._providers()]
    assert all(isinstance(entry, EntryPoint) for entry in registry._providers())
    assert "accel_models.load:builtin_energy_tables" in values


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_a_damaged_file_is_a_spec_error_or_a_good_file(tmp_path_factory, data):
    text = GOOD
    for _ in range(data.draw(st.integers(1, 4))):
        start = data.draw(st.integers(0, len(text)))
        length = data.draw(st.integers(0, 12))
        inserted = data.draw(st.text(alphabet="\t\n :-{}[]&*!|>'\"%@#,?.0159eEnaxü\x00\u2028", max_size=6))
        text = text[:start] + inserted + text[start + length :]
    path = tmp_path_factory.getbasetemp() / "damaged.yaml"
    path.write_text(text, encoding="utf-8")
    with suppress(SpecError):
        load_accelerator(path)
