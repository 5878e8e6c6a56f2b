"""`bittrue run --from`: a saved run runs again, and says whether anything changed."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

import bittrue
from bittrue.cli import app
from simulator.records.store import write_arrays
from workloads.exporters.npz import save_network


def invoke(*arguments):
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


@pytest.fixture
def saved(tmp_path, monkeypatch):
    """Folder of a product's run with 16-bit registers; the network and input lie beside it."""
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(3)
    network = bittrue.networks.gemm(6, 40, 5, out="int32").with_weights(rng.integers(-128, 128, (40, 5), np.int8))
    save_network(network, tmp_path / "gemm.npz")
    np.save(tmp_path / "x.npy", rng.integers(-128, 128, (6, 40), np.int8))
    changes = ["--set", "arithmetic.accumulator={bits: 16, overflow: saturate}", "--ledger", "exact"]
    result = invoke("run", "gemm.npz", "-a", "edge_32x32", "-i", "x.npy", *changes, "-o", "first")
    assert result.exit_code == 0, result.stderr
    return tmp_path / "first"


def test_it_gives_the_same_and_a_folder_that_can_be_replayed_too(saved, tmp_path, monkeypatch):
    monkeypatch.chdir(saved)  # paths were taken from where the command was given
    result = invoke("run", "--from", "run.json", "-o", tmp_path / "second", "--threads", 1)
    assert result.exit_code == 0, result.output
    assert "1 compared, 0 differ" in result.stdout
    assert "the same" in result.stdout
    contents = [{p.name: p.read_bytes() for p in folder.iterdir()} for folder in (saved, tmp_path / "second")]
    assert contents[0] == contents[1]


def test_a_changed_bit_is_found(saved):
    with np.load(saved / "outputs.npz") as file:
        arrays = {name: file[name].copy() for name in file.files}
    (name,) = arrays
    arrays[name][2, 3] ^= 1
    write_arrays(saved / "outputs.npz", arrays)
    result = invoke("run", "--from", saved)
    assert result.exit_code == 1
    assert f"first: {name}[2, 3]" in result.stdout
    assert "different: values" in result.stdout


def test_a_changed_network_is_named(saved, tmp_path):
    network = bittrue.networks.gemm(6, 40, 5, out="int32").with_weights(np.ones((40, 5), np.int8))
    save_network(network, tmp_path / "gemm.npz")
    result = invoke("run", "--from", saved)
    assert result.exit_code == 1
    assert "the network is not the one that was run" in result.stdout


def test_what_cannot_be_replayed_is_refused(saved, tmp_path):
    np.save(tmp_path / "x.npy", np.zeros((6, 40), np.int8))
    assert "it is not the file that the saved run read" in invoke("run", "--from", saved).stderr
    (tmp_path / "x.npy").unlink()
    assert "it is gone" in invoke("run", "--from", saved).stderr
    assert "goes with -o, --search, --threads and --ignore-memory" in invoke("run", "gemm.npz", "--from", saved).stderr
    (saved / "command.json").write_text('{"network": "x", "colour": 1}')
    assert "command.json is damaged (unknown entries)" in invoke("run", "--from", saved).stderr
    (saved / "command.json").unlink()
    result = invoke("run", "--from", saved)
    assert result.exit_code == 2
    assert "does not say how it was made" in result.stderr
    assert "give a network and --accelerator" in invoke("run", "gemm.npz").stderr


def test_files_that_were_moved_are_found_by_their_bytes(saved, tmp_path, monkeypatch):
    archive = tmp_path / "archive" / "2026"
    archive.mkdir(parents=True)
    (tmp_path / "gemm.npz").rename(archive / "renamed.npz")
    (tmp_path / "x.npy").rename(saved / "x.npy")
    monkeypatch.chdir(archive.parent)
    np.save(archive / "x.npy", np.zeros((6, 40), np.int8))  # the name, but not the bytes
    shutil.copy(saved / "outputs.npz", archive / "gemm.npz")
    refused = invoke("run", "--from", saved)
    assert refused.exit_code == 2
    assert "network" in refused.stderr
    assert "it is gone, and no other .npz file with its SHA-256" in refused.stderr
    assert "--search DIR" in refused.stderr
    result = invoke("run", "--from", saved, "--search", tmp_path / "archive", "-o", tmp_path / "again")
    assert result.exit_code == 0, result.output
    told = result.stdout.replace("\n", "")
    assert f"taken from {archive / 'renamed.npz'}, which has the same SHA-256" in told
    assert f"taken from {saved / 'x.npy'}, which has the same SHA-256" in told
    assert "1 compared, 0 differ" in result.stdout
    monkeypatch.chdir(tmp_path)
    assert "was moved" not in invoke("run", "--from", "again").stdout  # it says where the files are now


