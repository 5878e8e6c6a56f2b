"""Integer backward of every operator of training against float64 gradients of the same operator.

Bounds are derived from the roundings that the specification makes, in steps of the result; each test says how.
"""

from __future__ import annotations

import numpy as np
import pytest

from simulator.graph import training_ops as ops
from simulator.graph.ops import Padding
from simulator.numerics.training_scale import ScaleRule
from support.training_runs import real, run, scale

RNG = np.random.default_rng(8)
SE = scale(1, -12)
STEP = 2.0**-14
GAMMA_STEP = 2.0**-6


def numeric(function, x: np.ndarray, h: float = 1e-6) -> np.ndarray:
    """Central differences of a scalar function."""
    gradient = np.empty(x.shape)
    for index in np.ndindex(x.shape):
        up, down = x.copy(), x.copy()
        up[index] += h
        down[index] -= h
        gradient[index] = (function(up) - function(down)) / (2 * h)
    return gradient


def float_norm(x, gamma, error, epsilon, is_l1):
    """Sum of error * gamma * x_hat, and its gradient to x by the formula (rows, channels)."""
    mean = x.mean(axis=0)
    deviation = (np.abs(x - mean).mean(axis=0) if is_l1 else np.sqrt(((x - mean) ** 2).mean(axis=0))) + epsilon
    hat = (x - mean) / deviation
    slope = np.sign(x - mean) - np.sign(x - mean).mean(axis=0) if is_l1 else hat
    dx = gamma / deviation * (error - error.mean(axis=0) - slope * (error * hat).mean(axis=0))
    return (error * gamma * hat).sum(), dx, hat, deviation


@pytest.mark.parametrize("is_l1", [True, False])
def test_float_formula_of_batch_norm_is_the_gradient(is_l1):
    x, error = RNG.normal(0.3, 1.7, (40, 2)), RNG.normal(size=(40, 2))
    _, dx, _, _ = float_norm(x, np.array([0.7, -1.1]), error, 0.0, is_l1)
    difference = numeric(lambda v: float_norm(v, np.array([0.7, -1.1]), error, 0.0, is_l1)[0], x)
    assert np.abs(dx - difference).max() < 1e-7


@pytest.mark.parametrize("kind", [ops.L1NormGradient, ops.L2NormGradient])
@pytest.mark.parametrize("error_bits", [8, 16])
def test_batch_norm_gradient_lies_within_its_roundings(kind, error_bits):
    """Steps of dx = K * (e - u), K = gamma / deviation shifted to whole steps, u in 2^-16 steps of e.

    K is off by 1 (two roundings): |e - u|. u is off by 1/2 (mean e) + 1/2 (product) + the errors of mean(e * x_hat),
    1 step (two roundings), times |s - mean s| <= 2 (L1) or |x_hat| + 2^-16 (L2: the slope's own rounding, |q| * 2^-16
    steps), + for L1 mean(s) to 2^-16, times mean(e * x_hat): times K * 2^-16. Last 1/2 (rounding K * u).
    """
    top = 2 ** (error_bits - 1) - 1
    e = np.clip(np.rint(RNG.normal(0, top / 6, (500, 8))), -top, top).astype(f"int{error_bits}")
    q = np.clip(np.rint(RNG.normal(0, 9000, (500, 8))), -32767, 32767).astype(np.int16)
    sq, gamma = scale(1, -13), RNG.integers(-127, 128, 8).astype(np.int8)
    deviation = RNG.integers(20, 32768, 8).astype(np.int16)
    dx, s, dgamma, sg, dbeta, sb = run(kind(None), e, SE, q, sq, gamma, deviation)
    error, hat = e.astype(np.float64), real(q, sq)
    is_l1 = kind is ops.L1NormGradient
    slope = np.sign(hat) - np.sign(hat).mean(axis=0) if is_l1 else hat
    product = (error * hat).mean(axis=0)
    taken = error.mean(axis=0) + slope * product
    gain = gamma * GAMMA_STEP / (deviation * STEP)
    unit = float(s[0]) * 2.0 ** float(s[1]) / 2.0**-12  # of dx, in steps of e
    spread = 2.0 + np.abs(product) if is_l1 else np.abs(hat) + np.abs(q.astype(np.float64)) * 2.0**-16
    bound = np.abs(error - taken) + np.abs(gain / unit) * 2.0**-16 * (1.0 + spread) + 0.5
    assert (np.abs(dx - gain * (error - taken) / unit) <= bound + 1e-6).all()
    np.testing.assert_array_equal(real(dgamma, sg), (error * 2.0**-12 * hat).sum(axis=0))
    np.testing.assert_array_equal(real(dbeta, sb), (error * 2.0**-12).sum(axis=0))


