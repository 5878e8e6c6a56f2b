"""Evaluation against single runs, counted by hand; and what it does with bad files and interruptions."""

from __future__ import annotations

import json

import numpy as np
import pytest

import bittrue
from bittrue.evaluation.folder import read_results
from bittrue.evaluation.journal import JOURNAL
from simulator.errors import InputError, NetworkError, OverflowTrap, RunFolderError
from support.accelerators import device
from support.segmenter import CLASSES, IGNORE, INPUT, float_segmenter, integer_segmenter, write_dataset
from workloads.fitting import fit_image, labels_on_image, place
from workloads.images import prepare_image
from workloads.quantization.float_execute import run_float

WIDTHS = (12, 14, 32)
IMAGES = 5


@pytest.fixture(scope="module")
def spec(tmp_path_factory):
    return write_dataset(tmp_path_factory.mktemp("data"), IMAGES)


@pytest.fixture(scope="module")
def network():
    return integer_segmenter()


def evaluate(network, spec, **options):
    return bittrue.evaluate(network, options.pop("acc", device()), spec, split="all", **options)


def scores_of(predictions, spec):
    """IoU of each class and accuracy, by the definition, from one label map per image."""
    dataset = bittrue.open_dataset(spec, split="all")
    truth = [dataset.sample(index).labels for index in range(len(dataset))]
    counted = [mask != IGNORE for mask in truth]
    true = np.concatenate([mask[c] for mask, c in zip(truth, counted, strict=True)])
    found = np.concatenate([labels[c] for labels, c in zip(predictions, counted, strict=True)])
    iou = [np.sum((true == c) & (found == c)) / np.sum((true == c) | (found == c)) for c in range(len(CLASSES))]
    return [pytest.approx(value, rel=1e-12) for value in iou], int(np.sum(true == found)), len(true)


def predictions(network, spec, run, fit="stretch"):
    """Label maps on the images; `run` turns inputs into the network's output."""
    dataset = bittrue.open_dataset(spec, split="all")
    found = []
    for index in range(len(dataset)):
        image = dataset.sample(index).image
        placement = place(image.shape[:2], INPUT, fit)
        output = run(prepare_image(network, fit_image(image, placement, (120, 120, 120))))
        labels = output[0].argmax(axis=-1) if output.ndim == 4 else output[0]
        found.append(labels_on_image(labels, placement))
    return found


@pytest.mark.parametrize("fit", ["stretch", "pad"])
@pytest.mark.parametrize("labels", [False, True])
def test_scores_are_those_of_single_runs(spec, labels, fit):
    network = integer_segmenter(labels=labels)
    record = evaluate(network, spec, accumulator_sweep=WIDTHS, float_network=float_segmenter(labels=labels), fit=fit)
    assert [(row.machine, row.accumulator_bits) for row in record.rows] == [
        ("float", None),
        ("device", 32),
        *(("registers", width) for width in WIDTHS),
    ]
    twin = float_segmenter(labels=labels)
    assert_row(record.float_row, predictions(twin, spec, lambda x: first(run_float(twin.graph, x).outputs), fit), spec)
    for row in record.rows[1:]:
        events: list[int] = []
        found = predictions(network, spec, on_device(network, row, events), fit)
        assert_row(row, found, spec)
        assert (row.events, row.images_with_events) == (sum(events), sum(count > 0 for count in events))
    assert record.rows[2].events > 0 == record.rows[-1].events


def first(outputs):
    return next(iter(outputs.values()))


def on_device(network, row, events):
    """Run the network with the registers of a row, and note the events."""
    register = {"bits": row.accumulator_bits, "overflow": "wrap"}
    names = ("accumulator", "partial_sum") if row.partial_sum_bits else ("accumulator",)
    machine = device().evolve({f"arithmetic.{name}": register for name in names})

    def run(inputs):
        result = bittrue.simulate(network, machine, inputs, values_only=True)
        events.append(result.record.overflow_events)
        return first(result.outputs)

    return run


def assert_row(row, found, spec):
    iou, correct, pixels = scores_of(found, spec)
    assert (list(row.class_iou), row.correct, row.pixels) == (iou, correct, pixels)


