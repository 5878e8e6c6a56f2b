"""Networks saved and loaded again, and files that must be refused."""

from __future__ import annotations

import json
import zipfile
from contextlib import suppress
from dataclasses import fields

import numpy as np
import pytest

from simulator.errors import NetworkError
from simulator.graph import training_ops
from simulator.graph.builder import GraphBuilder
from simulator.graph.identity import network_hash
from simulator.graph.ops import Padding
from simulator.numerics.formats import INT32
from simulator.numerics.modes import RoundingMode
from simulator.numerics.training_scale import ScaleRule
from support.saved_network import a_network
from workloads.exporters.npz import save_network
from workloads.load import load_network
from workloads.network import Network


def test_round_trip(tmp_path):
    net = a_network()
    path = net.save(tmp_path / "net.npz")
    loaded = load_network(path)
    assert network_hash(loaded.graph) == network_hash(net.graph)
    assert loaded.graph.nodes == net.graph.nodes
    assert [(t.name, t.placeholder) for t in loaded.graph.tensors.values()] == [
        (t.name, t.placeholder) for t in net.graph.tensors.values()
    ]
    assert loaded.graph.notes == ("a note",)
    for field in fields(Network):
        if field.name != "graph":
            assert getattr(loaded, field.name) == getattr(net, field.name)
    assert save_network(loaded, tmp_path / "again.npz").read_bytes() == path.read_bytes()
    assert set(np.load(path, allow_pickle=False).files) >= {"header"}


def test_operators_of_training_come_back(tmp_path):
    builder = GraphBuilder("step")
    x, s = builder.input("x", (1, 4, 4, 3), INT32), builder.input("s", (2,), "int64")
    rule = {"scale": ScaleRule.MAX, "rounding": RoundingMode.STOCHASTIC}
    q, sq = builder.add_many(training_ops.ScaleQuantize(8, **rule), x, s)
    pool = training_ops.MaxPoolIndexed((2, 2), (2, 2), Padding(1, 1))
    graph = builder.build([sq, *builder.add_many(pool, q)])
    loaded = load_network(save_network(Network(graph), tmp_path / "step.npz"))
    assert loaded.graph.nodes == graph.nodes


def rewritten(tmp_path, change=None, members=None):
    """The saved network with its header or members changed."""
    path = save_network(a_network(), tmp_path / "net.npz")
    with np.load(path) as saved:
        arrays = {name: saved[name] for name in saved.files}
    header = json.loads(arrays["header"].tobytes())
    if change:
        change(header)
    arrays["header"] = np.frombuffer(json.dumps(header).encode(), np.uint8)
    arrays.update(members or {})
    np.savez(tmp_path / "hostile.npz", **arrays)
    return tmp_path / "hostile.npz"


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda h: h.update(version=99), "version 99"),
        (lambda h: h.pop("nodes"), "nodes"),
        (lambda h: h["nodes"][0].update(op="System"), "'System'"),
        (lambda h: h["nodes"][0].update(op="Op"), "'Op'"),
        (lambda h: h["nodes"][0]["attributes"].update(stride=[1, "2"]), "'2'"),
        (lambda h: h["nodes"][0]["attributes"].update(extra=1), "extra"),
        (lambda h: h["nodes"][0]["attributes"].update(activation="gelu"), "gelu"),
        (lambda h: h["nodes"][0].update(inputs=["x", "nothing", "b"]), "nothing"),
        (lambda h: h["tensors"][0].update(shape=[1, 2**40, 2**40, 3]), "conv"),
        (lambda h: h["tensors"][1].update(shape=[4, 2**40, 3, 3]), "tensor_1"),
        (lambda h: h["tensors"][1].update(format="complex64"), "complex64"),
        (lambda h: h["tensors"][1]["quant"].update(scale=[1.0, float("nan"), 1.0, 1.0]), "nan"),
        (lambda h: h["tensors"][1]["quant"].update(axis=3), "axis 3"),
        (lambda h: h["tensors"][1].update(array="tensor_7"), "tensor_7"),
        (lambda h: h["tensors"][0].update(shape=[1, -9, 8, 3]), "at least 1"),
        (lambda h: h["network"]["segmentation"].update(output="w"), "'w'"),
        (lambda h: h.update(tensors=7), "damaged"),
    ],
)
def test_changed_files_are_refused(tmp_path, change, words):
    with pytest.raises(NetworkError) as error:
        load_network(rewritten(tmp_path, change))
    assert words in str(error.value)
    assert "hostile.npz" in str(error.value)


def test_other_files_are_refused(tmp_path):
    np.savez(tmp_path / "arrays.npz", a=np.zeros(3))
    (tmp_path / "text.npz").write_text("no archive")
    whole = save_network(a_network(), tmp_path / "net.npz").read_bytes()
    (tmp_path / "cut.npz").write_bytes(whole[: len(whole) // 2])
    for name in ("arrays.npz", "text.npz", "cut.npz"):
        with pytest.raises(NetworkError, match=name):
            load_network(tmp_path / name)
    with pytest.raises(NetworkError, match="keywords"):
        load_network(tmp_path / "net.npz", size=3)
    (tmp_path / "net.xyz").write_text("")
    with pytest.raises(NetworkError, match=r"\.npz"):
        load_network(tmp_path / "net.xyz")


def test_no_pickle_and_no_giant_array_is_read(tmp_path):
    with pytest.raises(NetworkError):
        load_network(rewritten(tmp_path, members={"tensor_1": np.array([{}], dtype=object)}))
    path = save_network(a_network(), tmp_path / "net.npz")
    huge = b"\x93NUMPY\x01\x00v\x00{'descr': '|i1', 'fortran_order': False, 'shape': (1099511627776, 3, 3, 3), }"
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    members["tensor_1.npy"] = huge.ljust(127) + b"\n"
    header = members["header.npy"]
    members["header.npy"] = header.replace(b"[4, 3, 3, 3]", b"[1099511627776,3,3,3]")
    with zipfile.ZipFile(tmp_path / "giant.npz", "w") as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    with pytest.raises(NetworkError, match=r"giant\.npz"):
        load_network(tmp_path / "giant.npz")


@pytest.mark.parametrize("position", range(0, 100, 7))
def test_flipped_bytes_never_end_in_a_traceback(tmp_path, position):
    data = bytearray(save_network(a_network(), tmp_path / "net.npz").read_bytes())
    rng = np.random.default_rng(position)
    for index in rng.integers(0, len(data), 20):
        data[index] ^= int(rng.integers(1, 256))
    (tmp_path / "flipped.npz").write_bytes(data)
    with suppress(NetworkError):
        load_network(tmp_path / "flipped.npz")
