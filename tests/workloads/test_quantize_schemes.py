"""Schemes and widths end to end: what the simulator computes is what the integer graph says, operator by operator."""

from __future__ import annotations

import fnmatch
import math
from fractions import Fraction

import numpy as np
import pytest

import bittrue
from simulator.errors import InputError, NetworkError, UnsupportedOp
from simulator.graph import ops
from simulator.lowering.array import ArrayConstants
from simulator.lowering.lower import lower
from simulator.lowering.shifts import ShiftAddConstants, ShiftMulConstants
from simulator.numerics.formats import INT8, INT16, INT32, IntFormat
from simulator.numerics.modes import RequantizerKind
from support import float_twin
from support.accelerators import device
from support.array_layers import machine
from support.small_nets import Author, exact_network, small_network
from workloads.images import prepare_image
from workloads.quantization.paper import on_grid
from workloads.quantization.scales import ceil_log2, nearest_log2

PIXELS = np.random.default_rng(11).integers(0, 256, (6, 7, 3), np.uint8)
CONVOLUTIONS = ops.Conv2D | ops.TransposeConv2D
ALL = {"*": {"weight_bits": 4, "activation_bits": 6}}
MIXED = {
    "image": {"activation_bits": 10},
    "stem": {"weight_bits": 16, "activation_bits": 16},
    "b1": {"weight_bits": 2, "activation_bits": 5},
    "b2": {"activation_bits": 12},
    "s*": {"weight_bits": 7},
    "side": {"activation_bits": 4, "weight_bits": 3},
}


def wide(requantizer):
    """Operands of 16 bits and registers that hold every sum."""
    return machine(8, (60, "wrap"), (60, "wrap"), requantizer)


def real(tensor, values):
    """Real numbers of a tensor; exact in float64 where scales are powers of two."""
    stored = values[tensor.name] if tensor.data is None else tensor.data
    scales = np.asarray(tensor.quant.scale).reshape(-1, *[1] * (np.ndim(stored) - 1))
    return (stored.astype(np.float64) - tensor.zero_point) * scales if len(tensor.quant.scale) == 1 else stored * scales


def twin(graph, node, values):
    """The node's output before it is rounded, from stored operands."""
    arrays = [real(graph.tensors[name], values) if name else None for name in node.inputs]
    if isinstance(node.op, ops.Quantize):
        return arrays[0]
    return float_twin.evaluate(node.op, arrays, graph.tensors[node.outputs[0]].shape)


def check_formats(graph, weight_bits, activation_bits):
    for node in graph.nodes:
        y = graph.tensors[node.outputs[0]]
        if isinstance(node.op, CONVOLUTIONS):
            weights = graph.tensors[node.inputs[1]]
            assert weights.format == IntFormat(weight_bits.get(node.name, 8))
            assert np.abs(weights.data.astype(int)).max() <= weights.format.max
        if node.name in activation_bits:
            assert y.format == IntFormat(activation_bits[node.name])


@pytest.mark.parametrize("scheme", ["power_of_two", "paper"])
@pytest.mark.parametrize("bits", [{}, ALL, MIXED])
def test_shift_schemes_are_exact_on_a_device_that_shifts(scheme, bits):
    net = exact_network()
    quantized = net.quantize(PIXELS, scheme=scheme, bits=bits)
    graph = quantized.graph
    assert all(math.frexp(s)[0] == 0.5 for t in graph.tensors.values() for s in (t.quant.scale if t.quant else ()))
    values = prepare_image(quantized, PIXELS)
    run = bittrue.simulate(quantized, wide("power_of_two"), values, keep_tensors=True)
    assert run.record.total_cycles > 0
    for node in graph.nodes:
        (name,) = node.outputs
        y = graph.tensors[name]
        exact = twin(graph, node, values) / y.scale
        values[name] = np.clip(np.floor(exact + 0.5) + y.zero_point, y.format.min, y.format.max)
        np.testing.assert_array_equal(run.tensors[name] if name in run.tensors else run.outputs[name], values[name])
        assert y.zero_point == 0


