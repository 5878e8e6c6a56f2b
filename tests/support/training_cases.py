"""Every operator of integer training on random and extreme values: kernel, specification and twin must agree.

Run jitted by tests/execution/test_training_kernels.py, and as a program in a new interpreter with NUMBA_DISABLE_JIT or
NUMBA_BOUNDSCHECK set: `python -m support.training_cases`.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from simulator.graph import training_ops as ops
from simulator.graph.ops import Padding
from simulator.graph.training_ops import RandomSource, ScaleRule
from simulator.numerics.modes import RoundingMode
from support.training_runs import run, scale
from support.training_spec import specification
from support.training_twin_loss import twin

Case = tuple[ops.TrainingOp, list[NDArray[Any]], str | None]
ONE = scale(1, -7)
ODD = scale(20011, -31)
STOCHASTIC = RoundingMode.STOCHASTIC


def _values(rng: np.random.Generator, shape: tuple[int, ...], dtype: str, bits: int) -> NDArray[Any]:
    """Heavy-tailed values of at most `bits` bits, the ends among them."""
    top = 2 ** (bits - 1) - 1
    x = (rng.integers(-top, top + 1, shape) >> rng.integers(0, bits, shape)).astype(dtype)
    x.reshape(-1)[:2] = (-top, top)[: x.size]
    return x


def quantizers() -> Iterator[Case]:
    rng = np.random.default_rng(1)
    tensors = [_values(rng, (3, 5, 7), "int32", b) for b in (3, 8, 17, 32)]
    tensors += [_values(rng, (3, 5, 7), "int64", b) for b in (40, 62)]
    tensors += [np.zeros((2, 3), np.int32), np.full((2, 3), -(2**31), np.int32), np.array([[1, -1]], np.int32)]
    for x in tensors:
        for rule in ScaleRule:
            for bits in (2, 8, 16) if x.itemsize == 4 else (3, 8):  # few pairs of formats: each is compiled
                yield ops.ScaleQuantize(bits, rule), [x, ODD], None
                yield ops.ScaleQuantize(bits, rule, STOCHASTIC), [x, ONE], None
            if rule is not ScaleRule.MAX:
                yield ops.ScaleQuantize(8, rule, STOCHASTIC, RandomSource.FRACTION, keep_scale=False), [x, ONE], None
                yield ops.FlagQuantize(8, rule), [x, ODD], None
        yield ops.ScaleQuantize(8, ScaleRule.MAX, relu=True), [x, ONE], None
        for exponent in (-40, -14, 3) if x.itemsize == 4 or x.size > 6 else ():
            for s in (ONE, ODD, scale(32767, 40)):
                yield ops.FixedQuantize(16, exponent), [x, s], None
    yield ops.CombineScales(), [ODD, ODD, scale(16385, 3)], None
    yield ops.CombineScales(), [scale(32767, 0), scale(32767, 0)], None


def sums() -> Iterator[Case]:
    rng = np.random.default_rng(2)
    shape = (2, 3, 4, 5)
    a, b, c = (_values(rng, shape, *kind) for kind in (("int32", 32), ("int8", 8), ("int64", 60)))
    extreme = np.full(shape, -(2**31), np.int32), np.full(shape, 2**31 - 1, np.int32)
    yield ops.AlignedAdd(), [a, ODD, b, ONE], None
    yield ops.AlignedAdd(), [a, scale(3, -9), b, scale(1, 2), b, ODD], None
    yield ops.AlignedAdd(), [c, scale(1, -30), a, ODD], "int64"
    for x in extreme:
        yield ops.AlignedAdd(), [x, ONE, x, ONE], None
        yield ops.AlignedAdd(), [x, scale(32767, 0), x, scale(32767, 0), x, ONE], None
        yield ops.BiasChannels(-6), [x, ONE, np.array([-128, 127, 0, 1, -1], np.int8)], None
    yield ops.AlignedConcat(3), [a, ODD, b, ONE, c, scale(1, -60)], None
    for exponent in (-6, -40, 40):
        yield ops.BiasChannels(exponent), [a, ODD, np.array([-30000, 127, 0, 1, -1], np.int16)], None
    yield ops.ReluGradient(), [a, b], None
    yield ops.ChannelSum(), [a], None
    yield ops.ChannelSum(), [b], None
    yield ops.ChannelExtremes(), [a], None
    average = np.array([2**31 - 1, -(2**31), 0, 12345, -5], np.int32)
    for shift, guard in ((1, 0), (4, 12), (31, 16)):
        value = np.array([-(2**15), 2**15 - 1, 1, -77, 0], np.int16)
        yield ops.RunningAverage(shift, guard), [average, value], None


def norms() -> Iterator[Case]:
    rng = np.random.default_rng(3)
    shape = (2, 3, 5, 4)
    inputs = [(_values(rng, shape, "int32", b), s) for b in (4, 20, 32) for s in (scale(1, -20), ODD, scale(9, 4))]
    inputs += [(_values(rng, shape, "int64", 50), scale(17001, -60)), (np.full(shape, 7, np.int32), ONE)]
    gamma, beta = np.array([-128, 127, 45, 0], np.int8), np.array([-9, 127, -128, 3], np.int8)
    for x, s in inputs:
        for kind in (ops.L1Statistics, ops.L2Statistics):
            op = kind(16, -14, 16)
            yield op, [x, s], None
            mean, deviation, ends = run(op, x, s)
            for rule in ScaleRule:
                yield ops.NormalizeChannels(16, rule), [x, s, mean, deviation, ends], None
            q, sq, bounds = run(ops.NormalizeChannels(12), x, s, mean, deviation, ends)
            yield ops.AffineChannels(), [q, sq, gamma, beta], None
            yield ops.AffineQuantize(8, ScaleRule.MAX), [q, sq, gamma, beta, bounds], None
            yield ops.AffineQuantize(8, relu=False, beta_exponent=-30), [q, sq, gamma, beta, bounds], None
    deviation = np.array([1, 32767, 16, 3000], np.int16)
    for e_kind in (("int8", 8), ("int16", 16)):
        e, q = _values(rng, shape, *e_kind), _values(rng, shape, "int16", 16)
        for sq in (scale(1, -11), scale(30000, -26), scale(1, 20)):
            for bits, rule in ((16, ScaleRule.ROUND), (8, ScaleRule.MAX), (None, ScaleRule.ROUND)):
                for kind in (ops.L1NormGradient, ops.L2NormGradient):
                    yield kind(bits, rule), [e, ODD, q, sq, gamma, deviation], None


def windows() -> Iterator[Case]:
    rng = np.random.default_rng(4)
    for kernel, stride, padding in (
        ((3, 3), (2, 2), Padding(1, 1, 1, 1)),
        ((2, 2), (2, 2), Padding()),
        ((3, 2), (1, 3), Padding(2, 0, 0, 1)),
    ):
        x = rng.integers(-3, 4, (2, 7, 8, 3)).astype(np.int8)
        pool = ops.MaxPoolIndexed(kernel, stride, padding)
        yield pool, [x], None
        out, index = run(pool, x)
        error = _values(rng, out.shape, "int16", 16)
        yield ops.MaxPoolGradient(kernel, stride, (7, 8), padding), [error, index], None
    for small, large in (((3, 4), (12, 16)), ((5, 3), (7, 9)), ((6, 6), (3, 2)), ((1, 1), (4, 3))):
        for options in ({}, {"align_corners": True}, {"half_pixel_centers": True}):
            x = _values(rng, (2, *small, 3), "int16", 16)
            error = _values(rng, (2, *large, 3), "int8", 8)
            yield ops.BilinearForward(large, **options), [x, ODD], None
            yield ops.BilinearGradient(small, **options), [error, ONE], None
            yield ops.BilinearGradient(small, **options, weight_bits=5), [error.astype(np.int32), ONE], "int64"
    x, pixel = _values(rng, (2, 3, 5, 4), "int16", 16), _values(rng, (2, 1, 1, 4), "int8", 8)
    yield ops.MeanForward(), [x, ODD], None
    yield ops.SumSpatial(), [x], None
    yield ops.SumSpatial(), [x.astype(np.int32)], "int64"
    yield ops.MeanGradient((4, 8)), [pixel, ODD], None
    yield ops.BroadcastSpatial((3, 5)), [pixel], None
    for keep in (0, 1, 3):
        yield ops.Dropout(keep), [x, ONE], None


def losses() -> Iterator[Case]:
    rng = np.random.default_rng(5)
    for classes, dtype, bits in ((2, "int8", 8), (11, "int8", 8), (21, "int16", 16), (256, "int16", 9)):
        logits = _values(rng, (2, 3, 4, classes), dtype, bits)
        labels = rng.integers(0, min(classes, 250), (2, 3, 4)).astype(np.uint8)
        labels[0, 0] = 255
        for s in (scale(1, -4), scale(1, 3 - bits), scale(29999, -22), scale(1, -60), scale(32767, 70)):
            yield ops.SoftmaxCrossEntropyGradient(), [logits, s, labels], None
        weights = tuple(int(w) for w in rng.integers(0, 4096, classes))
        yield ops.SoftmaxCrossEntropyGradient(class_weights=weights), [logits, scale(1, -4), labels], None
        for s in (scale(1, -4), scale(29999, -22), scale(1, 8), scale(1, -21)):
            yield ops.SquaredErrorGradient(), [logits, s, labels], None
    everywhere = np.full((2, 3), 255, np.uint8)
    yield ops.SoftmaxCrossEntropyGradient(), [np.zeros((2, 3, 4), np.int8), ONE, everywhere], None
    yield ops.SoftmaxCrossEntropyGradient(ignore=None), [np.zeros((2, 3, 4), np.int8), ONE, everywhere * 0], None


def updates() -> Iterator[Case]:
    rng = np.random.default_rng(6)
    master, n = _values(rng, (4, 9), "int32", 24), _values(rng, (4, 9), "int8", 8)
    velocity = _values(rng, (4, 9), "int32", 32)
    for s in (scale(1, -14), scale(31111, -30), scale(1, -60), scale(1, 50)):
        for rate in (-7, 0, 5):
            lr = np.array([rate], np.int64)
            yield ops.Update(), [master, n, s, lr], None
            yield ops.Update(16, -15, 1000, 5), [master // 256, n, s, lr], None
            yield ops.MomentumUpdate(decay_shift=11), [master, velocity, n, s, lr], None
            yield (
                ops.MomentumUpdate(momentum=115, momentum_shift=7, velocity_exponent=-12),
                [master, velocity, n, s, lr],
                None,
            )


def _equal(left: Any, right: Any, what: Any) -> None:
    for number, (a, b) in enumerate(zip(left, right, strict=True)):
        np.testing.assert_array_equal(
            np.asarray(a).astype(object), np.asarray(b).astype(object), err_msg=f"output {number} of {what}"
        )


def _one_format_each(cases: Iterator[Case]) -> Iterator[Case]:
    """Leave of each operator the cases with the formats of its first: each set of formats is compiled anew."""
    formats: dict[type, object] = {}
    for op, arrays, first in cases:
        found = [a.dtype for a in arrays], getattr(op, "bits", None)
        if formats.setdefault(type(op), found) == found:
            yield op, arrays, first


def check(cases: Iterator[Case]) -> None:
    """Hold the kernels against specification and twin."""
    for op, arrays, first in cases:
        outputs = run(op, *arrays, first=first)
        what = (op, [(a.dtype, a.shape) for a in arrays])
        expected = specification(op, arrays, outputs[0])
        if expected is not None:
            _equal(outputs, expected, ("specification", *what))
        _equal(outputs, twin(op, arrays, outputs[0]), ("twin", *what))


CASES = [quantizers, sums, norms, windows, losses, updates]


def main() -> None:
    """Run all cases, and print the name of each that holds."""
    checked = os.environ.get("NUMBA_BOUNDSCHECK") == "1"  # an index depends on no format
    for case in CASES:
        check(_one_format_each(case()) if checked else case())
        sys.stdout.write(f"{case.__name__}\n")


if __name__ == "__main__":
    main()
