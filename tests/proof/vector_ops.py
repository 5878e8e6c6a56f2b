"""Hold the vector unit's operators, of odd sizes, to TFLite's reference kernels, on arrays beside forbidden pages.

    PYTHONPATH=tests python [-X dev] -m proof.vector_ops [--cases 4000] [--seed 0] [--log FILE]

Each case draws an operator, sizes around those at which its kernel goes another way, formats and values, and runs it on
arrays that lie beside a page without access (`support.guarded_memory`), contiguous or not, on one thread or two. A
process that is ended by a signal has touched one, in the case that -X dev names last. Exit status 1 where anything
differs.
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from proof.drawn import prove
from proof.wild import near_edge, pick
from simulator.errors import UnsupportedOp
from simulator.graph import ops
from simulator.graph.ops import Op
from simulator.graph.shapes import infer_shapes
from simulator.kernels.threads import thread_count
from support.guarded_memory import END, FRONT, guarded_arrays
from support.litert_ops import Spec, reference_one, simulate_one
from support.tflite_builder import SAME, VALID

DTYPES = ("int8", "uint8", "int16")
MOST_ELEMENTS = 200_000


@dataclass(frozen=True)
class VectorCase:
    """One operator, as here and as TFLite knows it."""

    op: Op
    code: str
    inputs: list[Spec]
    out: Spec
    constants: list[Any] = field(default_factory=list)
    options: Mapping[str, Any] = field(default_factory=dict)


def _size(rng: np.random.Generator, most: int) -> int:
    return int(pick(rng, 1, 2, 3, 1 + rng.integers(min(most, 9)), 1 + rng.integers(most)))


def _image(rng: np.random.Generator, most: int = 40) -> tuple[int, ...]:
    while True:
        shape = _size(rng, 3), _size(rng, most), _size(rng, most), near_edge(rng, pick(rng, 16, 70, 300))
        if np.prod(shape) <= MOST_ELEMENTS:
            return shape


def _zero(rng: np.random.Generator, dtype: str) -> int:
    info = np.iinfo(dtype)
    return 0 if dtype == "int16" else int(pick(rng, info.min, info.max, info.min + rng.integers(256)))


def _shape(rng: np.random.Generator) -> tuple[int, ...]:
    while True:
        shape = tuple(_size(rng, pick(rng, 9, 70, 700, 5000)) for _ in range(rng.integers(1, 5)))
        if np.prod(shape) <= MOST_ELEMENTS:
            return shape


def pool(rng: np.random.Generator) -> VectorCase:
    op, code = pick(rng, (ops.MaxPool2D, "MAX_POOL_2D"), (ops.AveragePool2D, "AVERAGE_POOL_2D"))
    x, dtype = _image(rng), pick(rng, *DTYPES)
    kernel = _size(rng, pick(rng, 5, 30)), _size(rng, pick(rng, 5, 30))
    stride = _size(rng, 6), _size(rng, 6)
    padding, sides = VALID, [0, 0, 0, 0]
    if rng.random() < 0.5:
        padding = SAME
        totals = [max((-(-x[i + 1] // stride[i]) - 1) * stride[i] + kernel[i] - x[i + 1], 0) for i in (0, 1)]
        sides = [side for total in totals for side in (total // 2, total - total // 2)]
    else:
        kernel = min(kernel[0], x[1]), min(kernel[1], x[2])
    node = op(kernel, stride, ops.Padding(*sides))
    zero = _zero(rng, dtype)
    options = {"filterHeight": kernel[0], "filterWidth": kernel[1], "strideH": stride[0], "strideW": stride[1]}
    out = Spec(infer_shapes(node, [x])[0], dtype, 0.05, zero)
    return VectorCase(node, code, [Spec(x, dtype, 0.05, zero)], out, options={**options, "padding": padding})


def resize(rng: np.random.Generator) -> VectorCase:
    op, code = pick(rng, (ops.ResizeBilinear, "RESIZE_BILINEAR"), (ops.ResizeNearest, "RESIZE_NEAREST_NEIGHBOR"))
    x, dtype, mode = _image(rng, 30), pick(rng, *DTYPES), pick(rng, (False, False), (True, False), (False, True))
    size = _size(rng, pick(rng, 20, 60)), _size(rng, pick(rng, 20, 60))
    options = {"alignCorners": mode[0], "halfPixelCenters": mode[1]}
    out = Spec((x[0], *size, x[3]), dtype, 0.1)
    return VectorCase(op(size, *mode), code, [Spec(x, dtype, 0.1)], out, [list(size)], options)


def concat(rng: np.random.Generator) -> VectorCase:
    shape, dtype = _shape(rng)[:4], pick(rng, *DTYPES)
    axis = int(rng.integers(len(shape)))
    sizes = [_size(rng, pick(rng, 9, 70)) for _ in range(rng.integers(1, 5))]
    shapes = [(*shape[:axis], size, *shape[axis + 1 :]) for size in sizes]
    total = (*shape[:axis], sum(sizes), *shape[axis + 1 :])
    odd = dtype == "uint8" and rng.random() < 0.7
    inputs = [Spec(s, dtype, *((pick(rng, 0.1, 0.3, 0.02), _zero(rng, dtype)) if odd else (0.1, 0))) for s in shapes]
    return VectorCase(ops.Concat(axis), "CONCATENATION", inputs, Spec(total, dtype, 0.1), options={"axis": axis})


def binary(rng: np.random.Generator) -> VectorCase:
    op, code = pick(rng, (ops.Add, "ADD"), (ops.Sub, "SUB"), (ops.Mul, "MUL"), (ops.Maximum, "MAXIMUM"))
    shape = _shape(rng)
    masks = [rng.random(len(shape)) < pick(rng, 0, 0, 0.3, 1) for _ in range(2)]
    a, b = (tuple(1 if one else n for n, one in zip(shape, mask, strict=True)) for mask in masks)
    b = b[int(rng.integers(len(b))) :] if rng.random() < 0.4 else b
    out = tuple(np.broadcast_shapes(a, b))
    dtype = pick(rng, "int8", "uint8", "int16")
    if code == "MAXIMUM":
        return VectorCase(op(), code, [Spec(a, dtype), Spec(b, dtype)], Spec(out, dtype))
    options = {"potScaleInt16": False} if dtype == "int16" and code != "MUL" else {}
    scales = (1e-3, 2e-4, 7e-4) if dtype == "int16" else (0.1, 0.3, 0.5)
    specs = [Spec(s, dtype, scale, _zero(rng, dtype)) for s, scale in zip((a, b, out), scales, strict=True)]
    return VectorCase(op(), code, specs[:2], specs[2], options=options)


def reduction(rng: np.random.Generator) -> VectorCase:
    op, code, dtypes = pick(
        rng, (ops.Mean, "MEAN", DTYPES), (ops.Sum, "SUM", ("uint8",)), (ops.ReduceMax, "REDUCE_MAX", DTYPES)
    )
    shape, dtype = _shape(rng), pick(rng, *dtypes)
    axes = sorted(rng.choice(len(shape), rng.integers(1, len(shape) + 1), replace=False).tolist())
    node = op(tuple(axes), bool(rng.random() < 0.5))
    zero = _zero(rng, dtype)
    own = code == "REDUCE_MAX"
    out = Spec(infer_shapes(node, [shape])[0], dtype, 0.1 if own else 0.13, zero if own else _zero(rng, dtype))
    return VectorCase(node, code, [Spec(shape, dtype, 0.1, zero)], out, [axes], {"keepDims": node.keep_dims})


def arg_max(rng: np.random.Generator) -> VectorCase:
    shape, dtype = _shape(rng), pick(rng, "int8", "uint8")
    axis = int(rng.integers(len(shape)))
    node = ops.ArgMax(axis)
    out = Spec(infer_shapes(node, [shape])[0], "int32", None)
    return VectorCase(node, "ARG_MAX", [Spec(shape, dtype, 0.1)], out, [[axis]], {"outputType": 2})


def softmax(rng: np.random.Generator) -> VectorCase:
    shape, dtype = (*_shape(rng)[:2], _size(rng, 500)), pick(rng, *DTYPES)  # the reference aborts on rows far longer
    scale, zero = {"int8": (1 / 256, -128), "uint8": (1 / 256, 0), "int16": (1 / 32768, 0)}[dtype]
    x = Spec(shape, dtype, 1e-3 if dtype == "int16" else 0.11, _zero(rng, dtype))
    return VectorCase(ops.Softmax(), "SOFTMAX", [x], Spec(shape, dtype, scale, zero), options={"beta": 1.0})


def unary(rng: np.random.Generator) -> VectorCase:
    slope = float(np.float32(0.3))
    op, code, options = pick(
        rng,
        (ops.Relu(), "RELU", {}),
        (ops.LeakyRelu(slope), "LEAKY_RELU", {"alpha": slope}),
        (ops.Quantize(), "QUANTIZE", {}),
    )
    shape, dtype = _shape(rng), pick(rng, *DTYPES)
    scales = pick(rng, (0.1, 0.1), (0.1, 0.023), (1.0, 0.3))
    specs = [Spec(shape, dtype, scale, _zero(rng, dtype)) for scale in scales]
    return VectorCase(op, code, specs[:1], specs[1], options=options)


FAMILIES: tuple[Callable[[np.random.Generator], VectorCase], ...] = (
    *(pool, pool, resize, resize, concat, binary, binary, reduction, arg_max, softmax, unary),
)


def _given(rng: np.random.Generator, array: np.ndarray) -> np.ndarray:
    """Return a copy of an array, contiguous or not."""
    how = rng.random()
    if how < 0.7 or not array.ndim:
        return array.copy()
    if how < 0.85:
        wider = np.repeat(array, 2, axis=-1)
        wider[..., 1::2] ^= 1
        return wider[..., ::2]
    return np.ascontiguousarray(array.T).T


def judge(seed: int, tally: Counter[str]) -> str | None:
    """Run a case; return what differs, if anything does."""
    rng = np.random.default_rng([31, seed])
    family = pick(rng, *FAMILIES)
    case = family(rng)
    arrays = [spec.random(int(rng.integers(1 << 30))) for spec in case.inputs]
    about = f"case {seed}: {case}"
    sys.stderr.write(f"{about}\n" if sys.flags.dev_mode else "")
    try:
        with thread_count(int(rng.integers(1, 3))), guarded_arrays(pick(rng, END, FRONT)) as memory:
            given = [_given(rng, array) for array in arrays]
            actual = simulate_one(case.op, case.inputs, case.out, given)
            del given
    except UnsupportedOp:
        tally["refused"] += 1
        return None
    except Exception as error:  # whatever it is, it belongs into the report, with the case
        return f"{about}: {type(error).__name__}: {error}"
    tally[family.__name__] += 1
    expected = reference_one(case.code, case.inputs, case.out, arrays, case.constants, **case.options)
    wrong = int((np.asarray(actual) != expected).sum())
    found = [*([f"{wrong} of {expected.size} differ"] if wrong else []), *memory.overwritten]
    return f"{about}: {'; '.join(found)}" if found else None


def _summary(wrong: int, seed: int, tally: Counter[str]) -> list[str]:
    return [f"{sum(tally.values())} operators from seed {seed}, {wrong} differ from the reference"]


if __name__ == "__main__":
    sys.exit(prove(__doc__ or "", 4000, judge, _summary))