def test_losses_add_up(network, spec):
    narrow = device(arithmetic__accumulator={"bits": 13, "overflow": "saturate"}, arithmetic__partial_sum={"bits": 13})
    record = evaluate(network, spec, acc=narrow, float_network=float_segmenter())
    assert [row.accumulator_bits for row in record.rows] == [None, 13, 32], "the reference is added"
    assert record.device_row.events > 0
    total = record.float_row.miou - record.device_row.miou
    assert record.quantization_loss + record.overflow_loss == pytest.approx(total)
    assert record.reference_row.accumulator_bits == 32
    assert evaluate(network, spec).quantization_loss is None


def test_a_float_network_is_quantized_and_compared_with_itself(spec):
    record = evaluate(float_segmenter(), spec, calibration_images=2, quantize={"scheme": "affine"})
    assert [row.machine for row in record.rows] == ["float", "device"]
    assert any("2 images of folder all (scheme=affine)" in note for note in record.notes)
    assert record.float_row.pixel_accuracy == pytest.approx(record.device_row.pixel_accuracy, abs=0.1)


def test_the_record_as_a_table(network, spec):
    record = evaluate(network, spec, accumulator_sweep=WIDTHS)
    table = record.to_pandas()
    assert list(table["accumulator_bits"]) == [32, *WIDTHS]
    assert table["miou"].tolist() == [row.miou for row in record.rows]
    assert table.filter(like="iou.").columns.tolist() == [f"iou.{name}" for name in CLASSES]
    assert table["overflow_loss"][0] == 0


# ---------------------------------------------------------------- bad files, interruptions


def damaged(tmp_path, index):
    spec = write_dataset(tmp_path / "data", IMAGES)
    path = tmp_path / f"data/masks/im{index:02}.png"
    path.write_bytes(path.read_bytes()[:40])
    return spec, path


def test_a_bad_file_in_the_middle_is_listed_and_tried_again(network, spec, tmp_path):
    broken, path = damaged(tmp_path, 2)
    folder = tmp_path / "out"
    record = evaluate(network, broken, directory=folder)
    assert (record.images, record.wanted_images, record.finished) == (4, 5, True)
    assert [sample.sample for sample in record.unusable] == ["im02"]
    assert str(path) in record.unusable[0].problem
    write_dataset(tmp_path / "data", IMAGES)
    mended = evaluate(network, broken, directory=folder)
    assert (mended.images, mended.unusable) == (5, ())
    assert mended.rows == evaluate(network, spec).rows


def test_no_usable_file_is_an_error_that_names_one(network, tmp_path):
    spec, path = damaged(tmp_path, 0)
    with pytest.raises(InputError, match="none of 1 samples") as caught:
        evaluate(network, spec, limit=1)
    assert str(path) in str(caught.value)


class Stop(BaseException):
    """As a Ctrl-C."""


def stop_after(images):
    def on_progress(done, total, name):
        if name and done >= images:
            raise Stop

    return on_progress


