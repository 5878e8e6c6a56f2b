"""simulate and prepare, as a script uses them."""

from __future__ import annotations

import csv
import hashlib
import json
import pickle
import subprocess
import sys
from dataclasses import replace
from inspect import signature

import numpy as np
import pytest

import bittrue
from simulator.errors import InputError
from simulator.graph import ops
from simulator.numerics.quant import QuantParams
from simulator.records.store import read_run
from support.accelerators import device


@pytest.fixture(scope="module")
def network():
    rng = np.random.default_rng(0)
    net = bittrue.networks.conv2d(12, 10, 8, 16, 3, padding=1, pool=(2, 2, 0))
    return net.with_weights(rng.integers(-128, 128, (16, 3, 3, 8)).astype(np.int8), rng.integers(-9, 9, 16))


@pytest.fixture(scope="module")
def image():
    return np.random.default_rng(1).integers(-128, 128, (1, 12, 10, 8)).astype(np.int8)


def digests(folder):
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(folder.iterdir())}


def test_same_inputs_same_bytes_on_any_number_of_threads(network, image, tmp_path):
    for threads in (1, 2, None):
        bittrue.simulate(network, device(), [image], threads=threads, keep_tensors=True).save(tmp_path / str(threads))
    assert digests(tmp_path / "1") == digests(tmp_path / "2") == digests(tmp_path / "None")
    assert set(digests(tmp_path / "1")) == {
        "run.json", "layers.csv", "outputs.npz", "tensors.npz", "trace.json.gz", "report.html",
    }  # fmt: skip


def test_values_and_time_are_independent(network, image):
    both = bittrue.simulate(network, device(), [image])
    values = bittrue.simulate(network, device(), [image], values_only=True)
    timing = bittrue.simulate(network, device())
    assert (both.record.mode, values.record.mode, timing.record.mode) == ("both", "values", "timing")
    for name, output in both.outputs.items():
        np.testing.assert_array_equal(values.outputs[name], output)
    assert timing.outputs == {}
    assert timing.layers[0].overflow is None
    assert [layer.total_cycles for layer in timing.layers] == [layer.total_cycles for layer in both.layers]
    assert [layer.overflow for layer in values.layers] == [layer.overflow for layer in both.layers]
    assert values.record.total_cycles == 0


@pytest.mark.parametrize(
    "changes",
    [
        {"memories__input_scratchpad__size": "2 KiB"},
        {"memories__accumulator__size": "1 KiB", "memories__weight_scratchpad__size": "4 KiB"},
        {"dram__bytes_per_cycle": 1, "vector_unit__lanes": 1},
        {"array__cols": 3},
        {"cores": 3},
    ],
)
def test_what_decides_no_value_changes_no_bit(network, image, changes):
    narrow = {"arithmetic.accumulator": {"bits": 17, "overflow": "saturate"}}
    expected = bittrue.simulate(network, device().evolve(narrow), [image])
    changed = bittrue.simulate(network, device(**changes).evolve(narrow), [image])
    assert expected.layers[0].overflow.events > 0
    assert [layer.overflow for layer in changed.layers] == [layer.overflow for layer in expected.layers]
    for name, output in expected.outputs.items():
        np.testing.assert_array_equal(changed.outputs[name], output)
    assert changed.record.total_cycles != expected.record.total_cycles


def test_the_totals_are_the_layers(network, image):
    record = bittrue.simulate(network, device(), [image]).record
    assert record.total_cycles == sum(layer.total_cycles for layer in record.layers)
    assert record.total_energy_pj == pytest.approx(sum(layer.energy.total_pj for layer in record.layers), rel=1e-12)
    assert record.total_macs == 12 * 10 * 16 * 9 * 8 == network.macs
    assert record.parameters == 16 * 9 * 8 + 16 == network.parameters