@pytest.mark.parametrize("scheme", ["affine", "symmetric"])
@pytest.mark.parametrize("bits", [{}, ALL, MIXED])
def test_other_schemes_round_as_the_device_does(scheme, bits):
    quantized = exact_network().quantize(PIXELS, scheme=scheme, bits=bits)
    graph = quantized.graph
    run = bittrue.simulate(quantized, wide("fixed_point_single"), prepare_image(quantized, PIXELS), keep_tensors=True)
    values = {**prepare_image(quantized, PIXELS), **run.tensors, **run.outputs}
    for node in graph.nodes:
        (name,) = node.outputs
        y = graph.tensors[name]
        exact = twin(graph, node, values) / y.scale + y.zero_point
        clipped = np.clip(exact, y.format.min, y.format.max)
        # One rounding on the array; the reference kernels of the vector unit round a few times in finer steps.
        assert np.abs(values[name] - clipped).max() <= (0.5 + 1e-4 if isinstance(node.op, CONVOLUTIONS) else 1.01)
        assert scheme == "affine" or y.zero_point == 0


def test_widths_are_those_asked_for():
    graph = exact_network().quantize(PIXELS, bits=MIXED).graph
    check_formats(
        graph,
        {"stem": 7, "b1": 2, "side": 3, "score": 7},
        {"stem": 16, "pool": 16, "b1": 5, "b2": 12, "side": 4, "sum": 8, "up": 8},
    )
    assert graph.tensors["image"].format == IntFormat(10)
    rescales = [node for node in graph.nodes if isinstance(node.op, ops.Quantize)]
    read = {node.inputs[0]: graph.tensors[node.outputs[0]].format for node in rescales}
    assert {str(format) for format in read.values()} == {"int8"}
    assert len(read) == 3  # b2 and the pool into the sum, side into the concatenation
    assert not [n for n in exact_network().quantize(PIXELS).graph.nodes if isinstance(n.op, ops.Quantize)]


def test_the_last_matching_pattern_holds():
    bits = {"*": {"weight_bits": 4}, "b?": {"weight_bits": 6}, "b2": {"weight_bits": 3}}
    graph = small_network().quantize(PIXELS, bits=bits).graph
    found = {n.name: graph.tensors[n.inputs[1]].format.bits for n in graph.nodes if isinstance(n.op, CONVOLUTIONS)}
    expected = {name: 6 if fnmatch.fnmatch(name, "b1") else 3 if name == "b2" else 4 for name in found}
    assert found == expected


def test_narrow_weights_take_less_memory_and_traffic():
    net = exact_network()
    narrow = net.quantize(PIXELS, bits={"*": {"weight_bits": 4}})
    wide_run, narrow_run = (bittrue.simulate(n, device(), timing_only=True) for n in (net.quantize(PIXELS), narrow))
    assert narrow_run.record.dram_read_bytes < wide_run.record.dram_read_bytes
    weights = {n: t for n, t in narrow.graph.tensors.items() if t.format == IntFormat(4)}
    assert weights["up.w"].bytes == 5 * 4 * 4 * 5 // 2


# ---------------------------------------------------------------- scale rules


def exact_log2_between(scale, low, high):
    return Fraction(low) < Fraction(scale) <= Fraction(high)


@pytest.mark.parametrize("scheme", ["power_of_two", "paper"])
@pytest.mark.parametrize("rounding", ["nearest", "up"])
def test_activation_scales_follow_their_definition(scheme, rounding):
    if scheme == "power_of_two" and rounding == "nearest":
        pytest.skip("an option of the paper's scheme")
    options = {"scale_rounding": rounding} if scheme == "paper" else {}
    net = Author((1, 2, 2, 4))
    net.builder.output(net.conv(net.x, "conv", 4, 1))
    net = net.network()
    for greatest in (0.4, 0.5, 0.70, 0.72, 1.0, 1.4, 1.42, 90.0):
        x = np.linspace(-1, 1, 16, dtype=np.float32).reshape(1, 2, 2, 4) * np.float32(greatest)
        tensor = net.quantize(x, scheme=scheme, **options).graph.tensors["image"]
        steps = math.log2(float(np.abs(x).max()))
        # paper eq. 4 with Scale = R(x): A / R on the grid 2^(1 - k)
        assert tensor.scale == 2.0 ** ((round(steps) if rounding == "nearest" else math.ceil(steps)) - 7)


