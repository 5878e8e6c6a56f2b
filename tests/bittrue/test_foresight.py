"""What is alive when, and what is refused before it begins."""

from __future__ import annotations

import numpy as np
import pytest
from typer.testing import CliRunner

import bittrue
from bittrue import foresight
from bittrue.cli import app
from simulator.graph import ops
from simulator.graph.builder import GraphBuilder
from simulator.graph.liveness import live_plan
from simulator.numerics.formats import INT8
from support.small_nets import small_network
from workloads.network import Network


def invoke(*arguments):
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def diamond():
    """x (6 bytes) -> a (6) -> b (12), c reads x and ends it; y = [b, c]."""
    builder = GraphBuilder("diamond")
    x = builder.input("x", (1, 6), INT8)
    a = builder.add(ops.Reshape((1, 2, 3)), x, name="a")
    b = builder.add(ops.Tile((1, 2, 1)), a, name="b")
    c = builder.add(ops.Reshape((1, 2, 3)), x, name="c")
    builder.add(ops.Concat(1), b, c, name="y")
    return Network(builder.build())


def test_a_tensor_lives_from_its_writer_to_its_last_reader():
    plan = live_plan(diamond().graph)
    assert [(step.node, step.bytes, len(step.tensors)) for step in plan] == [
        ("a", 6 + 6, 2),
        ("b", 6 + 6 + 12, 3),
        ("c", 6 + 12 + 6, 3),
        ("y", 12 + 6 + 18, 3),
    ]
    assert foresight.foresee(diamond()).peak.node == "y"


def brute_force(graph):
    """Bytes alive at each node, each tensor asked on its own."""
    order = list(graph.nodes)
    found = []
    for now in range(len(order)):
        total = 0
        for name, tensor in graph.tensors.items():
            if tensor.is_constant:
                continue
            born = next((i for i, node in enumerate(order) if name in node.outputs), 0)
            reads = [i for i, node in enumerate(order) if name in node.inputs]
            last = len(order) if name in graph.outputs else max(reads, default=born)
            total += tensor.bytes if born <= now <= last else 0
        found.append(total)
    return found


def test_the_plan_of_a_whole_network_is_that_of_each_tensor_alone():
    net = small_network().quantize(np.random.default_rng(1).normal(size=(1, 6, 7, 3)).astype(np.float32))
    assert [step.bytes for step in live_plan(net.graph)] == brute_force(net.graph)


def test_the_record_has_the_same_peak():
    net = bittrue.load_network("fcn_vgg16", variant="8s", size=64, classes=21)
    record = bittrue.simulate(net, bittrue.load_accelerator("edge_32x32")).record
    found = foresight.foresee(net.ready(for_values=False))
    assert record.peak_memory_bytes == found.weights_bytes + found.peak.bytes


def test_each_layer_of_a_run_has_what_is_alive_at_it():
    images = np.random.default_rng(1).normal(size=(1, 6, 7, 3)).astype(np.float32)
    net, device = small_network().quantize(images), bittrue.load_accelerator("edge_32x32")
    expected = brute_force(net.graph)
    for options in ({"timing_only": True}, {"values_only": True}, {}):
        given = None if options.get("timing_only") else [np.zeros((1, 6, 7, 3), np.int8)]
        record = bittrue.simulate(net, device, given, **options).record
        assert [layer.live_bytes for layer in record.layers] == expected
        weights = sum(tensor.bytes for tensor in net.graph.tensors.values() if tensor.is_constant)
        assert record.peak_memory_bytes == weights + max(expected)


@pytest.fixture
def product(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    weights = np.ones((9, 4), np.int8)
    bittrue.networks.gemm(2, 9, 4, out="int32").with_weights(weights).save(tmp_path / "gemm.npz")
    np.save(tmp_path / "x.npy", np.ones((2, 9), np.int8))
    return ["run", "gemm.npz", "-a", "edge_32x32", "-i", "x.npy"]


def test_what_cannot_fit_is_refused_and_leaves_nothing(product, tmp_path, monkeypatch):
    needed = foresight.foresee(bittrue.load_network(tmp_path / "gemm.npz")).run_bytes
    monkeypatch.setattr(foresight, "available_bytes", lambda: needed - 1)
    refused = invoke(*product, "-o", "out")
    assert refused.exit_code == 2
    assert "--ignore-memory" in refused.stderr
    assert "MiB are free" in refused.stderr
    assert not (tmp_path / "out").exists()
    assert invoke(*product, "--ignore-memory").exit_code == 0
    monkeypatch.setattr(foresight, "available_bytes", lambda: needed)
    assert invoke(*product).exit_code == 0


def test_where_the_system_does_not_tell_nothing_is_refused(product, monkeypatch, tmp_path):
    monkeypatch.setattr(foresight, "_MEMINFO", tmp_path / "absent")
    assert foresight.available_bytes() is None
    assert invoke(*product).exit_code == 0


def test_kept_tensors_count_all_of_them():
    assert foresight.foresee(diamond()).tensors_bytes == 12 + 6 + 18
    assert foresight.foresee(diamond(), keep_tensors=True).tensors_bytes == 6 + 6 + 12 + 6 + 18


def test_the_command_prints_the_plan_and_the_estimate(tmp_path):
    diamond().save(tmp_path / "diamond.npz")
    result = invoke("memory", tmp_path / "diamond.npz", "--batch", 2, "-a", "edge_32x32", "--threads", 1)
    assert result.exit_code == 0, result.output
    assert "72 B at y" in result.stdout
    assert "values take            about 0" in result.stdout


def test_a_long_run_says_what_it_will_take(product, monkeypatch):
    assert "values will take" not in invoke(*product).stderr
    monkeypatch.setattr(foresight, "LONG_MACS", 1)
    assert "MiB more memory" in " ".join(invoke(*product).stderr.split())


def test_time_is_the_macs_at_the_pace_of_this_machine():
    acc = bittrue.load_accelerator("edge_32x32")
    small, large = bittrue.networks.gemm(64, 64, 64), bittrue.networks.gemm(6400, 64, 64)
    assert foresight.seconds_estimate(large, acc, 1) > foresight.seconds_estimate(small, acc, 1) > 0