PRICES = {
    "mac": ("macs",),
    "idle_pe": ("idle_pe_cycles",),
    "input_scratchpad_read_byte": ("input_scratchpad_read_bytes",),
    "input_scratchpad_write_byte": ("input_scratchpad_write_bytes",),
    "weight_scratchpad_read_byte": ("weight_scratchpad_read_bytes",),
    "weight_scratchpad_write_byte": ("weight_scratchpad_write_bytes",),
    "accumulator_read_byte": ("accumulator_read_bytes",),
    "accumulator_write_byte": ("accumulator_write_bytes",),
    "dram_byte": ("dram_read_bytes", "dram_write_bytes"),
    "vector_op": ("vector_ops",),
    "host_op": ("host_ops",),
}


def test_energy_follows_from_the_saved_files_alone(network, image, tmp_path):
    folder = bittrue.simulate(network, device(), [image]).save(tmp_path / "run")
    saved = json.loads((folder / "run.json").read_text())
    table, clock_mhz = saved["energy_table"], saved["clock_mhz"]
    with (folder / "layers.csv").open() as file:
        rows = list(csv.DictReader(file))
    for row in rows:
        counted = sum(int(row[field]) * table[price]["pj"] for price, fields in PRICES.items() for field in fields)
        leaked = table["leakage"]["mw"] * int(row["total_cycles"]) / clock_mhz * 1000  # mW * us = nJ
        assert float(row["energy_pj"]) == pytest.approx(counted + leaked, rel=1e-12)
        assert counted > 0 < leaked
    assert saved["totals"]["total_energy_pj"] == pytest.approx(sum(float(row["energy_pj"]) for row in rows), rel=1e-12)


def test_area_and_prices_follow_the_device(network, image, tmp_path):
    small = bittrue.simulate(network, device(), timing_only=True)
    large = bittrue.simulate(network, device(memories__input_scratchpad__size=2**20), timing_only=True)
    changed = {name for name, mm2 in small.record.area_mm2.items() if large.record.area_mm2[name] != mm2}
    assert changed == {"input_scratchpad"}
    assert large.record.total_area_mm2 > small.record.total_area_mm2 > 0.05
    assert large.record.layers[0].energy.input_scratchpad_pj > 1.5 * small.record.layers[0].energy.input_scratchpad_pj
    saved = json.loads((large.save(tmp_path / "run") / "run.json").read_text())
    assert saved["totals"]["total_area_mm2"] == sum(saved["area_mm2"].values()) == large.record.total_area_mm2


def test_activity_is_counted_on_request_and_changes_nothing_else(network, image, tmp_path):
    plain = bittrue.simulate(network, device(), [image])
    counted = bittrue.simulate(network, device(), [image], activity=True)
    assert all(layer.activity is None for layer in plain.layers)
    assert [replace(layer, activity=None) for layer in counted.layers] == list(plain.layers)
    (layer,) = (layer for layer in counted.layers if layer.engine == "array")
    assert all((other.activity is None) == (other.engine != "array") for other in counted.layers)
    activity, table = layer.activity, counted.record.energy_table
    assert activity.products == layer.macs
    assert 0 < activity.zero_products < activity.products
    expected = (activity.products - activity.zero_products) * table["nonzero_mac"]["pj"]
    expected += activity.toggled_bits * table["toggled_bit"]["pj"]
    assert activity.array_pj == pytest.approx(expected, rel=1e-12)
    folder = counted.save(tmp_path / "run")
    with (folder / "layers.csv").open() as file:
        row = list(csv.DictReader(file))[layer.index]
    assert int(row["activity.sum_toggled_bits"]) == activity.sum_toggled_bits
    assert read_run(folder).record == counted.record
    report = (folder / "report.html").read_text()
    assert "of products have a zero operand" in report
    assert "toggled %" in report


def test_activity_needs_values_and_one_device(network, image):
    with pytest.raises(InputError, match="activity is counted from values"):
        bittrue.simulate(network, device(), activity=True)
    with pytest.raises(InputError, match="without an accumulator_sweep"):
        bittrue.simulate(network, device(), [image], activity=True, accumulator_sweep=[16])


def test_prepare_once_run_often(network, image):
    prepared = bittrue.prepare(network, device())
    first, second = prepared.run([image]), prepared.run([image ^ 1])
    assert first.record.total_cycles == second.record.total_cycles
    (name,) = first.outputs
    assert (first.outputs[name] != second.outputs[name]).any()
    again = bittrue.simulate(network, device(), {network.graph.inputs[0]: image ^ 1})
    np.testing.assert_array_equal(again.outputs[name], second.outputs[name])