def test_logarithms_are_exact_at_the_edges():
    for place in (-9, 0, 5):
        below, root = math.nextafter(2.0**place, 0), math.sqrt(2) * 2.0**place
        assert (ceil_log2(below), ceil_log2(2.0**place), ceil_log2(math.nextafter(2.0**place, 99))) == (
            place,
            place,
            place + 1,
        )
        for value in (math.nextafter(root, 0), root, math.nextafter(root, 99)):
            assert nearest_log2(value) == place + (Fraction(value) ** 2 > Fraction(2) ** (2 * place + 1))


@pytest.mark.parametrize("per", ["per_channel", "per_tensor"])
@pytest.mark.parametrize("scheme", ["affine", "power_of_two"])
def test_weight_scales_follow_their_definition(scheme, per):
    net = exact_network()
    simple = {n: t.data for n, t in net.graph.tensors.items()}
    graph = net.quantize(PIXELS, scheme=scheme, weight_scales=per).graph
    for name in ("score.w", "b2.w", "up.w"):
        tensor, floats = graph.tensors[name], simple[name].astype(np.float64)
        greatest = np.abs(floats).reshape(len(floats), -1).max(axis=1)
        greatest = greatest.max(keepdims=True) if per == "per_tensor" else greatest
        assert tensor.quant.axis == (None if per == "per_tensor" else 0)
        for scale, magnitude in zip(tensor.quant.scale, greatest, strict=True):
            if scheme == "affine":
                assert scale == pytest.approx(magnitude / 127, rel=1e-6)
            else:
                assert scale / 2 < magnitude / 127 <= scale
        scales = np.asarray(tensor.quant.scale).reshape(-1, 1, 1, 1)
        assert np.abs(tensor.data * scales - floats).max() <= scales.max() / 2 * 1.0001


# ---------------------------------------------------------------- the paper's scheme


@pytest.mark.parametrize("shift", ["layer", "none"])
def test_weights_lie_on_the_papers_grid(shift):
    net = exact_network()
    graph = net.quantize(PIXELS, scheme="paper", weight_shift=shift).graph
    for name in ("stem.w", "b1.w", "b2.w", "side.w", "score.w", "up.w"):
        floats = net.graph.tensors[name].data.astype(np.float64)
        exponent = math.ceil(math.log2(np.abs(floats).max())) if shift == "layer" else 0
        tensor = graph.tensors[name]
        assert (tensor.format, tensor.quant.axis, tensor.scale) == (INT8, None, 2.0 ** (exponent - 7))
        expected = np.clip(np.floor(floats / 2.0 ** (exponent - 7) + 0.5), -127, 127)  # eq. 2
        np.testing.assert_array_equal(tensor.data, expected)
        assert shift == "none" or np.abs(tensor.data.astype(int)).max() >= 64