def test_whole_batch_norm_from_accumulators_to_error_follows_float64():
    """From x on: mean and deviation are off by 0.51 of their step (half, and 2^-8), so x_hat by (1 + |x_hat|) * 0.51
    steps / deviation, two roundings to 2^-16, and half a step of its own grid. dx then by the relative error of the
    deviation; by x_hat's in mean(e * x_hat), times |s - mean s| <= 2; by mean(s), where a sign may differ (x_hat
    nearer to 0 than its error; those values themselves are left out); and by half a step of its grid and a little for
    the wide one.
    """
    x = np.rint(RNG.normal(0.4, 0.9, (4096, 4)) * 2**20).astype(np.int32)
    e = np.clip(np.rint(RNG.normal(0, 20, x.shape)), -127, 127).astype(np.int8)
    gamma = np.array([45, -100, 127, 9], np.int8)
    mean, deviation, ends = run(ops.L1Statistics(), x, scale(1, -20))
    q, sq, _ = run(ops.NormalizeChannels(16, ScaleRule.MAX), x, scale(1, -20), mean, deviation, ends)
    dx, s, *_ = run(ops.L1NormGradient(16, ScaleRule.CEIL), e, SE, q, sq, gamma, deviation)
    error = real(e, SE)
    _, expected, hat, exact = float_norm(x / 2.0**20, gamma * GAMMA_STEP, error, 16 * STEP, True)
    assert (np.abs(deviation * STEP - exact) <= 0.51 * STEP).all()
    off = (1 + np.abs(hat)) * 0.51 * STEP / exact + 1.5 * 2.0**-16 + 0.5 * real(np.array(1), sq)
    assert (np.abs(real(q, sq) - hat) <= off).all()
    clear = np.abs(hat) > off
    assert clear.mean() > 0.99
    gain = np.abs(gamma) * GAMMA_STEP / exact
    from_hat = gain * 2 * (np.abs(error) * off).mean(axis=0)
    from_signs = gain * 2 * (~clear).mean(axis=0) * np.abs((error * hat).mean(axis=0))
    bound = np.abs(expected) * 0.52 * STEP / exact + from_hat + from_signs + 0.51 * real(np.array(1), s)
    assert (np.abs(real(dx, s) - expected) <= bound)[clear].all()


def test_max_pool_gradient_is_exact():
    x = RNG.permutation(7 * 6 * 2).reshape(1, 7, 6, 2).astype(np.int16)
    pool = ops.MaxPoolIndexed((3, 3), (2, 2), Padding(1, 1, 1, 1))
    y, index = run(pool, x)
    error = RNG.integers(-127, 128, y.shape).astype(np.int8)
    (dx,) = run(ops.MaxPoolGradient((3, 3), (2, 2), (7, 6), pool.padding), error, index)

    def loss(v):
        padded = np.pad(v, ((0, 0), (1, 1), (1, 1), (0, 0)), constant_values=-1e9)
        windows = np.lib.stride_tricks.sliding_window_view(padded, (3, 3), (1, 2))[:, ::2, ::2]
        return (windows.max(axis=(-1, -2)) * error).sum()

    np.testing.assert_allclose(dx, numeric(loss, x.astype(np.float64), 0.25), atol=1e-6)


