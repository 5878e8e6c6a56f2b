"""The quantized ResNet backbones in the assets against ONNX Runtime."""

from __future__ import annotations

import logging

import numpy as np
import pytest

pytest.importorskip("onnx", reason="needs onnx: pip install 'bittrue[onnx]'")
pytest.importorskip("onnxruntime", reason="needs onnxruntime: pip install 'bittrue[oracle]'")

import onnx

from support.onnx_models import by_onnxruntime, by_us
from support.onnx_qdq import judge
from workloads.importers.onnx import OnnxImporter

pytestmark = [pytest.mark.assets, pytest.mark.oracle]
LOG = logging.getLogger(__name__)
QOPERATOR = "resnet50_1by2_backbone_qoperator_int8.onnx"
QDQ = "resnet50_1by2_backbone_qdq_int8.onnx"


def golden(assets):
    return np.load(assets / "golden" / f"{QDQ}.npz")


def test_qoperator_backbone_has_no_differing_value(assets):
    x = golden(assets)["input"]
    network = OnnxImporter().load(assets / QOPERATOR)
    (ours,) = by_us(network, {"input:0": x})
    (theirs,) = by_onnxruntime(onnx.load(assets / QOPERATOR), {"input:0": x})
    assert (ours.dtype, ours.shape) == (theirs.dtype, theirs.shape)
    assert int((ours != theirs).sum()) == 0


def test_qdq_backbone_by_the_rule(assets):
    stored = golden(assets)
    network, feeds = OnnxImporter().load(assets / QDQ), {"input:0": stored["input"]}
    verdict = judge(onnx.load(assets / QDQ), network, feeds)
    (ours,) = by_us(network, feeds)
    ends = {key: int((ours != stored[key]).sum()) for key in ("noopt", "opt")}
    LOG.info(
        f"{verdict.operators} operators, {verdict.values} values, {verdict.differing} differ by 1 within 1e-3 of a tie"
    )
    LOG.info(
        f"end to end, of {ours.size} values: {ends['noopt']} differ with optimisation off, {ends['opt']} with it on"
    )
    assert verdict.wrong == []
    assert verdict.operators == 71
    assert ends["opt"] == 0
    assert np.abs(ours - stored["noopt"]).max() <= 0.1 * np.abs(stored["noopt"]).max()