@pytest.mark.parametrize("torn", [0, 1, 30])
def test_a_stopped_evaluation_goes_on_and_ends_the_same(network, spec, tmp_path, torn):
    folder = tmp_path / "out"
    whole = evaluate(network, spec, accumulator_sweep=WIDTHS, directory=tmp_path / "whole")
    with pytest.raises(Stop):
        evaluate(network, spec, accumulator_sweep=WIDTHS, directory=folder, on_progress=stop_after(2))
    kept = (folder / JOURNAL).read_bytes()
    assert 2 <= kept.count(b"\n") - 1 < IMAGES
    if torn:
        (folder / JOURNAL).write_bytes(kept[:-torn])  # killed while it wrote the last line
    seen = []
    record = evaluate(
        network, spec, accumulator_sweep=WIDTHS, directory=folder, on_progress=lambda *step: seen.append(step)
    )
    assert record == whole
    assert seen[0][0] == kept.count(b"\n") - 1 - bool(torn)
    assert seen[-1][:2] == (IMAGES, IMAGES)
    for name in (JOURNAL, "evaluation.json", "evaluation.csv", "miou.svg"):
        assert (folder / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()


def test_a_finished_evaluation_runs_nothing_again(network, spec, tmp_path, monkeypatch):
    first = evaluate(network, spec, directory=tmp_path / "out", limit=3)
    monkeypatch.setattr("bittrue.evaluation.evaluate.predict", None)
    assert evaluate(network, spec, directory=tmp_path / "out", limit=3) == first
    assert evaluate(network, spec, directory=tmp_path / "out", limit=2).images == 2


def test_a_higher_limit_goes_on(network, spec, tmp_path):
    evaluate(network, spec, directory=tmp_path / "out", limit=2)
    assert evaluate(network, spec, directory=tmp_path / "out").images == IMAGES


def test_another_evaluation_is_not_mixed_in(network, spec, tmp_path):
    folder = tmp_path / "out"
    evaluate(network, spec, directory=folder, limit=1)
    before = (folder / JOURNAL).read_bytes()
    others = [
        (integer_segmenter(seed=5), {}, "network_hash"),
        (network, {"fit": "pad"}, "fit"),
        (network, {"accumulator_sweep": [16]}, "machines"),
        (network, {"acc": device(array__rows=4)}, "spec_hash"),
    ]
    for other, options, what in others:
        with pytest.raises(RunFolderError, match=what):
            evaluate(other, spec, directory=folder, **options)
    assert (folder / JOURNAL).read_bytes() == before


def test_folders_that_are_not_an_evaluation(network, spec, tmp_path):
    (tmp_path / "thesis.tex").write_text("mine")
    with pytest.raises(RunFolderError, match="no evaluation"):
        evaluate(network, spec, directory=tmp_path)
    folder = tmp_path / "out"
    evaluate(network, spec, directory=folder, limit=2)
    lines = (folder / JOURNAL).read_text().splitlines()
    (folder / JOURNAL).write_text("\n".join([lines[0], lines[1][:-9], lines[2], ""]))
    with pytest.raises(RunFolderError, match="line 2 is damaged"):
        evaluate(network, spec, directory=folder, limit=2)
    (folder / JOURNAL).write_text("not json\n")
    with pytest.raises(RunFolderError, match="first line"):
        evaluate(network, spec, directory=folder, limit=2)


def test_two_processes_do_not_share_a_folder(network, spec, tmp_path):
    def again(done, total, name):
        if name:
            evaluate(network, spec, directory=tmp_path / "out")

    with pytest.raises(RunFolderError, match="another process"):
        evaluate(network, spec, directory=tmp_path / "out", on_progress=again)


def test_the_folder_says_what_was_found(network, spec, tmp_path):
    record = evaluate(network, spec, directory=tmp_path / "out", accumulator_sweep=WIDTHS)
    data = json.loads((tmp_path / "out/evaluation.json").read_text())
    assert [row["miou"] for row in data["rows"]] == [row.miou for row in record.rows]
    assert data["overflow_loss"] == record.overflow_loss
    assert read_results(tmp_path / "out") == record
    for damage in ("{}", '{"schema_version": 0}', "not json"):
        (tmp_path / "out/evaluation.json").write_text(damage)
        with pytest.raises(RunFolderError, match=r"evaluation\.json"):
            read_results(tmp_path / "out")
    assert (tmp_path / "out/evaluation.csv").read_text().count("\n") == 1 + len(record.rows)


def test_a_trap_ends_the_evaluation_and_keeps_what_is_finished(network, spec, tmp_path):
    trap = device(arithmetic__accumulator={"bits": 12, "overflow": "trap"})
    with pytest.raises(OverflowTrap):
        evaluate(network, spec, acc=trap, directory=tmp_path / "out")
    assert (tmp_path / "out" / JOURNAL).exists()


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"limit": 0}, InputError, "limit"),
        ({"fit": "crop"}, InputError, "stretch, pad"),
        ({"accumulator_sweep": [4]}, InputError, "from 8 to 64"),
        ({"class_map": {"sky": "moon"}}, InputError, "moon"),
        ({"float_network": integer_segmenter()}, NetworkError, "computes in integers"),
        ({"quantize": {"scheme": "affine"}}, InputError, "integer already"),
    ],
)
def test_options_that_make_no_sense(network, spec, options, error, message):
    with pytest.raises(error, match=message):
        evaluate(network, spec, **options)


def test_networks_that_do_not_segment(spec):
    with pytest.raises(NetworkError, match="no segmentation network"):
        evaluate(bittrue.networks.conv2d(8, 8, 4, 4, 3), spec)
    with pytest.raises(InputError, match="no option 'sceme'"):
        evaluate(float_segmenter(), spec, quantize={"sceme": "affine"})
