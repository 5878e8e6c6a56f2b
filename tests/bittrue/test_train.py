"""`bittrue train`: the same bits whether or not it was stopped, on any threads; and what it refuses."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from bittrue.cli import app
from bittrue.training.plan import Request, make_plan
from bittrue.training.run import TrainingRun
from reports.figures_training import training_curves
from simulator.records.training import read_steps, read_validations
from support.dataset_folders import camvid, labels
from workloads.training.checkpoint import read_checkpoint

SIZE = (16, 24)
TRAIN = ["train", "unet", "--width", "0.125", "--size", "16x24", "--batch", "2", "--steps", "4", "--lr", "0.25"]


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    root = tmp_path_factory.mktemp("camvid")
    maps = {split: [labels(index, (0, 1, 2, 11), SIZE) for index in range(count)] for split, count in _SPLITS.items()}
    return camvid(root, maps)


_SPLITS = {"train": 5, "val": 3}


def invoke(*arguments):
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


@pytest.fixture(scope="module")
def finished(data, tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs") / "whole"
    result = invoke(*TRAIN, "-d", data, "-o", folder, "--threads", 2)
    assert result.exit_code == 0, result.output
    return folder, result


def test_a_run_leaves_rows_curves_previews_and_checkpoints(finished):
    folder, result = finished
    names = sorted(path.name for path in folder.iterdir())
    assert names == [
        *("checkpoint-00000002.npz", "checkpoint-00000004.npz", "curves.png", "labels.png", "steps.csv"),
        *("training.json", "validations.csv"),
    ]
    steps, validations = read_steps(folder / "steps.csv"), read_validations(folder / "validations.csv")
    assert [row.step for row in steps] == [1, 2, 3, 4]
    assert [row.learning_rate_exponent for row in steps] == [-2, -2, -3, -4]
    assert [(row.step, row.epoch, row.images) for row in validations] == [(2, 1, 3), (4, 2, 3)]
    assert f"mIoU {100 * validations[-1].miou:.2f} %" in result.stdout
    with Image.open(folder / "labels.png") as sheet:
        assert sheet.size == (3 * SIZE[1] + 8, 3 * SIZE[0] + 8)
    assert training_curves(steps, validations).alt.startswith("Loss of 4 steps")
    about = json.loads((folder / "training.json").read_text())
    assert about["config"]["output_error_bits"] == 16
    assert str(folder) not in json.dumps(about)


def test_stopped_and_resumed_on_other_threads_it_gives_the_same_bytes(data, finished, tmp_path):
    folder = tmp_path / "stopped"
    plan = make_plan(_request(data, threads=1))
    run = TrainingRun.begin(plan, folder, resume=False, checkpoint_every=25, validate_every=2)

    def stop(row):
        if row.step == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run.run(on_step=stop)
    assert read_checkpoint(folder / "checkpoint-00000002.npz").step == 2
    result = invoke(*TRAIN, "-d", data, "-o", folder, "--threads", 1, "--resume")
    assert result.exit_code == 0, result.output
    assert "2 of 4 steps were done before" in result.stderr
    for path in finished[0].iterdir():
        assert (folder / path.name).read_bytes() == path.read_bytes(), path.name


def _request(data, **options):
    from accel_models.load import load_accelerator
    from workloads.training.config import preset

    config = preset("paper").evolve({"learning_rate_exponent": -2})
    device = load_accelerator("paper_device")
    return Request("unet", data, config, device, {"width": 0.125}, SIZE, batch=2, steps=4, **options)


def test_another_seed_gives_another_network(data, finished, tmp_path):
    result = invoke(*TRAIN, "-d", data, "-o", tmp_path / "other", "--seed", 1, "--validate-every", 0)
    assert result.exit_code == 0, result.output
    name = "checkpoint-00000004.npz"
    one, two = read_checkpoint(finished[0] / name), read_checkpoint(tmp_path / "other" / name)
    assert set(one.state) == set(two.state)
    assert (one.state["down0.conv1.weight"] != two.state["down0.conv1.weight"]).any()


def test_resuming_another_run_or_a_damaged_one_or_none_is_refused(data, finished, tmp_path):
    folder = tmp_path / "copy"
    shutil.copytree(finished[0], folder)
    again = invoke(*TRAIN, "-d", data, "-o", folder)
    assert (again.exit_code, "go on with --resume" in again.stderr) == (2, True)
    other = invoke(*TRAIN, "-d", data, "-o", folder, "--resume", "--preset", "e2_8")
    assert other.exit_code == 2
    assert "is of another run (config" in other.stderr
    newest = folder / "checkpoint-00000004.npz"
    newest.write_bytes(newest.read_bytes()[:1000])
    damaged = invoke(*TRAIN, "-d", data, "-o", folder, "--resume")
    assert damaged.exit_code == 2
    assert "take it away to go on from checkpoint-00000002.npz" in damaged.stderr
    newest.unlink()
    assert invoke(*TRAIN, "-d", data, "-o", folder, "--resume").exit_code == 0
    assert newest.read_bytes() == (finished[0] / newest.name).read_bytes()
    none = invoke(*TRAIN, "-d", data, "-o", tmp_path / "none", "--resume")
    assert (none.exit_code, "no checkpoint to resume from" in none.stderr) == (2, True)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--lr", "0.3"], "no power of two"),
        (["--batch", "6"], "5 samples, less than a batch of 6"),
        (["--size", "16"], "write height x width"),
        (["--epochs", "1"], "--epochs or --steps, one of the two"),
        (["--preset", "int4"], "there are paper, e2_8, wageubn, niti"),
        (["--set", "update_bit=16"], "did you mean update_bits"),
        (["--net", "classes=4"], "training decides it"),
        (["--validation-split", "dev"], "no split 'dev'"),
        (["--pretrained", "none.npz"], "no such file"),
        (["--threads", "1", "--set", "dropout=[fc6]"], "no tensor 'fc6'"),
    ],
)
def test_what_cannot_be_trained_is_refused_before_anything_is_written(data, tmp_path, options, message):
    result = invoke(*TRAIN, "-d", data, "-o", tmp_path / "run", *options)
    assert result.exit_code == 2
    assert message in " ".join(result.stderr.split())
    assert not (tmp_path / "run").exists()


def test_one_step_is_reported_as_a_run_in_time_and_on_values(data):
    small = ["run", "unet", "-a", "paper_device", "--train-step", "--net", "width=0.125", "--net", "size=[16,24]"]
    timed = invoke(*small, "--batch", 2, "--net", "classes=11")
    assert timed.exit_code == 0, timed.output
    for word in ("wgrad", "dgrad", "batch norm, backward", "an image trained", "dominant part", "can leave 32 bits"):
        assert word in " ".join(timed.stdout.split())
    computed = invoke(*small, "--batch", 2, "--dataset", data)
    assert computed.exit_code == 0, computed.output
    refused = invoke(*small, "--values-only")
    assert (refused.exit_code, "--train-step goes with" in refused.stderr) == (2, True)


def test_a_disk_that_fills_up_ends_the_run_with_the_last_checkpoint_kept(data, tmp_path, monkeypatch):
    from workloads.training import checkpoint

    write, calls = checkpoint.write_arrays, []

    def full(path, arrays):
        calls.append(path)
        if len(calls) == 2:
            raise OSError(28, "No space left on device")
        write(path, arrays)

    monkeypatch.setattr(checkpoint, "write_arrays", full)
    result = invoke(*TRAIN, "-d", data, "-o", tmp_path / "run", "--checkpoint-every", 1)
    assert result.exit_code == 2
    assert "No space left on device; checkpoint-00000000.npz is kept" in " ".join(result.stderr.split())
    assert np.all([path.suffix != ".tmp" for path in (tmp_path / "run").iterdir()])
