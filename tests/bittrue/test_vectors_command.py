"""bittrue vectors: what it writes of networks and layers, and what compare makes of results."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from typer.testing import CliRunner

import bittrue
from bittrue.cli import app
from simulator.records.store import write_arrays

DEVICE = {"array.rows": 4, "array.cols": 4, "arithmetic.requantizer": "fixed_point_single"}


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    rng = np.random.default_rng(1)
    net = bittrue.networks.conv2d(4, 4, 3, 4, 3, padding=1, pool=(2, 2, 0))
    net = net.with_weights(rng.integers(-128, 128, (4, 3, 3, 3)), rng.integers(-1000, 1000, 4))
    return net.save(tmp_path_factory.mktemp("net") / "conv.npz")


def cli(*arguments):
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def vectors(path, folder, *more):
    settings = [part for key, value in DEVICE.items() for part in ("--set", f"{key}={value}")]
    return cli("vectors", path, "-a", "edge_32x32", "-o", folder, *settings, *more)


@pytest.fixture(scope="module")
def run(path):
    net = bittrue.load_network(path)
    from bittrue.inputs import random_inputs

    acc = bittrue.load_accelerator("edge_32x32").evolve(DEVICE)
    return bittrue.simulate(net, acc, random_inputs(net, 4), keep_tensors=True)


@pytest.mark.parametrize("format", ["npz", "raw", "memh"])
def test_a_network_is_written_and_runs_again_on_its_own_stimuli(path, run, tmp_path, format):
    result = vectors(path, tmp_path / "v", "--input-seed", 4, "--format", format)
    assert result.exit_code == 0, result.stderr
    manifest = tmp_path / "v" / "manifest.json"
    assert result.stdout.endswith(f"{manifest}\n")
    read = bittrue.read_vectors(manifest, ("stimulus", "expected"))
    assert list(read) == ["input", "output"]
    np.testing.assert_array_equal(read["output"], run.outputs["output"])
    again = vectors(path, tmp_path / "again", "-i", manifest, "--format", format)
    assert again.exit_code == 0, again.stderr
    for file in (tmp_path / "v").iterdir():
        assert (tmp_path / "again" / file.name).read_bytes() == file.read_bytes()


def test_a_layer_comes_with_its_constants(path, run, tmp_path):
    result = vectors(path, tmp_path / "v", "--input-seed", 4, "--layer", "conv")
    assert result.exit_code == 0, result.stderr
    manifest = tmp_path / "v" / "manifest.json"
    read = bittrue.read_vectors(manifest, ("stimulus", "constant", "expected"))
    bias, multiplier, exponent = (
        read[name] for name in ("bias", *(f"conv/requantizer.{p}" for p in ("multiplier", "exponent")))
    )
    told = json.loads(manifest.read_text())["layer_constants"]
    assert (told["geometry"]["padding"]["top"], told["input_zero_point"], told["weight_zero_points"]) == (1, 0, [0])
    assert told["requantizer"]["kind"] == "fixed_point_single"
    padded = np.pad(read["input"].astype(int), ((0, 0), (1, 1), (1, 1), (0, 0)))
    taps = np.lib.stride_tricks.sliding_window_view(padded, (3, 3), (1, 2))  # [1, 4, 4, c, 3, 3]
    sums = np.einsum("nhwcij,fijc->nhwf", taps, read["weights"].astype(int)) + bias
    scaled = [
        [
            int(s) * int(m) + (1 << (30 - int(e))) >> 31 - int(e)
            for s, m, e in zip(row, multiplier, exponent, strict=True)
        ]
        for row in sums.reshape(-1, 4)
    ]
    np.testing.assert_array_equal(np.clip(scaled, -128, 127).reshape(1, 4, 4, 4), read["conv"])
    np.testing.assert_array_equal(read["conv"], run.tensors["conv"])


@pytest.fixture
def fused(path, tmp_path):
    """The same network with a layer named as TFLite's converter names fused ones."""
    net = bittrue.load_network(path)
    graph = net.graph
    (node,) = [node for node in graph.nodes if node.name == "conv"]
    nodes = tuple(replace(one, name="a/relu;a/conv;a/bias") if one is node else one for one in graph.nodes)
    return replace(net, graph=replace(graph, nodes=nodes)).save(tmp_path / "fused.npz")


