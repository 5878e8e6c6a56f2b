"""Data sets that cannot be used: each refusal names the file and what is wrong with it."""

from __future__ import annotations

from contextlib import suppress

import numpy as np
import pytest
from PIL import Image

from simulator.errors import BittrueError, InputError
from support import dataset_folders as folders
from workloads.datasets import SampleError, open_dataset

MAP = folders.labels(0, range(12))


def refused(spec, split="val"):
    with pytest.raises(InputError) as caught:
        open_dataset(str(spec), split=split)
    return str(caught.value)


def unusable(spec, split="val"):
    with pytest.raises(SampleError) as caught:
        open_dataset(str(spec), split=split).sample(0)
    assert isinstance(caught.value, BittrueError)
    return str(caught.value)


def test_a_specification_that_names_nothing(tmp_path):
    assert "write KIND:PATH" in refused(tmp_path)
    assert "did you mean camvid" in refused(f"camvd:{tmp_path}")
    assert "no folder" in refused(f"camvid:{tmp_path}/away")


def test_splits_that_are_not_there_or_empty(tmp_path):
    spec = folders.camvid(tmp_path, {"train": [MAP]})
    assert "has no split 'val'; it has train" in refused(spec)
    (tmp_path / "val").mkdir()
    assert str(tmp_path / "valannot") in refused(spec)
    (tmp_path / "valannot").mkdir()
    assert "'val' is empty" in refused(spec)


def test_images_without_masks_are_found_at_once(tmp_path):
    spec = folders.camvid(tmp_path, {"val": [MAP] * 5})
    for index in range(4):
        (tmp_path / f"valannot/im{index}.png").unlink()
    assert refused(spec).endswith("has no mask for im0.png, im1.png, im2.png and 1 more")


@pytest.mark.parametrize("folder", ["val", "valannot"])
@pytest.mark.parametrize("share", [0, 0.1, 0.5, 0.97])
def test_a_cut_file(tmp_path, folder, share):
    spec = folders.camvid(tmp_path, {"val": [folders.labels(0, range(12), (64, 64))]})
    path = tmp_path / folder / "im0.png"
    whole = path.read_bytes()
    path.write_bytes(whole[: int(len(whole) * share)])
    assert str(path) in unusable(spec)


@pytest.mark.parametrize("at", range(8, 250, 11))
def test_a_damaged_mask_never_gives_other_labels(tmp_path, at):
    """Each byte of a PNG is under a checksum: damage is refused, or changed nothing."""
    spec = folders.camvid(tmp_path, {"val": [folders.labels(0, range(12), (16, 24))]})
    path = tmp_path / "valannot/im0.png"
    damaged = bytearray(path.read_bytes())
    damaged[min(at, len(damaged) - 1)] ^= 0x55
    path.write_bytes(damaged)
    with suppress(SampleError):
        found = open_dataset(spec).sample(0).labels
        np.testing.assert_array_equal(found, folders.labels(0, range(12), (16, 24)))


def test_a_mask_of_another_size(tmp_path):
    spec = folders.camvid(tmp_path, {"val": [MAP]})
    folders.write(tmp_path / "valannot/im0.png", MAP.T)
    message = unusable(spec)
    assert str(tmp_path / "valannot/im0.png") in message
    assert "6 x 8 (width x height)" in message
    assert "im0.png 8 x 6" in message


def test_labels_out_of_range(tmp_path):
    spec = folders.camvid(tmp_path, {"val": [MAP + np.uint8(3)]})
    message = unusable(spec)
    assert str(tmp_path / "valannot/im0.png") in message
    assert "12, 13, 14; labels of camvid are 0 .. 10, or 11" in message


def test_masks_of_another_kind(tmp_path):
    spec = folders.camvid(tmp_path, {"val": [MAP]})
    folders.write(tmp_path / "valannot/im0.png", folders.noise(0))
    assert "one channel" in unusable(spec)
    Image.fromarray(np.zeros(folders.SIZE, np.uint16)).save(tmp_path / "valannot/im0.png")
    assert "I;16" in unusable(spec)


def test_voc_without_its_files(tmp_path):
    assert "JPEGImages" in refused(f"voc:{tmp_path}")
    folder = folders.voc(tmp_path, ["a", "b"])
    (folder / "SegmentationClass/b.png").unlink()
    assert "SegmentationClass/b.png" in refused(f"voc:{tmp_path}")
    (folder / "ImageSets/Segmentation/val.txt").write_text("\n")
    assert "empty" in refused(f"voc:{tmp_path}")
    (folder / "ImageSets/Segmentation/val.txt").write_text("a\na\n")
    assert "two samples called a" in refused(f"voc:{tmp_path}")