def _bilinear(v, size):
    """Half-pixel bilinear interpolation in float64."""
    for axis, target in ((1, size[0]), (2, size[1])):
        n = v.shape[axis]
        position = np.maximum((np.arange(target) + 0.5) * n / target - 0.5, 0)
        low = np.minimum(position.astype(int), n - 1)
        part = (position - low).reshape([-1 if i == axis else 1 for i in range(4)])
        part = np.where((low == n - 1).reshape(part.shape), 0, part)
        v = np.take(v, low, axis) * (1 - part) + np.take(v, np.minimum(low + 1, n - 1), axis) * part
    return v


@pytest.mark.parametrize(("small", "large"), [((3, 4), (12, 32)), ((3, 5), (10, 7))])
def test_bilinear_gradient_is_exact_for_powers_of_two_and_within_its_weights_else(small, large):
    """A weight is off by at most 2^-9: of an output's two per axis, by (2 * 2^-9 + 2^-18) of the error's magnitudes."""
    error = RNG.integers(-127, 128, (2, *large, 3)).astype(np.int8)
    dx, s = run(ops.BilinearGradient(small, half_pixel_centers=True), error, SE)
    x = np.zeros((2, *small, 3))
    expected = numeric(lambda v: (_bilinear(v, large) * real(error, SE)).sum(), x, 0.5)
    if large == (12, 32):
        np.testing.assert_allclose(real(dx, s), expected, atol=1e-12)
        return
    touched = np.prod([-(-2 * b // a) + 2 for a, b in zip(small, large, strict=True)])
    assert np.abs(real(dx, s) - expected).max() <= touched * 127 * 2.0**-12 * (2 * 2.0**-9 + 2.0**-18)
    values = RNG.integers(-127, 128, x.shape).astype(np.int8)
    forward, _ = run(ops.BilinearForward(large, half_pixel_centers=True), values, SE)
    assert (forward.astype(np.int64) * error).sum() == (dx.astype(np.int64) * values).sum()  # its exact transpose


@pytest.mark.parametrize("size", [(4, 8), (3, 5)])
def test_mean_gradient_is_within_the_mantissa_of_one_over_n(size):
    error = RNG.integers(-127, 128, (2, 1, 1, 3)).astype(np.int8)
    dx, s = run(ops.MeanGradient(size), error, SE)
    expected = numeric(
        lambda v: (v.mean(axis=(1, 2), keepdims=True) * real(error, SE)).sum(), np.zeros((2, *size, 3)), 1.0
    )
    limit = 0 if size == (4, 8) else 2.0**-15
    assert (np.abs(real(dx, s) - expected) <= np.abs(expected) * limit + 1e-15).all()
    x = RNG.integers(-99, 99, (2, *size, 3)).astype(np.int8)
    mean = real(x, SE).mean(axis=(1, 2), keepdims=True)
    assert (np.abs(real(*run(ops.MeanForward(), x, SE)) - mean) <= np.abs(mean) * limit + 1e-15).all()
    (spread,) = run(ops.BroadcastSpatial(size), error)
    (back,) = run(ops.SumSpatial(), spread)
    np.testing.assert_array_equal(back, error.astype(np.int32) * size[0] * size[1])


@pytest.mark.parametrize("weighted", [False, True])
def test_cross_entropy_gradient_is_within_a_step_of_its_probabilities(weighted):
    """p is off by less than one step of 2^-18, the scale of 1 / sum of weights by 2^-14, relative (two roundings)."""
    logits = RNG.integers(-127, 128, (2, 3, 3, 5)).astype(np.int8)
    labels = RNG.integers(0, 5, (2, 3, 3)).astype(np.uint8)
    labels[0, 0, 0] = 255
    weights = (256, 300, 17, 4095, 1000) if weighted else ()
    error, s, _ = run(ops.SoftmaxCrossEntropyGradient(class_weights=weights), logits, scale(1, -5), labels)
    factors = np.array(weights or (256,) * 5) / 256
    valid = labels != 255
    w = np.where(valid, factors[np.where(valid, labels, 0)], 0)

    def loss(x):
        log = x - x.max(axis=-1, keepdims=True)
        log = log - np.log(np.exp(log).sum(axis=-1, keepdims=True))
        chosen = np.take_along_axis(log, np.where(valid, labels, 0)[..., None].astype(int), -1)[..., 0]
        return -(chosen * w).sum() / w.sum()

    expected = numeric(loss, logits / 32.0, 1e-5)
    bound = w[..., None] / w.sum() * 2.0**-18 + np.abs(expected) * 2.0**-14 + 1e-9
    assert (np.abs(real(error, s) - expected) <= bound).all()


def test_squared_error_gradient_is_within_half_a_step():
    """1 in steps of the error is rounded once; the scale of 1 / pixels by 2^-14, relative."""
    logits = RNG.integers(-127, 128, (2, 3, 5)).astype(np.int8)
    labels = RNG.integers(0, 5, (2, 3)).astype(np.uint8)
    s = scale(24001, -21)
    error, se, sums = run(ops.SquaredErrorGradient(), logits, s, labels)
    onehot = np.eye(5)[labels]
    expected = numeric(lambda x: ((x - onehot) ** 2).sum() / 2 / 6, real(logits, s), 1e-3)
    bound = 0.5 * real(np.array(1), se) + np.abs(expected) * 2.0**-14 + 1e-9
    assert (np.abs(real(error, se) - expected) <= bound).all()
    exact = ((real(logits, s) - onehot) ** 2).sum() / 2
    assert abs(sums[0] / 2**16 - exact) <= exact * 2.0**-9  # 18 bits of an error are squared


def test_updates_are_within_half_a_step_of_the_real_ones():
    master = RNG.integers(-(2**22), 2**22, 200).astype(np.int32)
    n = RNG.integers(-127, 128, 200).astype(np.int8)
    for s in (scale(1, -14), scale(30011, -31)):
        for rate in (-7, -3, 0):
            (new,) = run(ops.Update(), master, n, s, np.array([rate]))
            step = real(n, s) * 2.0**rate * 2.0**23
            assert (np.abs(master - new - step) <= 0.5).all()
            (decayed,) = run(ops.Update(decay_shift=10), master, n, s, np.array([rate]))
            assert (np.abs(master - decayed - step - master * 2.0 ** (rate - 10)) <= 1.0).all()
    # A dropped magnitude is a shift: lr * n * 2^-14 is n << (9 + rate) in steps of 2^-23 (the paper's code).
    (new,) = run(ops.Update(), master, n, scale(1, -14), np.array([-5]))
    np.testing.assert_array_equal(new, master - (n.astype(np.int32) << 4))


def test_masks_biases_and_dropout():
    x = RNG.integers(-127, 128, (2, 50, 60, 4)).astype(np.int8)
    error = RNG.integers(-127, 128, x.shape).astype(np.int8)
    (masked,) = run(ops.ReluGradient(), error, x)
    np.testing.assert_array_equal(masked, error * (x > 0))
    (total,) = run(ops.ChannelSum(), error)
    np.testing.assert_array_equal(total, error.sum(axis=(0, 1, 2), dtype=np.int64))
    y, s, mask = run(ops.Dropout(2), x, SE)
    np.testing.assert_array_equal(real(y, s), real(x, SE) * mask * 4)
    # Binomial: 24000 draws of probability 1/4 lie within 6 standard deviations of 6000.
    assert abs(int(mask.sum()) - 6000) < 6 * np.sqrt(24000 * 3 / 16)
