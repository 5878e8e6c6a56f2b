"""The ledger by channel through the public API and in the run folder."""

from __future__ import annotations

import numpy as np
import pytest
from typer.testing import CliRunner

import bittrue
from bittrue.cli import app
from simulator.records.channel_ledger import ledger_arrays
from support.accelerators import device
from support.conv_chain import chain_input, conv_chain

NARROW = {"arithmetic__accumulator": {"bits": 17, "overflow": "wrap"}}


@pytest.fixture(scope="module")
def runs():
    """The chain with every ledger; with channels, a sweep runs along."""
    network, image = conv_chain(), chain_input()
    found = {name: bittrue.simulate(network, device(**NARROW), [image], ledger=name) for name in ("fast", "exact")}
    options = {"ledger": "channels", "accumulator_sweep": [16, 18, 24]}
    return found | {"channels": bittrue.simulate(network, device(**NARROW), [image], **options)}


def test_channels_add_up_to_the_exact_ledger(runs):
    run = runs["channels"]
    assert run.layers == runs["exact"].layers
    assert len(run.channels) == len(run.layers)
    for layer, channels in zip(run.layers, run.channels, strict=True):
        assert (channels is None) == (layer.engine != "array")
        if channels is None:
            continue
        assert len(channels.accumulator.events) == layer.output_shape[-1]
        assert channels.accumulator.events.sum() == layer.overflow.accumulator_events
        assert channels.partial_sum.events.sum() == layer.overflow.partial_sum_events
        assert channels.accumulator.needed_bits.max() == layer.overflow.accumulator_needed_bits
        assert channels.partial_sum.needed_bits.max() == layer.overflow.partial_sum_needed_bits
        assert channels.accumulator.histogram.sum() == layer.output_shape[-1]
    assert sum(layer.overflow.events for layer in run.layers) > 0


def test_channels_are_kept_on_request_alone(runs):
    assert runs["fast"].channels == runs["exact"].channels == ()


def test_a_sweep_does_not_depend_on_the_ledger(runs):
    alone = bittrue.simulate(conv_chain(), device(**NARROW), [chain_input()], accumulator_sweep=[16, 18, 24])
    assert runs["channels"].record.accumulator_sweep == alone.record.accumulator_sweep


def test_the_folder_holds_the_arrays(runs, tmp_path):
    runs["channels"].save(tmp_path / "run")
    with np.load(tmp_path / "run" / "ledger.npz") as file:
        stored = {name: file[name] for name in file.files}
    expected = ledger_arrays(runs["channels"].channels)
    assert list(stored) == list(expected)
    assert "0/partial_sum/needed_bits" in stored
    for name, array in expected.items():
        np.testing.assert_array_equal(stored[name], array)
        assert stored[name].dtype == np.int64
    runs["exact"].save(tmp_path / "run")  # a folder with a ledger is a run folder, to be replaced whole
    assert not (tmp_path / "run" / "ledger.npz").exists()


def test_output_stationary_arrays_have_no_partial_sums():
    acc = device(array__dataflow="output_stationary")
    run = bittrue.simulate(conv_chain(), acc, [chain_input()], ledger="channels", values_only=True)
    assert run.channels[0].partial_sum is None
    assert not [name for name in ledger_arrays(run.channels) if "partial_sum" in name]


def test_the_command_line_writes_it(tmp_path, monkeypatch):
    from workloads.exporters.npz import save_network

    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    weights = rng.integers(-128, 128, (40, 5)).astype(np.int8)
    save_network(bittrue.networks.gemm(6, 40, 5, out="int32").with_weights(weights), tmp_path / "gemm.npz")
    np.save(tmp_path / "x.npy", rng.integers(-128, 128, (6, 40)).astype(np.int8))
    arguments = ["run", "gemm.npz", "-a", "edge_32x32", "-i", "x.npy", "-o", "out", "--ledger", "channels"]
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 0, result.stderr
    with np.load(tmp_path / "out" / "ledger.npz") as file:
        (index,) = {name.split("/")[0] for name in file.files}
        assert file[f"{index}/accumulator/least"].shape == (5,)
