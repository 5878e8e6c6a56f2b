"""Node data against the names in real files: what Model Explorer looks nodes up by."""

from __future__ import annotations

import onnx
import pytest
import tflite

import bittrue
from reports.model_explorer import node_data

pytestmark = pytest.mark.assets


def keys(path, changes):
    device = bittrue.load_accelerator("edge_32x32").evolve(changes)
    run = bittrue.simulate(bittrue.load_network(path), device, timing_only=True)
    return set(node_data(run.record)["results"])


def test_keys_are_names_of_tensors_in_the_tflite_file(assets):
    path = assets / "person_detect_qdimfix.tflite"
    graph = tflite.Model.GetRootAs(path.read_bytes(), 0).Subgraphs(0)
    found = keys(path, {})
    assert len(found) == 31
    assert found <= {graph.Tensors(i).Name().decode() for i in range(graph.TensorsLength())}


def test_keys_are_names_of_nodes_in_the_onnx_file(assets):
    path = assets / "resnet50_1by2_backbone_qoperator_int8.onnx"
    nodes = {node.name for node in onnx.load(path, load_external_data=False).graph.node}
    found = keys(path, {"arithmetic.requantizer": "float32"})
    # The output's turn to channels first is a layer here and none of the file's.
    assert {name for name in found if not name.endswith("/nchw")} <= nodes
    assert len(found & nodes) == 72
