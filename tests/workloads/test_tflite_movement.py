"""Movement operators of TFLite files against the reference kernels, alone, on every format that occurs."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simulator.errors import NetworkError, UnsupportedOp
from support.tflite_builder import REFLECT, SYMMETRIC, ModelBuilder
from support.tflite_runs import assert_equals_reference, load

pytestmark = pytest.mark.oracle

QUANT = {"int8": {"scale": 0.5, "zero_point": -7}, "uint8": {"scale": 0.25, "zero_point": 200}}
FORMATS = ["int8", "uint8", "int32", "float32"]


def values(shape: tuple[int, ...], dtype: str, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    if dtype == "float32":
        return rng.standard_normal(shape).astype(np.float32)
    limits = np.iinfo(dtype)
    return rng.integers(limits.min, limits.max, shape, dtype=dtype, endpoint=True)


def check(code, shape, dtype, out_shapes, *constants, version=1, first_constants=(), **options):
    """One operator: x and constant inputs, any number of outputs."""
    model = ModelBuilder()
    quant = QUANT.get(dtype, {})
    x = model.tensor("x", shape, dtype, **quant)
    before = [model.constant(f"a{i}", c) for i, c in enumerate(first_constants)]
    after = [model.constant(f"c{i}", c) for i, c in enumerate(constants)]
    ys = [model.tensor(f"y{i}", s, dtype, **quant) for i, s in enumerate(out_shapes)]
    model.op(code, [*before, x, *after], ys, version=version, **options)
    return assert_equals_reference(model, [x], ys, {"x": values(shape, dtype)})


@pytest.mark.parametrize("dtype", FORMATS)
class TestEveryFormat:
    def test_pad_fills_with_the_zero_point(self, dtype):
        run = check("PAD", (1, 3, 2, 2), dtype, [(1, 6, 3, 2)], [[0, 0], [1, 2], [0, 1], [0, 0]])
        fill = QUANT.get(dtype, {}).get("zero_point", 0)
        assert (run["y0"][0, 0] == fill).all()

    @pytest.mark.parametrize("mode", [REFLECT, SYMMETRIC])
    def test_mirror_pad(self, dtype, mode):
        check("MIRROR_PAD", (1, 4, 3, 2), dtype, [(1, 9, 6, 3)], [[0, 0], [3, 2], [1, 2], [0, 1]], mode=mode)

    def test_reshape_squeeze_expand(self, dtype):
        check("RESHAPE", (2, 3, 4), dtype, [(4, 6)], [-1, 6])
        check("SQUEEZE", (1, 3, 1, 4), dtype, [(3, 4)])
        check("SQUEEZE", (1, 3, 1, 4), dtype, [(1, 3, 4)], squeezeDims=[-2])
        check("EXPAND_DIMS", (2, 3), dtype, [(2, 1, 3)], 1)

    def test_reshape_by_options(self, dtype):
        check("RESHAPE", (2, 3, 4), dtype, [(6, 4)], newShape=[6, -1])

    def test_slice(self, dtype):
        check("SLICE", (3, 4, 5), dtype, [(2, 4, 2)], [1, 0, 2], [2, -1, 2])

    def test_strided_slice(self, dtype):
        check("STRIDED_SLICE", (5, 6, 7), dtype, [(2, 4, 7)], [3, 1, 0], [-5, 5, 0], [-2, 1, 1], endMask=5)

    def test_strided_slice_that_drops_an_axis(self, dtype):
        shrink = {"beginMask": 1, "endMask": 1, "shrinkAxisMask": 2}
        check("STRIDED_SLICE", (5, 6, 7), dtype, [(5, 6)], [0, -1, 1], [0, 0, 7], [1, 1, 1], **shrink)

    def test_strided_slice_with_ellipsis(self, dtype):
        check("STRIDED_SLICE", (2, 3, 4, 5), dtype, [(1, 3, 4, 2)], [1, 0, 0], [2, 0, 4], [1, 1, 2], ellipsisMask=2)

    def test_split(self, dtype):
        check("SPLIT", (2, 6), dtype, [(2, 2)] * 3, first_constants=[-1], numSplits=3)
        check("SPLIT_V", (2, 6), dtype, [(2, 1), (2, 3), (2, 2)], [1, -1, 2], 1, numSplits=3)

    def test_tile(self, dtype):
        check("TILE", (2, 3, 1), dtype, [(4, 3, 3)], [2, 1, 3])

    def test_transpose(self, dtype):
        check("TRANSPOSE", (2, 3, 4, 5), dtype, [(2, 5, 3, 4)], [0, 3, 1, 2])

    def test_unpack(self, dtype):
        check("UNPACK", (2, 3, 4), dtype, [(2, 4)] * 3, axis=-2, num=3)

    def test_space_to_batch(self, dtype):
        check("SPACE_TO_BATCH_ND", (2, 3, 5, 2), dtype, [(12, 2, 2, 2)], [2, 3], [[0, 1], [1, 0]])

    def test_batch_to_space(self, dtype):
        check("BATCH_TO_SPACE_ND", (12, 2, 3, 2), dtype, [(2, 3, 7, 2)], [2, 3], [[0, 1], [2, 0]])

    def test_depth_and_space(self, dtype):
        check("SPACE_TO_DEPTH", (2, 4, 6, 3), dtype, [(2, 2, 3, 12)], blockSize=2)
        check("DEPTH_TO_SPACE", (2, 2, 3, 12), dtype, [(2, 4, 6, 3)], blockSize=2)

    def test_gather(self, dtype):
        check("GATHER", (3, 4, 5), dtype, [(3, 2, 2, 5)], [[3, 0], [1, 1]], axis=1)
        check("GATHER_ND", (3, 4, 5), dtype, [(2, 5)], [[2, 3], [0, 1]])

    def test_gather_in_batches(self, dtype):
        check("GATHER", (2, 4, 5), dtype, [(2, 3, 5)], [[3, 0, 1], [1, 1, 2]], axis=1, batchDims=1)

    def test_pack(self, dtype):
        model = ModelBuilder()
        quant = QUANT.get(dtype, {})
        a, b = (model.tensor(name, (2, 3), dtype, **quant) for name in "ab")
        y = model.tensor("y", (2, 2, 3), dtype, **quant)
        model.op("PACK", [a, b], [y], axis=1, valuesCount=2)
        data = {name: values((2, 3), dtype, seed) for seed, name in enumerate("ab")}
        assert_equals_reference(model, [a, b], [y], data)


def test_pad_v2_takes_its_value_as_stored():
    model = ModelBuilder()
    x = model.tensor("x", (1, 2, 2, 1), "int8", **QUANT["int8"])
    pads = model.constant("pads", [[0, 0], [1, 0], [0, 1], [0, 0]])
    fill = model.tensor("fill", (1,), "int8", **QUANT["int8"], data=[-100])
    y = model.tensor("y", (1, 3, 3, 1), "int8", **QUANT["int8"])
    model.op("PADV2", [x, pads, fill], [y])
    run = assert_equals_reference(model, [x], [y], {"x": values((1, 2, 2, 1), "int8")})
    assert run["y"][0, 0, 0, 0] == -100


def test_gather_with_indices_known_only_at_run_time():
    model = ModelBuilder()
    x = model.tensor("x", (4, 3), "int8", **QUANT["int8"])
    i = model.tensor("i", (2,), "int32")
    y = model.tensor("y", (2, 3), "int8", **QUANT["int8"])
    model.op("GATHER", [x, i], [y])
    data = {"x": values((4, 3), "int8"), "i": np.array([3, 1], np.int32)}
    assert_equals_reference(model, [x, i], [y], data)


@settings(max_examples=25, deadline=None)
@given(st.data())
def test_strided_slice_of_any_bounds(data):
    sizes = data.draw(st.lists(st.integers(1, 6), min_size=1, max_size=3))
    rows = []
    for n in sizes:
        step = data.draw(st.sampled_from([-3, -1, 1, 2]))
        rows.append((data.draw(st.integers(-n - 2, n + 2)), data.draw(st.integers(-n - 2, n + 2)), step))
    masks = {name: data.draw(st.integers(0, 7)) for name in ("beginMask", "endMask")}
    cut = tuple(
        slice(None if masks["beginMask"] >> i & 1 else b, None if masks["endMask"] >> i & 1 else e, s)
        for i, (b, e, s) in enumerate(rows)
    )
    shape = np.empty(sizes)[cut].shape
    if 0 in shape:
        return
    begin, end, step = (list(column) for column in zip(*rows, strict=True))
    check("STRIDED_SLICE", tuple(sizes), "int8", [shape], begin, end, step, **masks)


@settings(max_examples=25, deadline=None)
@given(st.data())
def test_space_to_batch_and_back_of_any_shape(data):
    block = data.draw(st.lists(st.integers(1, 3), min_size=2, max_size=2))
    sizes = data.draw(st.lists(st.integers(1, 6), min_size=2, max_size=2))
    pads = []
    for n, b in zip(sizes, block, strict=True):
        before = data.draw(st.integers(0, 3))
        pads.append([before, -(n + before) % b + b * data.draw(st.integers(0, 1))])
    moved = [(n + sum(p)) // b for n, b, p in zip(sizes, block, pads, strict=True)]
    batch = block[0] * block[1]
    model = ModelBuilder()
    x = model.tensor("x", (1, *sizes, 2), "int8", **QUANT["int8"])
    inner = model.tensor("inner", (batch, *moved, 2), "int8", **QUANT["int8"])
    y = model.tensor("y", (1, *sizes, 2), "int8", **QUANT["int8"])
    shape = model.constant("block", block)
    model.op("SPACE_TO_BATCH_ND", [x, shape, model.constant("pads", pads)], [inner])
    model.op("BATCH_TO_SPACE_ND", [inner, shape, model.constant("crops", pads)], [y])
    stored = values((1, *sizes, 2), "int8")
    run = assert_equals_reference(model, [x], [y], {"x": stored})
    assert (run["y"] == stored).all()


def test_new_axis_is_refused_by_name():
    model = ModelBuilder()
    x, y = model.tensor("x", (4,), "int8"), model.tensor("result", (1, 4), "int8")
    bounds = [model.constant(f"c{i}", v) for i, v in enumerate([[0, 0], [0, 4], [1, 1]])]
    model.op("STRIDED_SLICE", [x, *bounds], [y], newAxisMask=1)
    with pytest.raises(UnsupportedOp, match=r"result \(STRIDED_SLICE\): new_axis_mask"):
        load(model.build([x], [y]))


def test_constant_indices_outside_the_axis_are_an_error():
    model = ModelBuilder()
    x, y = model.tensor("x", (4, 3), "int8"), model.tensor("y", (1, 3), "int8")
    model.op("GATHER", [x, model.constant("i", [4])], [y])
    with pytest.raises(NetworkError, match="outside an axis of size 4"):
        load(model.build([x], [y]))
