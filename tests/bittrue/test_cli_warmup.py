"""`bittrue warmup`, and what a run says on a machine that has no compiled kernels."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

import bittrue
from bittrue.cli import app
from bittrue.compiling import TIME_S, TRAINING_S, VALUES_S
from bittrue.training.warmup import write_noise
from simulator.kernels import _jit
from workloads.datasets import open_dataset
from workloads.exporters.npz import save_network
from workloads.images import demo_photo

ROOT = Path(__file__).parents[2]
NOTE = "compiling kernels (first run"


@pytest.fixture
def run(tmp_path):
    weights = np.ones((8, 2), np.int8)
    save_network(bittrue.networks.gemm(3, 8, 2, out="int32").with_weights(weights), tmp_path / "gemm.npz")
    np.save(tmp_path / "x.npy", np.ones((3, 8), np.int8))

    def invoke(*arguments):
        arguments = ["run", tmp_path / "gemm.npz", "-a", "edge_32x32", *arguments]
        return CliRunner().invoke(app, [str(argument) for argument in arguments])

    return invoke, tmp_path / "x.npy"


def test_a_run_on_a_cold_cache_says_what_it_waits_for(run, tmp_path, monkeypatch):
    invoke, x = run
    monkeypatch.setattr(_jit, "CACHE_DIRECTORY", tmp_path / "kernels-none")
    assert f"{NOTE}, about {VALUES_S} s)" in invoke("-i", x).stderr
    monkeypatch.setattr(_jit, "CACHE_DIRECTORY", tmp_path / "none-either")
    assert f"{NOTE}, about {TIME_S} s)" in invoke("--timing-only").stderr  # which compiles the machine alone


def test_so_does_what_else_executes_or_trains(run, tmp_path, monkeypatch):
    _, x = run
    write_noise(tmp_path / "noise")
    monkeypatch.chdir(tmp_path)
    train = "train unet -d folder:noise --width 0.125 --size 32x32 --steps 1 --batch 2 -o trained"
    evaluate = "eval trained -a edge_32x32 -d folder:noise --limit 1 -o evaluated"
    vectors = f"vectors gemm.npz -a edge_32x32 -i {x.name} -o written"
    for command, about_s in (train, TRAINING_S), (evaluate, VALUES_S), (vectors, VALUES_S):
        # A kernel that is decorated only now would make it warm.
        monkeypatch.setattr(_jit, "CACHE_DIRECTORY", tmp_path / f"none-for-{command[:4]}")
        done = CliRunner().invoke(app, command.split())
        assert done.exit_code == 0, done.stderr
        assert f"{NOTE}, about {about_s} s)" in done.stderr


def test_a_run_on_a_warm_cache_does_not(run, tmp_path, monkeypatch):
    invoke, x = run
    compiled = tmp_path / "kernels-some" / "kernels_0" / "a.nbc"
    compiled.parent.mkdir(parents=True)
    compiled.write_bytes(b"")
    monkeypatch.setattr(_jit, "CACHE_DIRECTORY", tmp_path / "kernels-some")
    assert NOTE not in invoke("-i", x).stderr


def test_where_no_kernel_can_be_kept_a_run_says_so_and_goes_on(run, monkeypatch):
    invoke, _ = run
    monkeypatch.setattr(_jit, "KEEPS_KERNELS", False)
    done = invoke("--timing-only")
    assert done.exit_code == 0
    assert f"compiling kernels for this run alone (about {TIME_S} s): " in done.stderr
    assert "cannot be written; NUMBA_CACHE_DIR=FOLDER names another place" in done.stderr
    warmed = CliRunner().invoke(app, ["warmup"])
    assert warmed.exit_code == 2
    assert "NUMBA_CACHE_DIR=FOLDER" in warmed.stderr


@pytest.mark.slow
def test_after_warmup_a_run_compiles_nothing(tmp_path):
    cache = tmp_path / "cache"
    environment = {**os.environ, "NUMBA_CACHE_DIR": str(cache), "PYTHONPATH": str(ROOT)}

    def call(*arguments):
        command = [sys.executable, "-m", "bittrue", *map(str, arguments)]
        done = subprocess.run(command, env=environment, cwd=tmp_path, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return done, sorted(cache.glob("*/*/*.nbc"))

    done, compiled = call("warmup")
    assert " s" in done.stdout
    assert "compile unet on edge_32x32" in done.stderr
    assert compiled
    assert "compile unet on max78000_like" in done.stderr
    runs = [("deeplabv3_resnet50", "edge_32x32"), ("fcn_vgg16", "narrow_16x16")]
    runs += [("deeplabv3_resnet50", "paper_device"), ("unet", "max78000_like")]
    for network, device in runs:
        # Large enough for every kernel that only large tensors reach; as narrow as keeps the test short.
        size = "257" if network == "deeplabv3_resnet50" else "64"
        net = ("--net", f"size={size}", "--net", "width=0.25", "--values-only")
        done, after = call("run", network, "-a", device, "-i", demo_photo(), *net)
        assert NOTE not in done.stderr
        assert after == compiled
    write_noise(tmp_path / "noise")
    for network, scheme in (("deeplabv3_resnet50", "e2_8"), ("unet", "paper")):
        data = ("--dataset", f"folder:{tmp_path / 'noise'}", "--size", "32x32", "--batch", "2")
        _, after = call("train", network, *data, "--steps", "1", "--width", "0.25", "--preset", scheme, "-o", scheme)
        assert after == compiled


def test_noise_is_a_data_set(tmp_path):
    write_noise(tmp_path)
    for split in ("train", "val"):
        dataset = open_dataset(f"folder:{tmp_path}", split)
        assert len(dataset) == 4
        assert {*np.unique(dataset.sample(0).labels)} == {0, 1, 2, 3}
