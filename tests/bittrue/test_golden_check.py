"""bittrue check: what passes, what fails and where, what is refused, and how a golden is renewed."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest
from typer.testing import CliRunner

import bittrue
from bittrue.cli import app
from bittrue.golden.check import tensor_hash
from bittrue.inputs import random_inputs
from simulator.errors import InputError, SpecError
from simulator.records.store import write_arrays
from simulator.records.vectors.files import Vector, VectorFormat, write_vectors

HEAD = """\
# What our array must give.
cases:
  conv:
    network: conv.npz
    accelerator: edge_32x32
    changes: {array.rows: 16, array.cols: 16}
    inputs: {seed: 1}
    expect:
"""


@pytest.fixture(scope="module")
def network():
    rng = np.random.default_rng(1)
    net = bittrue.networks.conv2d(4, 4, 3, 4, 3, padding=1, pool=(2, 2, 0))
    return net.with_weights(rng.integers(-128, 128, (4, 3, 3, 3)), rng.integers(-1000, 1000, 4))


@pytest.fixture(scope="module")
def run(network):
    acc = bittrue.load_accelerator("edge_32x32").evolve({"array.rows": 16, "array.cols": 16})
    return bittrue.simulate(network, acc, random_inputs(network, 1), keep_tensors=True)


@pytest.fixture
def golden(network, tmp_path):
    """Write a golden with these expectations, and return its path."""
    network.save(tmp_path / "conv.npz")

    def write(expect, head=HEAD):
        path = tmp_path / "golden.yaml"
        path.write_text(head + "".join(f"      {line}\n" for line in expect.splitlines()))
        return path

    return write


def cli(*arguments):
    return CliRunner().invoke(app, ["check", *map(str, arguments)])


def figures(run):
    return "\n".join(f"{name}: {getattr(run.record, name)}" for name in ("total_cycles", "dram_bytes")) + (
        f"\ntotal_energy_pj: {{value: {run.record.total_energy_pj * 1.01}, within_percent: 2}}\noverflow_events: 0"
    )


def test_a_golden_passes(golden, run, tmp_path):
    write_arrays(tmp_path / "expected.npz", {"output": run.outputs["output"], "conv": run.tensors["conv"]})
    path = golden(f"outputs: expected.npz\nhashes:\n  conv: {tensor_hash(run.tensors['conv'])}\n{figures(run)}")
    result = cli(path)
    assert (result.exit_code, result.stdout.splitlines()[-1]) == (0, "1 passed"), result.output
    assert "conv: passed  (output, conv, conv by hash, total_cycles," in result.stdout
    checked = bittrue.check(path)
    assert checked.passed
    assert not checked.changed
    assert cli(path, "--update").stdout == f"{path}: nothing to update\n"


def test_the_first_differing_value_is_told_with_coordinates_and_both_values(golden, run, tmp_path):
    wrong = run.outputs["output"].copy()
    wrong[0, 1, 0, 2] ^= 1
    wrong[0, 1, 1, 3] ^= 1
    write_arrays(tmp_path / "expected.npz", {"output": wrong})
    result = cli(golden("tolerance: 0\noutputs: expected.npz"))
    assert result.exit_code == 1
    values = f"{wrong[0, 1, 0, 2]} expected, {run.outputs['output'][0, 1, 0, 2]} found; 2 of 16 values differ"
    assert f"golden.yaml:10: output[0, 1, 0, 2]: {values}, by 1 at most" in result.stdout
    assert result.stdout.endswith("1 of 1 cases failed\n")
    assert cli(golden("tolerance: 1\noutputs: expected.npz")).exit_code == 0


def test_a_wrong_shape_is_a_difference(golden, tmp_path):
    write_arrays(tmp_path / "expected.npz", {"output": np.zeros((1, 2, 2), np.int8)})
    result = cli(golden("outputs: expected.npz"))
    assert result.exit_code == 1
    assert "output: shape [1, 2, 2] against [1, 2, 2, 4]" in result.stdout


@pytest.mark.parametrize("format", [VectorFormat("raw", "big"), VectorFormat("memh", lanes=4), VectorFormat()])
def test_reference_outputs_may_be_vectors(golden, run, tmp_path, format):
    write_vectors(tmp_path / "rtl", [Vector("output", "expected", run.outputs["output"], 8)], format, {})
    path = golden("outputs: rtl/manifest.json")
    assert cli(path).exit_code == 0
    write_vectors(tmp_path / "rtl", [Vector("output", "expected", run.outputs["output"] ^ 1, 8)], format, {})
    assert cli(path).exit_code == 1
    before = path.read_text()
    assert cli(path, "--update").exit_code == 1  # somebody else's results are not renewed
    assert path.read_text() == before


def test_bounds_that_fail_are_told_with_both_figures(golden, run):
    cycles, traffic = run.record.total_cycles, run.record.dram_bytes
    expect = f"total_cycles: {cycles - 1}\ndram_bytes: {{most: {traffic - 1}, least: {traffic}}}\n"
    energy = run.record.total_energy_pj * 1.03
    result = cli(golden(f"{expect}total_energy_pj: {{value: {energy}, within_percent: 2}}\noverflow_events: 1"))
    assert result.exit_code == 1
    lines = result.stdout.splitlines()
    assert f"golden.yaml:9: total_cycles: {cycles - 1:,} expected, {cycles:,} found (+" in lines[1]
    assert f"golden.yaml:11: total_energy_pj: {energy:,} within 2 % expected," in lines[2]
    assert "golden.yaml:10: dram_bytes: at most" in lines[4]
    assert "golden.yaml:12: overflow_events: 1 expected, 0 found (-100.00 %)" in lines[3]


def test_update_shows_old_and_new_and_touches_nothing_else(golden, run):
    energy = run.record.total_energy_pj
    expect = "outputs: new/expected.npz\nhashes:   # by tensor\ntotal_cycles:  # not yet\ndram_bytes: 7   # bytes\n"
    path = golden(f"{expect}total_energy_pj: {{within_percent: 1, value: }}\noverflow_events: {{most: 0, value: 3}}")
    assert cli(path).exit_code == 2
    before = path.read_text()
    result = cli(path, "--update")
    assert result.exit_code == 0, result.output
    cycles, traffic = run.record.total_cycles, run.record.dram_bytes
    digest = tensor_hash(run.outputs["output"])
    assert result.stdout.splitlines() == [
        f"conv.hashes: not recorded -> output {digest[:23]}...",
        f"conv.total_cycles: not recorded -> {cycles:,}",
        f"conv.total_energy_pj: not recorded -> {energy:,}",
        f"conv.dram_bytes: 7 -> {traffic:,}  ({100 * (traffic - 7) / 7:+.2f} %)",
        "conv.overflow_events: 3 -> 0  (-100.00 %)",
        "conv.output: not recorded -> int8 [1, 2, 2, 4]",
        f"{path}: updated",
    ]
    wanted = before.replace("# by tensor", f"# by tensor\n        output: {digest}")
    wanted = wanted.replace("total_cycles:  #", f"total_cycles: {cycles}  #").replace("bytes: 7 ", f"bytes: {traffic} ")
    wanted = wanted.replace("value: }", f"value: {energy!r}}}").replace("value: 3", "value: 0")
    assert path.read_text() == wanted
    assert sorted(p.name for p in path.parent.rglob("*")) == ["conv.npz", "expected.npz", "golden.yaml", "new"]
    assert cli(path).exit_code == 0


def test_update_renews_only_what_differs(golden, run, tmp_path):
    kept = {"output": run.outputs["output"] ^ 1, "conv": run.tensors["conv"]}
    write_arrays(tmp_path / "expected.npz", kept)
    path = golden(f"outputs: expected.npz\nhashes: {{output: 'sha256:{'0' * 64}', conv: }}\n{figures(run)}")
    result = cli(path, "--update")
    assert result.exit_code == 0, result.output
    assert "conv.output[0, 0, 0, 0]: " in result.stdout
    assert "total" not in result.stdout
    with np.load(tmp_path / "expected.npz") as written:
        assert sorted(written) == ["conv", "output"]
        np.testing.assert_array_equal(written["output"], run.outputs["output"])
    assert cli(path).exit_code == 0


def test_requirements_outlive_an_update(golden, run):
    path = golden("total_cycles: {value: 1, most: 2}")
    result = cli(path, "--update")
    assert result.exit_code == 1
    assert f"golden.yaml:9: total_cycles: at most 2 required, {run.record.total_cycles:,} found" in result.stdout
    assert f"{{value: {run.record.total_cycles}, most: 2}}" in path.read_text()


def test_a_value_that_anchors_share_is_not_rewritten(golden):
    path = golden("total_cycles: &n 5\ndram_bytes: *n")
    before = path.read_text()
    result = cli(path, "--update")
    assert result.exit_code == 2
    assert "cannot be replaced one by one" in result.stderr
    assert path.read_text() == before


def test_bytes_around_the_values_stay(golden):
    path = golden("total_cycles: 5\nhashes: null")
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes().replace(b"\n", b"\r\n"))
    before = path.read_bytes()
    (case,) = bittrue.check(path, update=True).cases
    digest = tensor_hash(case.tensors["output"]).encode()
    wanted = before.replace(b"total_cycles: 5", b"total_cycles: %d" % case.record.total_cycles)
    assert path.read_bytes() == wanted.replace(b" null\r\n", b"\r\n        output: %s\r\n" % digest)
    assert bittrue.check(path).passed


def test_several_cases_and_the_choice_of_one(golden, run):
    more = "  slow:\n    network: {network: fcn_vgg16, size: 32}\n    accelerator: edge_32x32\n"
    more += "    expect: {dram_bytes: 1}\n"
    path = golden(f"total_cycles: {run.record.total_cycles}", HEAD.replace("cases:\n", f"cases:\n{more}"))
    result = cli(path)
    assert result.exit_code == 1
    assert [line.split("  (")[0] for line in result.stdout.splitlines() if not line.startswith(" ")] == [
        "slow: FAILED",
        "conv: passed",
        "1 of 2 cases failed",
    ]
    assert cli(path, "--case", "conv").exit_code == 0
    assert "no case 'con', did you mean conv?" in cli(path, "--case", "con").stderr


def test_a_register_that_traps_fails_the_case(golden):
    changes = "changes: {arithmetic.partial_sum: {bits: 10, overflow: trap}}"
    path = golden("overflow_events: 0", HEAD.replace("changes: {array.rows: 16, array.cols: 16}", changes))
    result = cli(path)
    assert result.exit_code == 1
    assert "the 10-bit partial_sum overflowed at output" in result.stdout


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (
            "overflow_events: 0",
            "overflow_event: 0",
            r"golden.yaml:9: cases.conv.expect.overflow_event: unknown key, did",
        ),
        ("accelerator:", "device:", r"golden.yaml:5: cases.conv.device: unknown key"),
        ("overflow_events: 0", "tolerance: 1", r"golden.yaml:8: cases.conv.expect: nothing is expected; give some of"),
        ("overflow_events: 0", "outputs:", r"golden.yaml:9: cases.conv.expect.outputs: has no value; name the .npz"),
        ("overflow_events: 0", "outputs: y.bin", r"golden.yaml:9: .*'y.bin' is neither a .npz nor the manifest"),
        (
            "overflow_events: 0",
            "outputs: none.npz",
            r"case conv: outputs .*none.npz: no such file; `bittrue check --up",
        ),
        ("overflow_events: 0", "hashes: {output: abc}", r"golden.yaml:9: .*'abc' is no hash"),
        (
            "overflow_events: 0",
            "hashes: {outptu: }",
            r"case conv: conv2d.* computes no tensor 'outptu', did you mean o",
        ),
        ("overflow_events: 0", "total_cycles: many", r"golden.yaml:9: .*total_cycles: 'many' is a single value where"),
        ("overflow_events: 0", "total_cycles: {within_percent: 1}", r"golden.yaml:9: .*give value, least or most"),
        ("overflow_events: 0", "total_cycles: {value: 1, within_percent: -1}", r"-1 is out of range: at least 0"),
        ("    inputs: {seed: 1}\n", "", r"golden.yaml:3: cases.conv: inputs: missing; overflow_events needs values"),
        ("{seed: 1}", "{seed: 1, file: x.npy}", r"golden.yaml:7: .*give exactly one of file and seed"),
        ("{seed: 1}", "none.npy", r"case conv: input none.npy: no such file"),
        ("{seed: 1}", "wrong.npy", r"case conv: .*\(2, 2\)"),
        ("network: conv.npz", "network: conv2.npz", r"case conv: network conv2.npz: no such file"),
        ("edge_32x32", "edge_32", r"case conv: no accelerator is called 'edge_32'"),
        ("array.rows: 16", "array.rows: 0", r"array.rows: 0 is out of range"),
        (
            "network: conv.npz",
            "network: {network: fcn_vgg16, size: 32}",
            r"case conv: .* is float, and its quantization",
        ),
        ("cases:", "cases: 3\nrest:", r"golden.yaml:2: cases: "),
    ],
)
def test_goldens_that_are_refused(golden, tmp_path, monkeypatch, old, new, message):
    monkeypatch.chdir(tmp_path)
    np.save(tmp_path / "wrong.npy", np.zeros((2, 2), np.int8))
    path = golden("overflow_events: 0")
    path.write_text(path.read_text().replace(old, new))
    with pytest.raises(SpecError, match=message):
        bittrue.check(path)
    assert cli(path).exit_code == 2


def test_what_is_no_golden_is_refused(tmp_path):
    assert "cannot be read" in cli(tmp_path / "none.yaml").stderr
    (tmp_path / "empty.yaml").write_text("")
    assert cli(tmp_path / "empty.yaml").exit_code == 2


def test_a_hash_can_be_made_without_this_tool(run):
    value = run.outputs["output"]
    data = b"int8 [1, 2, 2, 4]\n" + b"".join(int(v).to_bytes(1, "little", signed=True) for v in value.flat)
    assert tensor_hash(value) == f"sha256:{hashlib.sha256(data).hexdigest()}"
    wide = np.array([[1, -2]], ">i4")
    data = b"int32 [1, 2]\n" + b"\x01\0\0\0\xfe\xff\xff\xff"
    assert tensor_hash(wide) == f"sha256:{hashlib.sha256(data).hexdigest()}"


def pcg64(state, increment, count):
    """PCG XSL RR 128/64 (O'Neill 2014) on Python integers, as NumPy seeds it."""
    for _ in range(count):
        state = (state * 0x2360ED051FC65DA44385DF649FCCF645 + increment) % 2**128
        word, turn = (state >> 64) ^ (state % 2**64), state >> 122
        yield (word >> turn | word << (64 - turn)) % 2**64


def test_random_inputs_are_the_upper_bits_of_pcg64(network):
    (drawn,) = random_inputs(network, 9).values()
    start = np.random.PCG64(np.random.SeedSequence([9, 0])).state["state"]
    wanted = [(word >> 56) - 128 for word in pcg64(start["state"], start["inc"], drawn.size)]
    assert drawn.reshape(-1).tolist() == wanted
    assert drawn.dtype == np.int8


def test_random_inputs_need_integers():
    with pytest.raises(InputError, match="random integers are for integer inputs: give a file"):
        random_inputs(bittrue.load_network("fcn_vgg16", size=32), 0)
