"""Files by suffix through registered importers, and what a segmentation network looks like."""

from __future__ import annotations

from importlib.metadata import EntryPoint

import pytest

from simulator.errors import NetworkError
from simulator.graph import ops
from simulator.graph.builder import GraphBuilder
from simulator.numerics.formats import INT8, INT32, INT64
from simulator.numerics.quant import QuantParams
from workloads import load
from workloads.network import ImageInput
from workloads.segmentation import recognise_segmentation, voc_palette

Q = QuantParams.per_tensor(1.0)


def graph(shape, *operators):
    builder = GraphBuilder("net")
    x = builder.input("x", shape, INT8, Q)
    for op, format in operators:
        x = builder.add(op, x, format=format)
    return builder.build()


class OtherImporter:
    suffixes = (".other",)

    def load(self, path):
        return graph((1, 8, 8, 3), (ops.MaxPool2D((1, 1), (1, 1)), None))


def test_importers_are_found_by_entry_point(tmp_path, monkeypatch):
    points = [
        EntryPoint("missing", "no_such_package:Importer", load.ENTRY_POINTS),
        EntryPoint("other", f"{__name__}:OtherImporter", load.ENTRY_POINTS),
    ]
    monkeypatch.setattr(load, "entry_points", lambda group: points if group == load.ENTRY_POINTS else [])
    (tmp_path / "net.OTHER").write_text("")
    network = load.load_network(tmp_path / "net.OTHER")
    assert network.image == ImageInput()
    assert network.segmentation.class_names == ("class 0", "class 1", "class 2")
    assert load.importer_suffixes() == (".other",)
    (tmp_path / "net.npz").write_text("")
    with pytest.raises(NetworkError, match=r"those for \.other"):
        load.load_network(tmp_path / "net.npz")


def test_built_in_importers_are_registered():
    assert {".npz", ".tflite"} <= set(load.importer_suffixes())


@pytest.mark.parametrize(
    ("shape", "operators", "classes"),
    [
        ((1, 8, 9, 21), [(ops.ArgMax(3), INT64)], 21),
        ((1, 8, 9, 7), [(ops.ArgMax(-1), INT32), (ops.Cast(), INT64)], 7),
        ((1, 8, 9, 2), [(ops.Relu(), None)], 2),
        ((1, 8, 9, 300), [(ops.Relu(), None)], None),
        ((1, 1, 1, 21), [(ops.Relu(), None)], None),
        ((1, 8, 9, 1), [(ops.Relu(), None)], None),
        ((1, 1000), [(ops.Relu(), None)], None),
        ((4, 8, 9, 5), [(ops.Relu(), None)], None),
        ((1, 8, 9), [(ops.Relu(), None)], 256),
    ],
)
def test_segmentation_is_recognised_by_its_output(shape, operators, classes):
    found = recognise_segmentation(graph(shape, *operators))
    assert (found and len(found.class_names)) == classes
    if classes == 21:
        assert found.class_names[15] == "person"


def test_palette_is_that_of_pascal_voc():
    palette = voc_palette(256)
    # From the colour map that the VOC development kit publishes.
    assert palette[:4] == ((0, 0, 0), (128, 0, 0), (0, 128, 0), (128, 128, 0))
    assert (palette[15], palette[20], palette[255]) == ((192, 128, 128), (0, 64, 128), (224, 224, 192))
    assert len(set(palette)) == 256
