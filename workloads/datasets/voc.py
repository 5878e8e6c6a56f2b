"""PASCAL VOC 2012 segmentation: VOCdevkit layout, palette masks, 255 = void; SBD's augmented list where it is there."""

from __future__ import annotations

from pathlib import Path

from simulator.errors import InputError
from workloads.datasets.files import NO_LABEL, FileDataset, Pair, read_indices, require_samples, require_split
from workloads.segmentation import VOC_CLASSES, voc_palette

_AUGMENTED = {"trainaug", "train_aug"}
_FOLDERS = ("JPEGImages", "SegmentationClass", "ImageSets/Segmentation")


def open_voc(root: Path, split: str) -> FileDataset:
    """Open a split: a list of ImageSets/Segmentation, without its .txt.

    ``trainaug`` (Hariharan et al., ICCV 2011: 10,582 images) is the list ``trainaug.txt`` or ``train_aug.txt`` with the
    masks of SegmentationClassAug. A list holds one name a line, or an image and its mask, both from the VOC2012 folder.

    Raises
    ------
    InputError
        Another layout, no such split, an empty list, an image without mask.

    """
    folder = _find(root)
    lists = {path.stem: path for path in sorted((folder / _FOLDERS[2]).glob("*.txt"))}
    lists = {("trainaug" if name in _AUGMENTED else name): path for name, path in lists.items()}
    require_split("voc", folder, split, tuple(lists))
    masks = "SegmentationClassAug" if split == "trainaug" else "SegmentationClass"
    pairs = tuple(_pair(folder, masks, line) for line in lists[split].read_text().splitlines() if line.strip())
    for pair in pairs:
        for path in (pair.image, pair.mask):
            if not path.is_file():
                raise InputError(f"voc: {lists[split].name} names {pair.name}, but there is no file {path}")
    palette = voc_palette(len(VOC_CLASSES))
    dataset = FileDataset(
        "voc", split, tuple(lists), VOC_CLASSES, palette, NO_LABEL, pairs, lambda path, _: read_indices(path)
    )
    return require_samples(dataset, lists[split])


def _find(root: Path) -> Path:
    for folder in (root, root / "VOC2012", root / "VOCdevkit" / "VOC2012"):
        if all((folder / name).is_dir() for name in _FOLDERS):
            return folder
    raise InputError(
        f"voc: {root} holds no VOC2012: give the folder with {', '.join(_FOLDERS)}, or one that holds VOC2012 or "
        "VOCdevkit/VOC2012"
    )


def _pair(folder: Path, masks: str, line: str) -> Pair:
    image, *rest = line.split()
    if not rest:
        return Pair(image, folder / "JPEGImages" / f"{image}.jpg", folder / masks / f"{image}.png")
    return Pair(Path(image).stem, folder / image.lstrip("/"), folder / rest[0].lstrip("/"))