def test_ade20k_masks_that_are_not_of_it(tmp_path):
    assert "annotations" in refused(f"ade20k:{tmp_path}")
    folders.write(tmp_path / "images/ADE_val_1.jpg", folders.noise(0))
    folders.write(tmp_path / "annotations/ADE_val_1.png", np.full(folders.SIZE, 151, np.uint8))
    assert "holds label 151" in unusable(f"ade20k:{tmp_path}")


def test_ade20k_full_without_a_name(tmp_path):
    folders.ade_full(tmp_path, "ADE_val_1", np.array([[312, 5]]), {312: "building, edifice"})
    assert "object 5" in unusable(f"ade20k:{tmp_path}")
    (tmp_path / "ADE_val_1.json").write_text("[1]")
    assert "ADE_val_1.json" in unusable(f"ade20k:{tmp_path}")
    (tmp_path / "ADE_val_1.json").unlink()
    assert "no ADE_val_1.json" in refused(f"ade20k:{tmp_path}")


def test_cityscapes_masks_that_are_not_of_it(tmp_path):
    assert "leftImg8bit" in refused(f"cityscapes:{tmp_path}")
    mask = tmp_path / "gtFine/val/ulm/ulm_1_gtFine_labelIds.png"
    folders.write(tmp_path / "leftImg8bit/val/ulm/ulm_1_leftImg8bit.png", folders.noise(0))
    folders.write(mask, np.full(folders.SIZE, 34, np.uint8))
    assert "labelId 34" in unusable(f"cityscapes:{tmp_path}")
    mask.unlink()
    assert str(mask) in refused(f"cityscapes:{tmp_path}")


def test_raw_nuclei_that_cannot_be_used(tmp_path):
    assert "stage1_train" in refused(f"nuclei:{tmp_path}")
    for name in "abcde":
        folders.write(tmp_path / f"{name}/images/{name}.png", folders.noise(0))
        folders.write(tmp_path / f"{name}/masks/m.png", np.zeros((3, 3), np.uint8))
    assert str(tmp_path / "e/masks/m.png") in unusable(f"nuclei:{tmp_path}")
    folders.write(tmp_path / "c/images/other.png", folders.noise(0))
    assert str(tmp_path / "c") in refused(f"nuclei:{tmp_path}")


@pytest.mark.parametrize(
    ("table", "problem"),
    [
        (None, "there is no"),
        ("name\nsky\n", "line 1: the columns are name, not label, name"),
        ("lable,name\n0,a\n", "line 1: the columns are lable, name, not label, name"),
        ("", "line 1: the columns are none"),
        ("label,name\n0,\n", "line 2"),
        ("label,name\n0,a\n2,b\n", "[0, 2]"),
        ("label,name\n0,a\n0,b\n", "[0, 0]"),
        ("label,name\n0,a\n300,b\n", "line 3"),
        ("label,name\nx,a\n", "line 2"),
        ("label,name\n255,ignore\n", "0, 1, 2"),
        ("label,name,red,green,blue\n0,a,1,2,3\n1,b,1,2,3\n", "one colour"),
        ("label,name,red,green,blue\n0,a,1,2,\n", "line 2"),
    ],
)
def test_a_table_of_classes_that_cannot_be_used(tmp_path, table, problem):
    folders.write(tmp_path / "images/a.png", folders.noise(0))
    if table is not None:
        (tmp_path / "classes.csv").write_text(table)
    message = refused(f"folder:{tmp_path}", split="all")
    assert "classes.csv" in message
    assert problem in message


def test_a_colour_that_no_class_has(tmp_path):
    folders.write(tmp_path / "images/a.png", folders.noise(0))
    folders.write(tmp_path / "masks/a.png", np.full((*folders.SIZE, 3), 9, np.uint8))
    (tmp_path / "classes.csv").write_text("label,name,red,green,blue\n0,a,1,2,3\n")
    assert "(9, 9, 9)" in unusable(f"folder:{tmp_path}", split="all")
    (tmp_path / "classes.csv").write_text("label,name\n0,a\n")
    assert "columns red, green, blue" in unusable(f"folder:{tmp_path}", split="all")
