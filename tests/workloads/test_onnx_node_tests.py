"""ONNX's own tests of single operators; docs/onnx.md lists those that are refused, and the words that say why."""

from __future__ import annotations

import re
import warnings
from functools import cache
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("onnx", reason="needs onnx: pip install 'bittrue[onnx]'")
pytest.importorskip("onnxruntime", reason="needs onnxruntime: pip install 'bittrue[oracle]'")

import onnx

from simulator.errors import NetworkError
from support.onnx_models import bake, by_us, load, plain
from workloads.importers.onnx import CONVERTERS

pytestmark = pytest.mark.oracle
PAGE = Path(__file__).parents[2] / "docs" / "onnx.md"
WRITTEN_FOR = "1.23.2"
"""Version of onnx whose tests the page lists."""


@cache
def cases() -> dict[str, object]:
    """Those whose operators are all read; not those that spell an operator out as a function of others."""
    from onnx.backend.test.loader import load_model_tests

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = {case.name: case for case in load_model_tests(kind="node") if case.model is not None}
    return {name: case for name, case in sorted(found.items()) if "expanded" not in name and in_scope(case)}


def in_scope(case: object) -> bool:
    nodes = case.model.graph.node
    kinds = {f"{n.domain}.{n.op_type}" if n.domain not in ("", "ai.onnx") else n.op_type for n in nodes}
    return "castlike" not in case.name and kinds <= {*CONVERTERS, "Constant"}


@cache
def refused() -> dict[str, str]:
    """Test -> words of the message, from the table in the page."""
    text = PAGE.read_text().split("## Node tests that are refused")[1]
    rows = re.findall(r"^\| `(.+?)` \| (.+?) \|$", text, re.MULTILINE)
    return {name: words for words, names in rows for name in re.findall(r"`(\w+)`", names)}


def names() -> list[str]:
    return list(cases())


@pytest.mark.parametrize("name", names())
def test_node(name):
    case = cases()[name]
    inputs, expected = case.data_sets[0]
    proto, feeds = bake(case.model, inputs)
    if name in refused():
        with pytest.raises(NetworkError, match=re.escape(refused()[name])):
            load(proto)
        return
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # infinities and NaN are results here
        results = by_us(load(proto), feeds)
    assert len(results) == len(expected)
    for result, wanted in zip(results, map(plain, expected), strict=True):
        assert (result.dtype, result.shape) == (wanted.dtype, wanted.shape)
        if wanted.dtype.kind == "f":
            np.testing.assert_allclose(result, wanted, rtol=case.rtol, atol=max(case.atol, 1e-6))
        else:
            np.testing.assert_array_equal(result, wanted)


@pytest.mark.skipif(onnx.__version__ != WRITTEN_FOR, reason=f"docs/onnx.md lists the tests of onnx {WRITTEN_FOR}")
def test_the_page_lists_what_is_refused_and_counts():
    assert set(refused()) <= set(cases())
    passed = len(cases()) - len(refused())
    assert f"{passed} of {len(cases())} pass" in PAGE.read_text()