def test_a_prepared_network_without_inputs_is_timed_only(network, image):
    prepared = bittrue.prepare(network, device())
    both, timing = prepared.run([image]), prepared.run()
    assert timing.record.mode == "timing"
    assert (timing.outputs, timing.layers[0].overflow) == ({}, None)
    assert [layer.total_cycles for layer in timing.layers] == [layer.total_cycles for layer in both.layers]
    with pytest.raises(bittrue.BittrueError, match="values need inputs"):
        bittrue.prepare(network, device(), values_only=True).run()


@pytest.mark.parametrize("entry", [bittrue.simulate, bittrue.prepare])
def test_every_option_has_its_promised_default(entry):
    promised = {
        **{"values_only": False, "timing_only": False, "keep_tensors": False, "threads": None, "seed": 0},
        **{"ledger": "fast", "accumulator_sweep": None},
    }
    parameters = signature(entry).parameters
    assert {name: parameters[name].default for name in promised} == promised


def test_no_sweep_may_be_asked_for_by_name(network, image):
    run = bittrue.simulate(network, device(), [image], values_only=True, accumulator_sweep=None)
    assert run.record.accumulator_sweep == ()


def test_tensors_are_kept_under_the_networks_own_names(network, image):
    run = bittrue.simulate(network, device(), [image], values_only=True, keep_tensors=True)
    assert set(run.tensors) == set(network.graph.inputs) | {n for node in network.graph.nodes for n in node.outputs}


def test_dequantized_outputs_are_real_numbers(network, image):
    run = bittrue.simulate(network, device(), [image], values_only=True)
    (name,) = run.outputs
    tensor = network.graph.tensors[name]
    expected = tensor.scale * (run.outputs[name].astype(float) - tensor.zero_point)
    np.testing.assert_allclose(run.dequantized()[name], expected, rtol=1e-6)


def test_progress_counts_up_to_the_total(network, image):
    calls = []
    bittrue.simulate(network, device(), [image], on_progress=lambda *call: calls.append(call))
    done, totals = [call[0] for call in calls], {call[1] for call in calls}
    assert done == sorted(done)
    assert totals == {max(done)}


def test_a_data_frame_has_the_columns_of_the_csv(network):
    pytest.importorskip("pandas")
    frame = bittrue.simulate(network, device()).to_pandas()
    assert frame["name"].tolist() == [node.name for node in network.graph.nodes]
    assert frame["total_cycles"].sum() > 0


def test_dequantizing_takes_the_zero_point_off():
    builder = bittrue.GraphBuilder("shifted")
    x = builder.input("x", (1, 4), "uint8", QuantParams.per_tensor(0.5, 3))
    builder.add(ops.Reshape((4,)), x, name="y")
    run = bittrue.simulate(builder.build(), device(), [np.array([[0, 3, 5, 255]], np.uint8)], values_only=True)
    assert run.dequantized()["y"].tolist() == [-1.5, 0.0, 1.0, 126.0]


def test_an_input_of_few_bits_is_held_to_its_range():
    builder = bittrue.GraphBuilder("narrow")
    x = builder.input("x", (1, 2), "int4", QuantParams.per_tensor(1.0))
    builder.add(ops.Reshape((2,)), x, name="y")
    for value in (-9, 8):
        with pytest.raises(bittrue.BittrueError, match="do not fit int4"):
            bittrue.simulate(builder.build(), device(), [np.array([[0, value]], np.int8)])


