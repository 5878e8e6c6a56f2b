"""Calibration: histograms of streams, and each method against its definition written out in plain NumPy."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simulator.errors import NetworkError
from simulator.graph import ops
from simulator.numerics.formats import INT8, IntFormat
from support import float_twin
from support.small_nets import Author, small_network
from workloads.load import load_network
from workloads.network import Network
from workloads.quantization.calibrate import Observation, Observer, calibrate
from workloads.quantization.equalize import equalize
from workloads.quantization.histogram import BINS, Histogram
from workloads.quantization.options import QuantizeOptions
from workloads.quantization.ranges import (
    choose_range,
    divergence_threshold,
    least_error_range,
    percentile_range,
    square_error,
)
from workloads.quantization.scales import activation_rule, affine_params, power_of_two_params, symmetric_params
from workloads.quantization.simplify import simplify

PIXELS = np.random.default_rng(11).integers(0, 256, (6, 7, 3), np.uint8)


def heavy(size=20000, seed=1, scale=1.0):
    """A peak with long tails, as activations have."""
    return (np.random.default_rng(seed).standard_t(3, size) * scale).astype(np.float32)


def histogram_of(*blocks):
    histogram = Histogram()
    for block in blocks:
        histogram.add(block, float(np.abs(block).max()))
    return histogram


# ---------------------------------------------------------------- histograms


@settings(deadline=None, max_examples=40)
@given(st.lists(st.tuples(st.integers(-20, 20), st.integers(1, 300)), min_size=1, max_size=6), st.integers(0, 99))
def test_a_stream_is_counted_as_if_its_range_had_been_known(blocks, seed):
    rng = np.random.default_rng(seed)
    arrays = [(rng.normal(size=count) * 2.0**place).astype(np.float32) for place, count in blocks]
    histogram = histogram_of(*arrays)
    values = np.concatenate(arrays).astype(np.float64)
    edges = np.arange(-BINS, BINS + 1) * histogram.width
    expected = np.diff(np.searchsorted(np.sort(values), edges, "left"))
    np.testing.assert_array_equal(histogram.counts, expected)
    assert BINS / 2 <= np.abs(values).max() / histogram.width <= BINS
    assert histogram.magnitudes().sum() == len(values)


def test_zeros_before_anything_else():
    histogram = histogram_of(np.zeros(5, np.float32), np.array([3.0, -3.0], np.float32))
    assert histogram.counts[BINS] == 5
    assert histogram.counts.sum() == 7
    assert histogram.width == 4.0 / BINS


# ---------------------------------------------------------------- methods


@pytest.mark.parametrize("percentile", [99.0, 99.9, 99.99, 100.0])
def test_percentiles(percentile):
    values = heavy(200000)
    low, high = percentile_range(histogram_of(*np.array_split(values, 7)), percentile, (values.min(), values.max()))
    width = histogram_of(values).width
    ordered = np.sort(values)
    tail = round(len(values) * (1 - percentile / 100))  # so many values lie outside: within a bin of the next two
    assert ordered[max(tail - 1, 0)] - width <= low <= ordered[tail] + width
    assert ordered[-tail - 1] - width <= high <= ordered[-max(tail, 1)] + width


def brute_error(values, params, format):
    scale, zero = params.scale[0], params.zero_point[0]
    stored = np.clip(np.rint(values / scale) + zero, format.min, format.max)
    return float(np.mean((scale * (stored - zero) - values) ** 2))


@pytest.mark.parametrize("rule", [affine_params, symmetric_params, power_of_two_params])
@pytest.mark.parametrize("bits", [3, 8])
@pytest.mark.parametrize("one_sided", [False, True])
def test_least_mean_square_error(rule, bits, one_sided):
    format = IntFormat(bits)
    values = np.maximum(heavy(), 0) if one_sided else heavy()
    extremes = float(values.min()), float(values.max())
    chosen = least_error_range(histogram_of(values), extremes, format, rule)
    tried = [rule(extremes[0] * s / 100, extremes[1] * s / 100, format) for s in range(1, 101)]
    best = min(brute_error(values.astype(np.float64), params, format) for params in tried)
    assert brute_error(values.astype(np.float64), rule(*chosen, format), format) <= best * 1.01
    assert bits == 8 or brute_error(values.astype(np.float64), rule(*extremes, format), format) > best * 1.01


@pytest.mark.parametrize("bits", [4, 8, 12, 16])
def test_square_error_is_that_of_the_values(bits):
    values, format = heavy(200000), IntFormat(bits)
    for part in (0.2, 1.0):
        params = symmetric_params(0, float(np.abs(values).max()) * part, format)
        expected = brute_error(values.astype(np.float64), params, format)
        assert square_error(histogram_of(values), params, format) == pytest.approx(expected, rel=0.02)


def brute_divergence_threshold(counts, width, levels):
    """Migacz's procedure, bin by bin."""
    best, least = len(counts), math.inf
    for kept in range(levels, len(counts) + 1, levels // 8):
        reference = [float(c) for c in counts[:kept]]
        reference[-1] += float(sum(counts[kept:]))
        quantized = [0.0] * kept
        for level in range(levels):
            inside = range(level * kept // levels, (level + 1) * kept // levels)
            live = [i for i in inside if reference[i] > 0]
            for i in live:
                quantized[i] = float(sum(counts[i] for i in inside)) / len(live)
        p_total, q_total = sum(reference), sum(quantized)
        divergence = 0.0
        for p, q in zip(reference, quantized, strict=True):
            if p > 0:
                divergence += math.inf if q == 0 else p / p_total * math.log((p / p_total) / (q / q_total))
        if divergence < least:
            best, least = kept, divergence
    return best * width


@pytest.mark.parametrize("levels", [16, 128])
def test_least_divergence(levels):
    values = heavy(50000)
    histogram = histogram_of(values)
    width = histogram.width * 4
    counts = np.histogram(np.abs(values), 2048, (0, 2048 * width))[0]
    counts = counts[: np.flatnonzero(counts)[-1] + 1].tolist()
    threshold = divergence_threshold(histogram, levels)
    assert threshold == brute_divergence_threshold(counts, width, levels)
    assert threshold < np.abs(values).max()


def test_more_levels_than_bins_keep_the_whole_range():
    values = heavy(1000)
    assert divergence_threshold(histogram_of(values), 1 << 15) >= np.abs(values).max()


def seen(values):
    return Observation(float(values.min()), float(values.max()), histogram_of(values))


def test_each_method_is_the_one_asked_for():
    values = heavy()
    found = {
        method: choose_range(seen(values), INT8, QuantizeOptions(calibration=method, percentile=99.0))
        for method in ("minmax", "percentile", "mse", "kl")
    }
    assert found["minmax"] == (values.min(), values.max())
    assert len(set(found.values())) == 4
    assert all(low >= values.min() and high <= values.max() for low, high in found.values())
    other = QuantizeOptions(calibration="percentile", percentile=99.9)
    assert choose_range(seen(values), INT8, other) != found["percentile"]


def test_the_divergence_of_one_sided_values_takes_all_levels_of_an_affine_format():
    values = np.maximum(heavy(), 0)
    histogram = histogram_of(values)
    affine = choose_range(seen(values), INT8, QuantizeOptions(calibration="kl"))
    symmetric = choose_range(seen(values), INT8, QuantizeOptions("symmetric", calibration="kl"))
    assert affine == (0.0, min(divergence_threshold(histogram, 256), values.max()))
    assert symmetric == (0.0, min(divergence_threshold(histogram, 128), values.max()))


@pytest.mark.parametrize("method", ["percentile", "mse", "kl"])
@pytest.mark.parametrize("scheme", ["affine", "power_of_two", "paper"])
def test_a_network_takes_the_ranges_of_the_method(method, scheme):
    net = Author((1, 30, 30, 4))
    net.builder.output(net.conv(net.x, "conv", 4, 1))
    net = net.network()
    images = [heavy(3600, seed).reshape(1, 30, 30, 4) for seed in range(3)]
    options = QuantizeOptions(scheme, calibration=method, percentile=99.0)
    four = {"bits": {"image": {"activation_bits": 4}}}
    graph = net.quantize(images, scheme=scheme, calibration=method, percentile=99.0, **four).graph
    low, high = choose_range(seen(np.concatenate(images)), IntFormat(4), options)
    assert graph.tensors["image"].quant == activation_rule(options)(low, high, IntFormat(4))
    assert graph.tensors["image"].scale < net.quantize(images, scheme=scheme, **four).graph.tensors["image"].scale


def test_memory_does_not_grow_with_the_images():
    observer = Observer(histograms=True, means_of=frozenset({"image"}))
    graph = small_network().graph
    inputs = ({"image": heavy(126, seed).reshape(1, 6, 7, 3)} for seed in range(5))  # a stream: read once
    calibrate(graph, inputs, observer, images=5)
    together = np.concatenate([heavy(126, seed) for seed in range(5)])
    image = observer.seen["image"]
    assert image.histogram.counts.sum() == together.size
    np.testing.assert_allclose(image.channel_means, together.reshape(-1, 3).mean(axis=0), rtol=1e-5)
    assert (image.low, image.high) == (together.min(), together.max())


def test_what_is_not_finite_is_refused_with_histograms_too():
    with pytest.raises(NetworkError, match="image"):
        small_network().quantize(np.full((1, 6, 7, 3), np.inf, np.float32), calibration="mse")


def test_a_constant_tensor_keeps_its_range():
    values = np.full(10, 2.5, np.float32)
    for method in ("percentile", "mse", "kl"):
        assert choose_range(seen(values), INT8, QuantizeOptions(calibration=method)) == (2.5, 2.5)


# ---------------------------------------------------------------- equalization


POOL = ops.MaxPool2D((2, 2), (2, 2))


def chain(depthwise=False, between=POOL, activation=ops.Relu):
    net = Author((1, 8, 8, 3))
    first = net.conv(net.x, "first", 6, bias=True)
    rectified = net.add(activation(), first)
    pooled = net.add(between, rectified, name="pool")
    second = net.conv(pooled, "second", 6, groups=6 if depthwise else 1, bias=True)
    net.builder.output(net.conv(net.add(ops.Relu(), second), "third", 4, 1))
    graph = net.builder.build()
    rng = np.random.default_rng(2)
    graph.tensors["first.w"].data[:] *= 10.0 ** rng.uniform(-1, 1, (6, 1, 1, 1))
    return graph


def channel_ranges(graph, first, second, depthwise=False):
    before, after = graph.tensors[first].data, graph.tensors[second].data
    inner = after.reshape(6, -1) if depthwise else np.moveaxis(after, 3, 0).reshape(6, -1)
    return np.abs(before).reshape(6, -1).max(axis=1), np.abs(inner).max(axis=1)


@pytest.mark.parametrize("depthwise", [False, True])
def test_equalized_is_the_same_function_with_equal_ranges(depthwise):
    simple = simplify(chain(depthwise))
    equal = equalize(simple)
    x = {"image": heavy(192).reshape(1, 8, 8, 3)}
    before, after = float_twin.run(simple, x), float_twin.run(equal, x)
    for name in simple.outputs:
        np.testing.assert_allclose(after[name], before[name], rtol=1e-3, atol=1e-3)
    out, inner = channel_ranges(equal, "first.w", "second.w", depthwise)
    np.testing.assert_allclose(out, inner, rtol=0.01)  # eq. 11 makes r1 = r2 = sqrt(r1 * r2)
    was_out, was_inner = channel_ranges(simple, "first.w", "second.w", depthwise)
    assert (np.abs(np.log(was_out / was_inner)) > 1).any()


@pytest.mark.parametrize(
    "graph", [chain(activation=ops.Relu6), chain(between=ops.LeakyRelu(0.1)), chain(between=ops.Logistic())]
)
def test_only_what_a_factor_passes_through_is_equalized(graph):
    simple = simplify(graph)
    equal = equalize(simple)
    np.testing.assert_array_equal(equal.tensors["first.w"].data, simple.tensors["first.w"].data)
    assert not np.array_equal(equal.tensors["third.w"].data, simple.tensors["third.w"].data)  # the next pair is


def test_equalizing_helps_one_scale_per_tensor():
    net = chain()
    spread = 10.0 ** np.random.default_rng(3).uniform(-2, 2, 6)  # undone by the next layer: the function stays
    net.tensors["first.w"].data[:] *= spread.reshape(-1, 1, 1, 1)
    net.tensors["first.b"].data[:] *= spread
    net.tensors["second.w"].data[:] /= spread
    network = Network(net)
    image = heavy(192).reshape(1, 8, 8, 3)
    exact = float_twin.run(simplify(net), {"image": image})[net.outputs[0]]
    errors = {}
    for on in (False, True):
        graph = network.quantize(image, weight_scales="per_tensor", equalize=on).graph
        tensors = {name: real(tensor) for name, tensor in graph.tensors.items() if tensor.data is not None}
        values = {**tensors, "image": image}
        for node in graph.nodes:  # quantized weights alone, activations float
            arrays = [values[name] if name else None for name in node.inputs]
            values[node.outputs[0]] = float_twin.evaluate(node.op, arrays, graph.tensors[node.outputs[0]].shape)
        errors[on] = np.abs(values[net.outputs[0]] - exact).mean()
    assert errors[True] < errors[False] / 5, errors


def real(tensor):
    scales = np.asarray(tensor.quant.scale).reshape(-1, *[1] * (tensor.data.ndim - 1))
    return tensor.data * scales


# ---------------------------------------------------------------- bias correction


@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("groups", [1, 2, 3])
def test_corrected_biases_keep_the_mean_of_every_channel(bias, groups):
    net = Author((1, 9, 9, 6))
    net.builder.output(net.conv(net.x, "conv", 6, 1, bias=bias, groups=groups))
    net = net.network()
    images = [np.abs(heavy(486, seed)).reshape(1, 9, 9, 6) for seed in range(3)]
    exact = np.mean([float_twin.run(net.graph, {"image": x})["conv"] for x in images], axis=(0, 1, 2, 3))
    gaps = {}
    for on in (False, True):
        graph = net.quantize(images, bias_correction=on, bits={"conv": {"weight_bits": 3}}).graph
        node = graph.nodes[0]
        weights = real(graph.tensors[node.inputs[1]])
        offset = real(graph.tensors[node.inputs[2]]) if len(node.inputs) > 2 and node.inputs[2] else None
        means = [float_twin.evaluate(node.op, [x, weights, offset], (1, 9, 9, 6)) for x in images]
        gaps[on] = np.abs(np.mean(means, axis=(0, 1, 2, 3)) - exact).max()
        step = 0 if offset is None else max(graph.tensors[node.inputs[2]].quant.scale)
    assert gaps[True] <= step / 2 + 1e-4  # half a step of the stored bias
    assert gaps[False] > 5 * gaps[True]


def test_bias_correction_of_a_transposed_convolution_takes_the_taps_of_one_phase():
    net = Author((1, 5, 5, 3))
    weights = net.constant("up.w", (2, 2, 2, 3))
    net.builder.output(net.add(ops.TransposeConv2D((2, 2), (10, 10)), net.x, weights, None, name="up"))
    net = net.network()
    image = np.abs(heavy(75)).reshape(1, 5, 5, 3)
    exact = float_twin.run(net.graph, {"image": image})["up"].mean(axis=(0, 1, 2))
    graph = net.quantize(image, bias_correction=True, bits={"up": {"weight_bits": 3}}).graph
    node = graph.nodes[0]
    arrays = [image, *(real(graph.tensors[name]) for name in node.inputs[1:])]
    found = float_twin.evaluate(node.op, arrays, (1, 10, 10, 2)).mean(axis=(0, 1, 2))
    step = np.asarray(graph.tensors[node.inputs[2]].quant.scale)
    assert (np.abs(found - exact) <= step / 2 + 1e-4).all()
    plain = net.quantize(image, bits={"up": {"weight_bits": 3}}).graph
    before = float_twin.evaluate(node.op, [image, real(plain.tensors["up.w"])], (1, 10, 10, 2)).mean(axis=(0, 1, 2))
    assert (np.abs(before - exact) > 4 * step).any()


def test_seeded_networks_measure_their_norms_for_every_scheme():
    net = load_network("unet", size=32, width=0.05, classes=3, weights="seeded")
    pixels = np.random.default_rng(0).integers(0, 256, (32, 32, 3), np.uint8)
    plain = net.quantize(pixels).graph.tensors["scores"]
    for options in ({"equalize": True}, {"scheme": "paper"}, {"calibration": "mse", "bias_correction": True}):
        quantized = net.quantize(pixels, **options)
        scores = quantized.graph.tensors["scores"]
        # Unmeasured norms, mean 0 and variance 1, would give scores of other magnitude.
        assert 0.4 < scores.scale * 255 / (plain.scale * 255) < 4.1
        assert any("statistics were measured" in note for note in quantized.notes)
