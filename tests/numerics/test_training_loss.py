"""Softmax of integer training against float64: tables to half a step, probabilities to one, everywhere."""

from __future__ import annotations

import math

import numpy as np

from simulator.graph import training_ops as ops
from simulator.numerics import training_loss as loss
from support.training_runs import real, run, scale


def test_tables_are_rounded_to_nearest():
    for table, function in (
        (loss.power_table(), lambda f: 2.0**-f),
        (loss.logarithm_table(), lambda f: math.log2(1 + f)),
    ):
        assert len(table) == 1025
        assert all(abs(v - 2**30 * function(k / 1024)) <= 0.5 + 1e-6 for k, v in enumerate(table))


def test_exponential_of_every_fraction_lies_within_its_bound():
    """Linear interpolation errs by at most h^2 / 8 * ln(2)^2 = 2^-24.06 (h = 2^-10), roundings by 1 step of 2^-30."""
    t = np.arange(1 << loss.POWER_BITS)
    table = np.array(loss.power_table())
    knot, rest = t >> loss.TABLE_BITS, t & 1023
    values = table[knot] + (((table[knot + 1] - table[knot]) * rest + 512) >> loss.TABLE_BITS)
    for sample in range(0, t.size, 9973):
        assert values[sample] == loss.exponential(sample)
    error = np.abs(values / 2.0**30 - 2.0 ** (-t / 2.0**loss.POWER_BITS))
    assert error.max() <= (2.0**-20 / 8) * math.log(2) ** 2 + 2.0**-30


def test_probabilities_of_every_pair_of_eight_bit_logits_lie_within_a_step_of_the_real_ones():
    """Error in steps of 2^-18: rounding 1/2; t to 2^-21 moves p (1 - p) ln 2 * 2^-21 * 2^18 < 0.03; the table's
    2^-24 on either side < 0.02; the reciprocal's 2^-24 < 0.02; the shifted exponential's 2^-31 is less than all of
    these. With more classes each term weighs no more than the sum of probabilities, so < 0.6 stays below 1 for 256 of
    them.
    """
    distances = np.arange(255)
    logits = np.stack([np.full(255, 127), 127 - distances], axis=1).astype(np.int8)
    labels = np.zeros(255, np.uint8)
    worst = 0.0
    for s in [*(scale(1, e) for e in range(-9, 3)), *(scale(m, -19) for m in (16385, 22222, 32767))]:
        error, _, _ = run(ops.SoftmaxCrossEntropyGradient(), logits, s, labels)
        x = np.minimum(real(distances, s), 700)
        p = np.stack([1 / (1 + np.exp(-x)), 1 / (1 + np.exp(x))], axis=1)
        worst = max(worst, np.abs(error / 256 + np.array([2.0**18, 0]) - p * 2**18).max())
    assert worst < 0.6


def test_probabilities_of_many_classes_lie_within_a_step():
    rng = np.random.default_rng(0)
    for classes, e in ((3, -4), (21, -4), (256, -5), (256, -12)):
        logits = rng.integers(-127, 128, (200, classes)).astype(np.int8)
        labels = rng.integers(0, min(classes, 255), 200).astype(np.uint8)
        error, s, sums = run(ops.SoftmaxCrossEntropyGradient(), logits, scale(1, e), labels)
        x = logits * 2.0**e
        p = np.exp(x - x.max(axis=1, keepdims=True))
        p /= p.sum(axis=1, keepdims=True)
        onehot = np.eye(classes)[labels]
        assert np.abs(error / 256 - (p - onehot) * 2**18).max() < 1
        # -ln p: t to 2^-21, tables to 2^-24 (t stops at 40, -ln p at 27.7), 200 pixels rounded to 2^-17 each.
        nll = -np.log(p[np.arange(200), labels])
        assert abs(sums[0] / 2**16 - nll.sum()) < 200 * 2.0**-16
        assert sums[1:].tolist() == [200 * 256, 200]
        assert abs(real(np.array(256 * 2**18), s) * 200 - 1) <= 2.0**-15