def test_an_input_that_was_overwritten_is_taken_from_its_copy(saved, tmp_path):
    shutil.copy(tmp_path / "x.npy", saved / "kept.npy")
    np.save(tmp_path / "x.npy", np.zeros((6, 40), np.int8))
    result = invoke("run", "--from", saved)
    assert result.exit_code == 0, result.output
    assert "kept.npy" in result.stdout.replace("\n", "")


def test_weights_that_were_moved_are_found(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    network = bittrue.load_network("unet", size=32, width=0.0625, classes=3, weights="seeded")
    graph = network.graph
    np.savez("w.npz", **{n: t.data for n, t in graph.tensors.items() if t.data is not None})
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (20, 30, 3), np.uint8)).save("photo.png")
    options = [f"--net={text}" for text in ("size=32", "width=0.0625", "classes=3", "weights=w.npz")]
    result = invoke("run", "unet", "-a", "edge_32x32", "-i", "photo.png", *options, "-o", "first")
    assert result.exit_code == 0, result.output
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "w.npz").rename(tmp_path / "elsewhere" / "w.npz")
    assert "weights" in invoke("run", "--from", "first").stderr
    again = invoke("run", "--from", "first", "--search", "elsewhere")
    assert again.exit_code == 0, again.output


def test_search_is_for_a_saved_run_and_takes_a_folder(saved, tmp_path):
    assert "--search goes with --from" in invoke("run", "gemm.npz", "-a", "edge_32x32", "--search", tmp_path).stderr
    assert "there is no such folder" in invoke("run", "--from", saved, "--search", tmp_path / "none").stderr


def test_a_run_of_an_earlier_version_is_replayed_where_its_files_are(saved, tmp_path):
    command = json.loads((saved / "command.json").read_text())
    for key in ("network_sha256", "weights_sha256"):
        del command[key]
    (saved / "command.json").write_text(json.dumps(command))
    assert invoke("run", "--from", saved).exit_code == 0
    (tmp_path / "gemm.npz").rename(tmp_path / "other.npz")
    refused = invoke("run", "--from", saved)
    assert refused.exit_code == 2
    assert "gemm.npz" in refused.stderr


def test_a_float_network_is_quantized_again_on_its_photograph(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (20, 30, 3), np.uint8)).save("photo.png")
    options = ["--net", "size=32", "--net", "width=0.0625", "--net", "classes=3", "--seed", 4, "--scheme", "symmetric"]
    result = invoke("run", "unet", "-a", "edge_32x32", "-i", "photo.png", *options, "-o", "first")
    assert result.exit_code == 0, result.stderr
    assert json.loads((tmp_path / "first" / "command.json").read_text())["net"] == list(options[1:6:2])
    shutil.move("first", "moved")
    assert invoke("run", "--from", "moved").exit_code == 0


def test_a_batch_is_replayed_as_one(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(4)
    weights = rng.integers(-128, 128, (9, 4), np.int8)
    save_network(bittrue.networks.gemm(2, 9, 4, out="int32").with_weights(weights), tmp_path / "gemm.npz")
    x = rng.integers(-128, 128, (6, 9), np.int8)
    np.save(tmp_path / "x.npy", x)
    result = invoke("run", "gemm.npz", "-a", "edge_32x32", "-i", "x.npy", "--batch", 3, "-o", "first")
    assert result.exit_code == 0, result.output
    with np.load("first/outputs.npz") as file:
        np.testing.assert_array_equal(next(iter(file.values())), x.astype(np.int64) @ weights)
    again = invoke("run", "--from", "first")
    assert again.exit_code == 0, again.output
    assert "1 compared, 0 differ" in again.stdout