def test_every_node_that_cannot_run_is_listed():
    builder = bittrue.GraphBuilder("odd")
    x = builder.input("x", (1, 4), "int8", QuantParams.per_tensor(1.0))
    for name in ("first", "second"):
        builder.output(builder.add(ops.Unary("exp"), x, name=name, format="int8", quant=QuantParams.per_tensor(1.0)))
    with pytest.raises(bittrue.BittrueError, match=r"(?s)2 nodes are not supported.*first.*second"):
        bittrue.simulate(builder.build(), device())


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        ([], "takes 1 inputs"),
        (np.zeros((1, 12, 10, 8), np.int8), "put a single array into a list"),
        ({"nonsense": np.zeros(3)}, "missing .* unknown"),
        ([np.zeros((1, 12, 10, 7), np.int8)], r"shape \(1, 12, 10, 7\), the network takes \(1, 12, 10, 8\)"),
        ([np.zeros((1, 12, 10, 8), np.float32)], "dtype float32, the network takes int8"),
    ],
)
def test_wrong_inputs_are_refused(network, inputs, message):
    with pytest.raises(bittrue.BittrueError, match=message):
        bittrue.simulate(network, device(), inputs)


def test_contradicting_options_are_refused(network, image):
    with pytest.raises(bittrue.BittrueError, match="exclude each other"):
        bittrue.simulate(network, device(), [image], values_only=True, timing_only=True)
    with pytest.raises(bittrue.BittrueError, match="'fast', 'affected', 'exact', 'channels', not 'slow'"):
        bittrue.simulate(network, device(), [image], ledger="slow")


@pytest.mark.parametrize("option", [{"threads": 0}, {"threads": "2"}, {"seed": -1}, {"seed": 1.5}, {"seed": 2**64}])
def test_numbers_out_of_range_are_refused(network, option):
    with pytest.raises(bittrue.BittrueError, match=f"{next(iter(option))} is a whole number"):
        bittrue.simulate(network, device(), **option)


def test_a_numpy_seed_is_a_seed(network, image, tmp_path):
    run = bittrue.simulate(network, device(), [image], seed=np.int64(7))
    assert '"seed": 7' in (run.save(tmp_path / "run") / "run.json").read_text()


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda net: bittrue.simulate("unet", device()), "net is a Network"),
        (lambda net: bittrue.simulate(net, "edge_32x32"), "acc is an Accelerator"),
        (lambda net: bittrue.simulate(net, device(), 5), "inputs is a dict by name or a list"),
        (lambda net: bittrue.load_network(5), "by name or path, not 5"),
        (lambda net: bittrue.load_accelerator(5), "by name or path, not 5"),
        (lambda net: device().evolve(["array.rows"]), "changes are a mapping"),
        (lambda net: device().evolve({5: 1}), "changes are a mapping"),
    ],
)
def test_things_of_another_kind_are_refused(network, call, message):
    with pytest.raises(bittrue.BittrueError, match=message):
        call(network)


def test_values_without_inputs_weights_or_integers_are_refused():
    weightless = bittrue.networks.gemm(4, 8, 4)
    with pytest.raises(bittrue.BittrueError, match="values need inputs"):
        bittrue.simulate(weightless.with_weights(np.zeros((8, 4), np.int8)), device(), values_only=True)
    with pytest.raises(bittrue.BittrueError, match="no weights"):
        bittrue.simulate(weightless, device(), [np.zeros((4, 8), np.int8)])
    floating = bittrue.load_network("deeplabv3_resnet50", size=65, width=0.125, weights="seeded")
    with pytest.raises(bittrue.BittrueError, match="quantize"):
        bittrue.simulate(floating, device(), [np.zeros((1, 65, 65, 3), np.float32)])
    assert bittrue.simulate(floating, device()).record.total_cycles > 0


def test_a_prepared_network_that_ran_runs_in_another_process(network, image, tmp_path):
    """What it keeps between runs is this process's own: addresses of kernels, and layers by identity."""
    prepared = bittrue.prepare(network, device())
    (here,) = prepared.run([image]).outputs.values()
    (tmp_path / "prepared").write_bytes(pickle.dumps((prepared, image)))
    program = (
        "import pickle, sys; prepared, image = pickle.load(open(sys.argv[1], 'rb'));"
        "(there,) = prepared.run([image]).outputs.values(); print(there.ravel().tolist())"
    )
    command = [sys.executable, "-c", program, str(tmp_path / "prepared")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.stdout == f"{here.ravel().tolist()}\n", done.stderr