def test_layers_go_by_the_name_that_tables_print(fused, tmp_path):
    assert vectors(fused, tmp_path / "v", "--input-seed", 4, "--layer", "a/relu").exit_code == 0
    assert json.loads((tmp_path / "v" / "manifest.json").read_text())["layer"] == "a/relu;a/conv;a/bias"
    wrong = vectors(fused, tmp_path / "w", "--input-seed", 4, "--layer", "a/rela").stderr
    assert "no layer is called 'a/rela'; did you mean 'a/relu'?" in wrong
    mapped = cli("mapping", fused, "-a", "edge_32x32", "--layer", "a/relu")
    assert mapped.stdout.startswith("a/relu: 1 tile ops"), mapped.output
    for cols in (16, 8):
        run = bittrue.simulate(
            bittrue.load_network(fused), bittrue.load_accelerator("edge_32x32").evolve({"array.cols": cols})
        )
        run.save(tmp_path / f"run{cols}")
    lines = cli("compare", tmp_path / "run16", tmp_path / "run8").stdout.splitlines()
    assert [line.split()[0] for line in lines if line.startswith("a/")] == ["a/relu"]


def test_results_are_held_to_the_manifest(path, tmp_path):
    assert vectors(path, tmp_path / "v", "--input-seed", 4, "--format", "memh", "--lanes", 4).exit_code == 0
    manifest, results = tmp_path / "v" / "manifest.json", tmp_path / "results"
    results.mkdir()
    lines = (tmp_path / "v" / "output.memh").read_text().split()
    (results / "output.memh").write_text("// from RTL\n" + "\n".join(lines))
    assert cli("compare", manifest, results).exit_code == 0
    lines[2] = f"{int(lines[2], 16) ^ 0x01000000:08x}"
    (results / "output.memh").write_text("\n".join(lines))
    found = cli("compare", manifest, results)
    assert found.exit_code == 1
    assert "output[0, 1, 0, 3]: " in found.stdout
    (results / "output.memh").write_text("\n".join(lines[:2]))
    assert (
        "2 words where 16 elements in 4 lanes take 4: the file is cut short" in cli("compare", manifest, results).stderr
    )
    assert "belongs a folder" in cli("compare", manifest, tmp_path / "nowhere").stderr
    assert cli("compare", manifest, tmp_path / "nowhere").exit_code == 2


def test_a_run_is_held_to_vectors(path, run, tmp_path):
    assert vectors(path, tmp_path / "v", "--input-seed", 4, "--format", "raw").exit_code == 0
    run.save(tmp_path / "run")
    manifest = tmp_path / "v" / "manifest.json"
    result = cli("compare", tmp_path / "run", manifest)
    assert result.exit_code == 0, result.output
    file = tmp_path / "v" / "output.bin"
    file.write_bytes(bytes([file.read_bytes()[0] ^ 1]) + file.read_bytes()[1:])
    assert "output[0, 0, 0, 0]: " in cli("compare", tmp_path / "run", manifest).stdout


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "give exactly one of -i and --input-seed"),
        (["--input-seed", 1, "-i", "x.npy"], "give exactly one of -i and --input-seed"),
        (["-i", "x.npy"], "input x.npy: no such file"),
        (["-i", "bad.npy"], "(2, 2)"),
        (["-i", "bad.json"], "manifest bad.json: "),
        (["--input-seed", 1, "--layer", "conf"], "no layer is called 'conf'; did you mean 'conv'?"),
        (["--input-seed", 1, "--format", "raw", "--lanes", 2], "lanes and word_bits are for memh"),
        (
            ["--input-seed", 1, "--format", "memh", "--word-bits", 7],
            "1 lanes of 8 bits take 8 bits, but the word has 7",
        ),
        (["--input-seed", 1, "--format", "hex"], "--format"),
    ],
)
def test_what_is_refused_leaves_nothing(path, tmp_path, monkeypatch, arguments, message):
    monkeypatch.chdir(tmp_path)
    np.save("bad.npy", np.zeros((2, 2), np.int8))
    (tmp_path / "bad.json").write_text("{}")
    result = vectors(path, tmp_path / "v", *arguments)
    assert result.exit_code == 2, result.output
    assert message in result.stderr
    assert sorted(p.name for p in tmp_path.iterdir()) == ["bad.json", "bad.npy"]


def test_a_float_network_needs_a_file(tmp_path):
    result = cli(
        "vectors", "fcn_vgg16", "--net", "size=32", "-a", "edge_32x32", "-o", tmp_path / "v", "--input-seed", 1
    )
    assert result.exit_code == 2
    assert "random integers are for integer inputs: give a file" in result.stderr


def test_stimuli_may_be_any_arrays(path, run, tmp_path):
    write_arrays(tmp_path / "x.npz", {"input": run.tensors["input"]})
    assert vectors(path, tmp_path / "v", "-i", tmp_path / "x.npz").exit_code == 0
    np.testing.assert_array_equal(
        bittrue.read_vectors(tmp_path / "v" / "manifest.json")["output"], run.outputs["output"]
    )
