"""Data sets: layouts, names, labels, order."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from support import dataset_folders as folders
from workloads.datasets import open_dataset
from workloads.datasets.nuclei import labels_of_nuclei


def test_camvid_pairs_by_name_and_keeps_void(tmp_path):
    maps = [folders.labels(index, range(12)) for index in range(3)]
    dataset = open_dataset(folders.camvid(tmp_path, {"val": maps, "test": maps[:1]}))
    assert (dataset.name, dataset.split, dataset.splits) == ("camvid", "val", ("val", "test"))
    assert (len(dataset), dataset.names, dataset.ignore_label) == (3, ("im0", "im1", "im2"), 11)
    assert (dataset.classes[0], dataset.classes[10], len(dataset.palette)) == ("sky", "bicyclist", 11)
    for index in range(3):
        sample = dataset.sample(index)
        assert (sample.name, sample.image.dtype, sample.labels.dtype) == (f"im{index}", np.uint8, np.uint8)
        np.testing.assert_array_equal(sample.image, folders.noise(index))
        np.testing.assert_array_equal(sample.labels, maps[index])
    with pytest.raises(IndexError, match="3 samples"):
        dataset.sample(3)


@pytest.mark.parametrize("inside", ["", "VOCdevkit", "VOCdevkit/VOC2012"])
def test_voc_reads_palette_indices_in_the_order_of_its_list(tmp_path, inside):
    folders.voc(tmp_path, ["2009_2", "2008_1"])
    dataset = open_dataset(f"voc:{tmp_path / inside}")
    assert (dataset.names, len(dataset.classes), dataset.ignore_label) == (("2009_2", "2008_1"), 21, 255)
    assert dataset.palette[15] == (192, 128, 128), "the devkit's colour of person"
    np.testing.assert_array_equal(dataset.sample(1).labels, folders.labels(1, (0, 15, 255)))


@pytest.mark.parametrize("line", ["{0}\n", "/JPEGImages/{0}.jpg /SegmentationClassAug/{0}.png\n"])
def test_voc_knows_the_augmented_list(tmp_path, line):
    folder = folders.voc(tmp_path, ["2009_2"], "train_aug", masks="SegmentationClassAug")
    (folder / "ImageSets/Segmentation/train_aug.txt").write_text(line.format("2009_2"))
    dataset = open_dataset(f"voc:{tmp_path}", split="trainaug")
    assert dataset.splits == ("trainaug",)
    np.testing.assert_array_equal(dataset.sample(0).labels, folders.labels(0, (0, 15, 255)))


@pytest.mark.parametrize("nested", [False, True])
def test_ade20k_challenge_numbers_from_one(tmp_path, nested):
    inside = "validation/" if nested else ""
    mask = np.array([[0, 1], [150, 13]], np.uint8)
    folders.write(tmp_path / f"images/{inside}ADE_val_1.jpg", folders.noise(0, mask.shape))
    folders.write(tmp_path / f"annotations/{inside}ADE_val_1.png", mask)
    dataset = open_dataset(f"ade20k:{tmp_path}")
    assert (dataset.splits, len(dataset.classes), dataset.ignore_label) == (("val",), 150, 255)
    assert [dataset.classes[index] for index in (0, 12, 149)] == ["wall", "person", "flag"]
    assert dataset.palette[12] == (150, 5, 61)
    np.testing.assert_array_equal(dataset.sample(0).labels, [[255, 0], [149, 12]])


@pytest.mark.parametrize("encoding", ["utf-8", "latin-1"])
def test_ade20k_full_reads_objects_by_their_full_name(tmp_path, encoding):
    numbers = np.array([[0, 312], [2420, 77]])
    objects = {312: "building, edifice", 2420: "sky", 77: "café chair"}
    folders.ade_full(tmp_path / "images/ADE/training/urban/street", "ADE_train_7", numbers, objects, encoding)
    dataset = open_dataset(f"ade20k:{tmp_path}", split="train")
    np.testing.assert_array_equal(dataset.sample(0).labels, [[255, 1], [2, 255]])


def test_cityscapes_turns_label_ids_into_train_ids(tmp_path):
    mask = np.array([[7, 33, 0, 26], [11, 31, 29, 24]], np.uint8)
    folders.write(tmp_path / "leftImg8bit/val/ulm/ulm_1_leftImg8bit.png", folders.noise(0, mask.shape))
    folders.write(tmp_path / "gtFine/val/ulm/ulm_1_gtFine_labelIds.png", mask)
    dataset = open_dataset(f"cityscapes:{tmp_path}")
    assert (dataset.names, len(dataset.classes), dataset.classes[13]) == (("ulm_1",), 19, "car")
    assert dataset.palette[13] == (0, 0, 142)
    np.testing.assert_array_equal(dataset.sample(0).labels, [[0, 18, 255, 13], [2, 16, 255, 11]])


def test_nuclei_take_the_last_fifth_for_validation(tmp_path):
    for index in range(10):
        folders.write(tmp_path / f"images/n{index}.png", folders.noise(index))
        folders.write(tmp_path / f"masks/n{index}.png", folders.labels(index, (0, 1, 2)))
    spec = f"nuclei:{tmp_path}"
    assert open_dataset(spec, split="val").names == ("n8", "n9")
    assert len(open_dataset(spec, split="train")) == 8
    np.testing.assert_array_equal(open_dataset(spec).sample(0).labels, folders.labels(8, (0, 1, 2)))


def test_raw_nuclei_get_their_boundary(tmp_path):
    nuclei = np.random.default_rng(4).integers(0, 3, (9, 11)).repeat(3, 0).repeat(3, 1).astype(np.int32)
    for name in "abcde":
        folders.write(tmp_path / f"stage1_train/{name}/images/{name}.png", folders.noise(0, nuclei.shape))
        for number in (1, 2):
            mask = np.where(nuclei == number, 255, 0).astype(np.uint8)
            folders.write(tmp_path / f"stage1_train/{name}/masks/m{number}.png", mask)
    found = open_dataset(f"nuclei:{tmp_path}").sample(0).labels
    np.testing.assert_array_equal(found, _slow_labels(nuclei))
    np.testing.assert_array_equal(labels_of_nuclei(nuclei), _slow_labels(nuclei))
    assert set(np.unique(found)) == {0, 1, 2}


def _slow_labels(nuclei):
    """The definition, pixel by pixel."""
    height, width = nuclei.shape
    result = np.zeros(nuclei.shape, np.uint8)
    for y in range(height):
        for x in range(width):
            around = [(y + dy, x + dx) for dy in (-1, 0, 1) for dx in (-1, 0, 1)]
            inside = [nuclei[p] for p in around if 0 <= p[0] < height and 0 <= p[1] < width]
            if nuclei[y, x]:
                result[y, x] = 1 if all(other == nuclei[y, x] for other in inside) else 2
    return result


def test_a_folder_of_labels_or_of_colours(tmp_path):
    table = "label,name,red,green,blue\n1,tree,0,200,0\n0,sky,0,0,200\n9,ignore,1,1,1\n"
    mask = np.array([[0, 1], [9, 0]], np.uint8)
    colours = np.array([[[0, 0, 200], [0, 200, 0]], [[1, 1, 1], [0, 0, 200]]], np.uint8)
    for split, pixels in {"day": mask, "night": colours}.items():
        folders.write(tmp_path / f"images/{split}/a.png", folders.noise(0, mask.shape))
        folders.write(tmp_path / f"masks/{split}/a.png", pixels)
    (tmp_path / "classes.csv").write_text(table)
    for split in ("day", "night"):
        dataset = open_dataset(f"folder:{tmp_path}", split=split)
        assert (dataset.classes, dataset.ignore_label) == (("sky", "tree"), 9)
        assert dataset.palette == ((0, 0, 200), (0, 200, 0))
        np.testing.assert_array_equal(dataset.sample(0).labels, mask)


@pytest.mark.parametrize(("encoding", "newline"), [("utf-8", "\n"), ("utf-8-sig", "\r\n")])  # the second: Excel's
def test_a_flat_folder_is_one_split(tmp_path, encoding, newline):
    folders.write(tmp_path / "images/a.bmp", folders.noise(0))
    folders.write(tmp_path / "masks/a.png", folders.labels(0, (0, 1, 255)))
    table = "label, name\n0, other\n1, cell\n"
    (tmp_path / "classes.csv").write_text(table, encoding=encoding, newline=newline)
    dataset = open_dataset(f"folder:{tmp_path}", split="all")
    assert (dataset.splits, dataset.names, dataset.ignore_label) == (("all",), ("a",), 255)
    assert dataset.sample(0).labels.max() == 255


def test_an_image_is_taken_as_stored(tmp_path):
    """A mask is drawn on the pixels, so an EXIF orientation turns neither."""
    exif = Image.Exif()
    exif[0x0112] = 6
    (tmp_path / "val").mkdir()
    Image.fromarray(folders.noise(0)).save(tmp_path / "val/a.png", exif=exif)
    folders.write(tmp_path / "valannot/a.png", folders.labels(0, (0, 1)))
    assert open_dataset(f"camvid:{tmp_path}").sample(0).image.shape == (*folders.SIZE, 3)