def test_norms_become_fixed_point_maps_beside_the_weights():
    net = exact_network()
    graph = net.quantize(PIXELS, scheme="paper").graph
    tensors = {name: tensor.data for name, tensor in net.graph.tensors.items()}
    for conv, alone in (("stem", True), ("b1", True), ("side", True), ("pool", False)):
        norm = "preact" if conv == "pool" else f"{conv}.norm"
        multiply, add = (next(n for n in graph.nodes if n.name == name) for name in (f"{norm}.scaled", norm))
        assert multiply.inputs == (conv, f"{norm}.gain")
        assert add.inputs == (f"{norm}.scaled", f"{norm}.offset")
        assert graph.tensors[conv].format == (INT16 if alone else INT8)
        assert graph.tensors[f"{norm}.scaled"].format == INT16
        gamma, beta, mean, variance = (tensors[f"{norm}.{part}"].astype(np.float64) for part in "gbmv")
        sigma = np.sqrt(variance + 1e-5)

        def grid(values, bits):  # eq. 14: 2 * UQ(x / 2, bits), or a coarser power of two
            step = 2.0 ** (max(1, math.ceil(math.log2(np.abs(values).max()))) - (bits - 1))
            return np.clip(np.floor(values / step + 0.5), -(2 ** (bits - 1)) + 1, 2 ** (bits - 1) - 1) * step

        gain = grid(gamma, 8) / grid(sigma, 16)
        offset = grid(beta, 8) - gain * grid(mean, 16)
        for name, expected in ((f"{norm}.gain", gain), (f"{norm}.offset", offset)):
            tensor = graph.tensors[name]
            assert tensor.format == INT16
            assert tensor.scale <= 2 * np.abs(expected).max() / 2**15
            assert np.abs(tensor.data * tensor.scale - expected).max() <= tensor.scale * 1.01


def test_norm_parameters_keep_to_their_range_where_it_holds_them():
    values = np.array([-2.5, -2.0, -1.99, -(2.0**-7), 0.0, 2.0**-7, 0.5, 1.3, 1.9])
    np.testing.assert_array_equal(on_grid(values[1:], 8) * 64, [-127, -127, 0, 0, 1, 32, 83, 122])
    assert on_grid(values, 8)[0] == -2.5
    assert on_grid(np.array([1e-9, 1.0]), 16, least=1)[0] == 2.0**-14


@pytest.mark.parametrize("scheme", ["power_of_two", "paper"])
@pytest.mark.parametrize("preset", ["paper_device", "max78000_like"])
def test_presets_that_shift_run_networks_quantized_so(preset, scheme):
    quantized = small_network().quantize(PIXELS, scheme=scheme)
    accelerator = bittrue.load_accelerator(preset)
    run = bittrue.simulate(quantized, accelerator, prepare_image(quantized, PIXELS))
    assert run.outputs["labels"].shape == (1, 9, 9)
    layers = lower(quantized.graph, accelerator)
    kinds = {layer.constants.requantizer.kind for layer in layers if isinstance(layer.constants, ArrayConstants)}
    assert kinds == {RequantizerKind.POWER_OF_TWO}
    sums = [layer.constants for layer in layers if isinstance(layer.node.op, ops.Add | ops.Mul)]
    assert sums
    assert all(isinstance(constants, ShiftAddConstants | ShiftMulConstants) for constants in sums)


def test_concatenations_shift_in_the_papers_scheme_and_share_a_scale_in_others():
    scales = {}
    for scheme in ("power_of_two", "paper"):
        graph = exact_network().quantize(PIXELS, scheme=scheme).graph
        (joined,) = (node for node in graph.nodes if isinstance(node.op, ops.Concat))
        scales[scheme] = {graph.tensors[name].scale for name in (*joined.inputs, *joined.outputs)}
    assert len(scales["power_of_two"]) == 1
    assert len(scales["paper"]) > 1


def test_a_device_that_multiplies_tells_what_the_papers_scheme_needs():
    quantized = exact_network().quantize(PIXELS, scheme="paper")
    with pytest.raises((UnsupportedOp, NetworkError), match=r"power_of_two|formats"):
        bittrue.prepare(quantized, device())


