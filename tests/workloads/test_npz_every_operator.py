"""Saved .npz: every operator and every format there is comes back as it was, and files of earlier versions open."""

from __future__ import annotations

import types
from dataclasses import fields, replace
from enum import Enum
from pathlib import Path
from typing import Union, get_args, get_origin, get_type_hints

import numpy as np
import pytest

from simulator.graph import ops, training_ops
from simulator.graph.graph import Graph, Node, Tensor
from simulator.graph.identity import network_hash
from simulator.graph.ops import Op, Padding
from simulator.numerics.formats import BOOL, FLOAT32, INT8, IntFormat
from simulator.numerics.quant import QuantParams
from support.saved_network import a_network
from workloads.exporters.npz import VERSION, save_network
from workloads.importers import npz as importer
from workloads.load import load_network
from workloads.network import Network

BASES = {Op, ops.Rescaling, training_ops.TrainingOp}
EARLIER = sorted((Path(__file__).parent / "data").glob("saved_version_*.npz"))


def subclasses(kind: type[Op]) -> set[type[Op]]:
    return {kind}.union(*(subclasses(child) for child in kind.__subclasses__()))


EVERY = sorted(
    (kind for kind in subclasses(Op) - BASES if kind.__module__.startswith("simulator.graph.")),
    key=lambda k: k.__name__,
)


def values(hint: object, place: int) -> list[object]:
    """Values that an attribute of this type may have, all different from one another."""
    origin, arguments = get_origin(hint), get_args(hint)
    if origin in (Union, types.UnionType):
        return [value for kind in arguments for value in ([None] if kind is type(None) else values(kind, place))]
    if origin is tuple and arguments[1:] == (Ellipsis,):
        items = values(arguments[0], place)
        return [tuple(items), tuple(items[:1])]
    if origin is tuple:
        return [tuple(values(kind, place + i)[0] for i, kind in enumerate(arguments))]
    if isinstance(hint, type) and issubclass(hint, Enum):
        return list(hint)
    known = {
        bool: [True, False],
        int: [place + 2, -place - 7],
        float: [0.1 + place, -1e-30, 3.0],
        str: ["reflect", "é"],
        Padding: [Padding(1, 2, 3, 4 + place)],
    }
    return known[hint]


def variants(kind: type[Op]) -> list[Op]:
    """An operator with every value of every attribute, one of which changes at a time."""
    hints = get_type_hints(kind)
    choices = {field.name: values(hints[field.name], i) for i, field in enumerate(fields(kind))}
    drawn = [{n: given[0] for n, given in choices.items()} | {n: v} for n in choices for v in choices[n]]
    return [kind(**attributes) for attributes in drawn or [{}]]


def test_every_operator_is_known():
    assert len(EVERY) > 60
    assert set(importer._OPS.values()) >= set(EVERY)
    assert all(importer._OPS[kind.__name__] is kind for kind in EVERY)


@pytest.mark.parametrize("kind", EVERY, ids=lambda kind: kind.__name__)
def test_every_operator_comes_back(kind, tmp_path, monkeypatch):
    """Of each attribute every kind of value; shapes, which such operators contradict, are not looked at."""
    monkeypatch.setattr(importer, "_check_shapes", lambda graph, node: None)
    nodes = tuple(Node(f"n{i}", op, ("x", ""), (f"y{i}",)) for i, op in enumerate(variants(kind)))
    tensors = {name: Tensor(name, (1,), INT8) for name in ("x", *(node.outputs[0] for node in nodes))}
    graph = Graph("every", tensors, nodes, ("x",), (nodes[-1].outputs[0],))
    loaded = load_network(save_network(graph, tmp_path / "op.npz")).graph
    for given, read in zip(graph.nodes, loaded.nodes, strict=True):
        assert given == read
        assert repr(given) == repr(read)  # 3 is not 3.0, nor 1 True


INTEGERS = [IntFormat(bits, signed) for bits in range(1, 65) for signed in (True, False)]


def test_every_format_comes_back(tmp_path):
    rng = np.random.default_rng(0)
    tensors = {"x": Tensor("x", (1,), INT8)}
    for format in [FLOAT32, BOOL, *INTEGERS]:
        if isinstance(format, IntFormat):
            data = np.array(
                [[format.min, format.max, 0], [1 if format.max else 0, format.min, format.max]], format.dtype
            )
            axis, scales = (1, (0.1, 2.0**-40, 1e30)) if format.bits % 2 else (None, (float(rng.uniform()),))
            quant = QuantParams(scales, (0,) * len(scales), axis)
        else:
            data = np.array([[0.1, -0.0, np.inf], [1e-45, 1, 0]]).astype(format.dtype)
            quant = None
        tensors[str(format)] = Tensor(str(format), data.shape, format, quant, data)
        tensors[f"of {format}"] = replace(tensors[str(format)], name=f"of {format}", data=None, placeholder=True)
    graph = Graph("formats", tensors, (), ("x",), ("x",))
    loaded = load_network(save_network(graph, tmp_path / "formats.npz")).graph
    assert list(loaded.tensors) == list(tensors)
    for given, read in zip(tensors.values(), loaded.tensors.values(), strict=True):
        assert (given.name, given.shape, given.format, given.quant) == (read.name, read.shape, read.format, read.quant)
        assert given.placeholder == read.placeholder
        if given.data is not None and read.data is not None:
            assert (given.data.dtype, given.data.tobytes()) == (read.data.dtype, read.data.tobytes())
        else:
            assert given.data is read.data


def test_a_file_of_this_version_is_kept():
    """Whoever raises VERSION saves `a_network` by it: python -m pytest names the file that is missing."""
    assert f"saved_version_{VERSION}.npz" in [path.name for path in EARLIER]


@pytest.mark.parametrize("path", EARLIER, ids=lambda path: path.stem)
def test_earlier_files_open(path):
    loaded, wanted = load_network(path), a_network()
    assert loaded.graph.nodes == wanted.graph.nodes
    assert network_hash(loaded.graph) == network_hash(wanted.graph)
    for field in fields(Network):
        if field.name != "graph":
            assert getattr(loaded, field.name) == getattr(wanted, field.name)
