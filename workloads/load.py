"""load_network: a built-in network by name, or a file by its suffix."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from difflib import get_close_matches
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any, Protocol

from simulator.errors import NetworkError
from simulator.graph.graph import Graph
from simulator.records.run import Segmentation
from workloads.images import takes_image
from workloads.nets import registry
from workloads.network import ImageInput, Network
from workloads.segmentation import recognise_segmentation
from workloads.training.checkpoint import is_checkpoint
from workloads.training.trained import newest_trained, trained_network

ENTRY_POINTS = "bittrue.importers"
"""Entry-point group under which importers are registered, the built-in ones too."""


class Importer(Protocol):
    """Reads one kind of network file. Registered as a class, made without arguments."""

    suffixes: tuple[str, ...]
    """File name endings it reads, with the dot, lower case."""

    def load(self, path: Path) -> Graph | Network:
        """Read a file; a BittrueError on anything it cannot use."""
        ...

    # An importer may also have image_input(path, graph) -> ImageInput | None: what the file says of pixels, and
    # segmentation(path, graph) -> Segmentation | None: of classes.


def load_network(name_or_path: str | Path, **keywords: Any) -> Network:
    """Load a network.

    Parameters
    ----------
    name_or_path
        A built-in name (``bittrue networks`` lists them); a file: .tflite, a saved .npz, a checkpoint of training, or
        what an installed importer reads; or the folder of a training run, for its newest checkpoint. A file
        comes before a name, a name before a folder.
    keywords
        Of a built-in network, such as size, classes or weights. A checkpoint takes a size, other than it was trained
        at; other files take none.

    Raises
    ------
    NetworkError
        Neither a name nor a file, an unknown keyword, or a file that cannot be used.

    """
    if not isinstance(name_or_path, str | Path):
        raise NetworkError(f"a network is loaded by name or path, not {name_or_path!r}")
    path = Path(name_or_path)
    if path.is_dir() and name_or_path not in registry.names():
        path = newest_trained(path)
    if not path.is_file():
        if isinstance(name_or_path, str) and name_or_path in registry.names():
            return registry.build(name_or_path, **keywords)
        raise NetworkError(_not_found(str(name_or_path)))
    if set(keywords) == {"size"} and is_checkpoint(path):
        return trained_network(path, **keywords)
    if keywords:
        wanted = "no keyword but size" if is_checkpoint(path) else "no keywords"
        raise NetworkError(f"{path}: a network file takes {wanted}, not {', '.join(sorted(keywords))}")
    importer = _importer(path)
    loaded = importer.load(path)
    if isinstance(loaded, Network):
        return loaded
    image = _image(importer, path, loaded) if takes_image(loaded.input_tensors) else None
    stated: Callable[[Path, Graph], Segmentation | None] | None = getattr(importer, "segmentation", None)
    segmentation = (stated(path, loaded) if stated else None) or recognise_segmentation(loaded)
    return Network(loaded, image=image, segmentation=segmentation)


def _image(importer: Importer, path: Path, graph: Graph) -> ImageInput:
    """How pixels become the input: as the file says, where its importer can tell; else as they are."""
    stated: Callable[[Path, Graph], ImageInput | None] | None = getattr(importer, "image_input", None)
    return (stated(path, graph) if stated else None) or ImageInput()


def importer_suffixes() -> tuple[str, ...]:
    """Return all file name endings that can be loaded."""
    return tuple(sorted({suffix for importer in _importers() for suffix in importer.suffixes}))


def _importers() -> Iterator[Importer]:
    for point in sorted(entry_points(group=ENTRY_POINTS), key=lambda point: point.name):
        try:
            made: Importer = point.load()()
        except ImportError:
            # An extra that is not installed: the others still work, and a file it would read says what is available.
            continue
        yield made


def _importer(path: Path) -> Importer:
    for importer in _importers():
        if path.name.lower().endswith(tuple(importer.suffixes)):
            return importer
    raise NetworkError(
        f"{path}: no importer for this kind of file; there are those for {', '.join(importer_suffixes())}"
    )


def _not_found(name: str) -> str:
    available = registry.names()
    if name.lower().endswith(importer_suffixes()):
        return f"network {name}: no such file"
    near = get_close_matches(name, available, 1)
    hint = f"; did you mean {near[0]!r}?" if near else "."
    return (
        f"network {name!r}: no such file or built-in network{hint} Built in: {', '.join(available)}; "
        f"files: {', '.join(importer_suffixes())}"
    )
