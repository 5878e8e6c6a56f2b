"""Open a data set by its kind and path."""

from __future__ import annotations

from collections.abc import Callable
from difflib import get_close_matches
from pathlib import Path

from simulator.errors import BittrueError, InputError
from simulator.plugins import DATASETS, broken, load_plugin, plugins
from workloads.datasets.ade20k import open_ade20k
from workloads.datasets.camvid import open_camvid
from workloads.datasets.cityscapes import open_cityscapes
from workloads.datasets.dataset import Dataset
from workloads.datasets.files import FileDataset
from workloads.datasets.folder import open_folder
from workloads.datasets.nuclei import open_nuclei
from workloads.datasets.voc import open_voc

_KINDS: dict[str, Callable[[Path, str], FileDataset]] = {
    "voc": open_voc,
    "ade20k": open_ade20k,
    "camvid": open_camvid,
    "cityscapes": open_cityscapes,
    "nuclei": open_nuclei,
    "folder": open_folder,
}


def kinds() -> tuple[str, ...]:
    """Return the kinds of data sets that can be opened, those of plugins last."""
    return (*_KINDS, *(name for name in plugins(DATASETS) if name not in _KINDS))


def open_dataset(spec: str, split: str = "val") -> Dataset:
    """Open one split of a data set.

    Parameters
    ----------
    spec
        ``KIND:PATH``: ``voc:``, ``ade20k:``, ``camvid:``, ``cityscapes:``, ``nuclei:``, ``folder:`` or a plugin's kind,
        and the folder that holds it.
    split
        ``train``, ``val``, ``test``, or another that the data set has (voc: any list of ImageSets/Segmentation).

    Raises
    ------
    InputError
        No such kind, folder or split; another layout; an empty split; images without masks. What is wrong inside a
        file is found when its sample is read.
    PluginError
        A plugin's kind that cannot be loaded, or fails.

    """
    kind, colon, place = spec.partition(":")
    if not colon or not place:
        raise InputError(f"data set {spec!r}: write KIND:PATH, e.g. camvid:data/CamVid; kinds: {', '.join(kinds())}")
    if kind not in kinds():
        near = get_close_matches(kind, kinds(), 1)
        hint = f" (did you mean {near[0]}?)" if near else ""
        raise InputError(f"data set {spec!r}: there is no kind {kind!r}{hint}; kinds: {', '.join(kinds())}")
    root = Path(place).expanduser()
    if not root.is_dir():
        raise InputError(f"data set {spec!r}: {'not a folder' if root.exists() else 'there is no folder'} {root}")
    return _KINDS[kind](root, split) if kind in _KINDS else _of_plugin(kind, root, split)


def _of_plugin(kind: str, root: Path, split: str) -> Dataset:
    provider = load_plugin(DATASETS, kind)
    try:
        opened: Dataset = provider(root, split)
    except BittrueError:
        raise
    except Exception as error:  # whatever the code of others raises
        raise broken(DATASETS, kind, error) from error
    return opened