# ---------------------------------------------------------------- options


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"bits": {"layer9": {"weight_bits": 4}}}, "no layer matches 'layer9'"),
        ({"bits": {"stm": {"weight_bits": 4}}}, "stem"),
        ({"bits": {"pool": {"weight_bits": 4}}}, "no layer that matches 'pool' in bits has weights"),
        ({"bits": {"stem": {"weight_bits": 1}}}, "from 2 to 16, not 1"),
        ({"bits": {"stem": {"weight_bits": 17}}}, "from 2 to 16, not 17"),
        ({"bits": {"stem": {"weight_bits": 4.0}}}, "whole number"),
        ({"bits": {"stem": {"weigth_bits": 4}}}, "did you mean 'weight_bits'"),
        ({"bits": {"stem": 4}}, "is a mapping of weight_bits"),
        ({"bits": [4]}, "bits is a mapping"),
        ({"calibration": "max"}, "'minmax' or 'percentile' or 'mse' or 'kl'"),
        ({"calibration": "percentile", "percentile": 40}, "percentile is greater than 50"),
        ({"weight_scales": "per_group"}, "weight_scales is"),
        ({"activation_scales": "measured"}, "'frozen' or 'dynamic'"),
        ({"scheme": "paper", "equalize": True}, "options of the other schemes"),
        ({"scheme": "paper", "weight_scales": "per_tensor"}, "options of the other schemes"),
        ({"weight_shift": "none"}, "options of scheme 'paper'"),
        ({"scheme": "power_of_two", "scale_rounding": "up"}, "options of scheme 'paper'"),
    ],
)
def test_mistakes_are_named(options, words):
    with pytest.raises(InputError) as caught:
        small_network().quantize(PIXELS, **options)
    assert words in str(caught.value)


def test_notes_tell_what_was_done():
    net = small_network()
    options = {"calibration": "percentile", "percentile": 99.5, "equalize": True, "bias_correction": True}
    (note,) = net.quantize(PIXELS, **options, bits={"stem": {"weight_bits": 4}}).notes
    assert note == (
        "quantized to int4, int8 (scheme affine: per-filter weights, 99.5 percentile ranges, equalized, "
        "bias-corrected), calibrated on 1 image"
    )
    (note,) = net.quantize(PIXELS, scheme="paper", weight_shift="none").notes
    assert "scheme paper: no weight shift, min-max ranges" in note


def test_a_folder_is_its_images(tmp_path):
    from PIL import Image

    rng = np.random.default_rng(3)
    pixels = [rng.integers(0, 256, (6, 7, 3), np.uint8) for _ in range(3)]
    for index, image in enumerate(pixels):
        Image.fromarray(image).save(tmp_path / f"{index}.png")
    (tmp_path / "notes.txt").write_text("no image")
    net = small_network()
    from_folder, from_arrays = net.quantize(tmp_path), net.quantize(pixels)
    assert from_folder.notes == from_arrays.notes
    for name, tensor in from_arrays.graph.tensors.items():
        assert from_folder.graph.tensors[name].quant == tensor.quant
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="empty: no images"):
        net.quantize(tmp_path / "empty")


def test_every_bias_is_int32_and_fits():
    quantized = exact_network().quantize(PIXELS, scheme="power_of_two", bits={"*": {"weight_bits": 16}})
    for node in quantized.graph.nodes:
        if isinstance(node.op, CONVOLUTIONS) and len(node.inputs) > 2 and node.inputs[2]:
            bias = quantized.graph.tensors[node.inputs[2]]
            assert bias.format == INT32
            assert np.abs(bias.data.astype(np.int64)).max() < 2**30


def test_the_papers_weights_round_half_up():
    net = Author((1, 2, 2, 8))
    halves = np.array([-2.5, -1.5, -0.5, 0.5, 1.5, 2.5, 100.5, -127.5], np.float32) / 128  # in steps of 2^-7
    weights = net.builder.constant("conv.w", halves.reshape(1, 1, 1, 8))
    net.builder.output(net.builder.add(ops.Conv2D(), net.x, weights, name="conv"))
    graph = net.network().quantize(np.ones((1, 2, 2, 8), np.float32), scheme="paper").graph
    assert graph.tensors["conv.w"].scale == 2.0**-7
    assert graph.tensors["conv.w"].data.reshape(-1).tolist() == [-2, -1, 0, 1, 2, 3, 101, -127]
