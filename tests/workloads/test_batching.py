"""Several images in one run: the same bits as one by one, weights fetched once, and what cannot be is refused."""

from __future__ import annotations

import numpy as np
import pytest

import bittrue
from simulator.errors import InputError, UnsupportedOp
from simulator.graph import ops
from simulator.graph.builder import GraphBuilder
from simulator.numerics.formats import INT8
from support.small_nets import small_network
from workloads.network import Network

IMAGES = 3


@pytest.fixture(scope="module")
def network():
    """Every structure of the built-in networks in miniature, in integers; [1, 6, 7, 3]."""
    return small_network().quantize(np.random.default_rng(1).normal(size=(1, 6, 7, 3)).astype(np.float32))


def pixels(seed=0, images=IMAGES):
    return np.random.default_rng(seed).integers(-128, 128, (images, 6, 7, 3), np.int8)


@pytest.mark.parametrize("device", ["edge_32x32", "edge_16x16_os"])
def test_the_bits_and_events_are_those_of_the_images_one_by_one(network, device):
    acc = bittrue.load_accelerator(device).evolve({"arithmetic.accumulator": {"bits": 14, "overflow": "wrap"}})
    x = pixels()
    together = bittrue.simulate(network.batched(IMAGES), acc, [x], values_only=True, keep_tensors=True)
    alone = [bittrue.simulate(network, acc, [x[i : i + 1]], values_only=True, keep_tensors=True) for i in range(IMAGES)]
    assert set(together.tensors) == set(alone[0].tensors)
    for name, value in together.tensors.items():
        np.testing.assert_array_equal(value, np.concatenate([run.tensors[name] for run in alone]), err_msg=name)
    events = [sum(run.record.overflow_events for run in runs) for runs in ([together], alone)]
    assert events[0] == events[1] > 0


def test_a_product_takes_more_rows(network):
    rng = np.random.default_rng(2)
    w, x = rng.integers(-128, 128, (9, 4), np.int8), rng.integers(-128, 128, (10, 9), np.int8)
    net = bittrue.networks.gemm(5, 9, 4, out="int32").with_weights(w).batched(2)
    run = bittrue.simulate(net, bittrue.load_accelerator("edge_32x32"), [x])
    (found,) = run.outputs.values()
    np.testing.assert_array_equal(found, x.astype(np.int64) @ w)


def test_weights_that_fit_are_fetched_once():
    """Weights of 36,864 + 256 bytes; each image brings its 14 x 14 x 64 bytes, and writes as many."""
    acc = bittrue.load_accelerator("edge_32x32")
    net = bittrue.networks.conv2d(14, 14, 64, 64, 3, padding=1)
    one, four = (bittrue.simulate(n, acc).record for n in (net, net.batched(4)))
    image = 14 * 14 * 64
    assert four.dram_read_bytes == one.dram_read_bytes + 3 * image
    assert (one.dram_write_bytes, four.dram_write_bytes) == (image, 4 * image)
    assert one.total_cycles < four.total_cycles < 4 * one.total_cycles
    assert four.total_macs == 4 * one.total_macs == net.batched(4).macs
    assert four.parameters == one.parameters
    assert any(note.startswith("4 images in one run") for note in four.notes)
    assert four.images == 4
    assert four.frames_per_s == pytest.approx(4 * acc.clock_mhz * 1e6 / four.total_cycles)


def test_a_batch_that_was_saved_knows_its_images(tmp_path):
    net = bittrue.networks.gemm(2, 8, 3, out="int32").with_weights(np.ones((8, 3), np.int8)).batched(3)
    assert bittrue.load_network(net.save(tmp_path / "three.npz")).images == 3


def graph_of(op, *shapes, constant=None):
    builder = GraphBuilder("one")
    inputs = [builder.input(f"x{i}", shape, INT8) for i, shape in enumerate(shapes)]
    if constant is not None:
        inputs.append(builder.constant("c", np.ones(constant, np.int8)))
    builder.add(op, *inputs, name="it")
    return Network(builder.build())


@pytest.mark.parametrize(
    ("net", "reason"),
    [
        (graph_of(ops.Transpose((1, 0)), (1, 4)), "moves the first axis"),
        (graph_of(ops.Concat(0), (1, 4), (1, 4)), "along the first axis"),
        (graph_of(ops.Concat(1), (1, 4), constant=(1, 2)), "joins a constant"),
        (graph_of(ops.Pad(((1, 0), (0, 0)), 0), (1, 4)), "pads the first axis"),
        (graph_of(ops.Slice((1, 0), (3, 4), (1, 1)), (3, 4)), "cuts the first axis"),
        (graph_of(ops.ReduceMax((0,), keep_dims=True), (2, 4)), "along the first axis"),
        (graph_of(ops.Tile((2, 1)), (1, 4)), "repeats the first axis"),
        (graph_of(ops.SpaceToBatch((2, 2), ((0, 0), (0, 0))), (1, 4, 4, 1)), "nothing says"),
        (graph_of(ops.Maximum(), (1, 4), constant=(2, 4)), "would be"),
        (graph_of(ops.Maximum(), (1, 1, 3), (1, 3)), "same axis"),
        (graph_of(ops.Conv2D(), (1, 4, 4, 2), (1, 3, 3, 2)), "weights or indices depend on the images"),
    ],
)
def test_what_mixes_images_is_refused_by_name(net, reason):
    with pytest.raises(UnsupportedOp, match=reason) as refused:
        net.batched(2)
    assert "it (" in str(refused.value)


@pytest.mark.parametrize("op", [ops.Reshape((8, 2)), ops.Reshape((-1, 4)), ops.Slice((0, 1, 0), (1, 3, 4), (1, 1, 1))])
def test_what_moves_data_keeps_each_image_in_one_piece(op):
    net = graph_of(op, (1, 4, 4))
    acc = bittrue.load_accelerator("edge_32x32")
    x = np.arange(2 * 16, dtype=np.int8).reshape(2, 4, 4)
    (both,) = bittrue.simulate(net.batched(2), acc, [x], values_only=True).outputs.values()
    parts = [bittrue.simulate(net, acc, [x[i : i + 1]], values_only=True).outputs.values() for i in (0, 1)]
    np.testing.assert_array_equal(both, np.concatenate([next(iter(part)) for part in parts]))


@pytest.mark.parametrize("images", [0, -1, 1.5, True])
def test_a_batch_is_a_whole_number_from_one(network, images):
    with pytest.raises(InputError, match="whole number of images from 1"):
        network.batched(images)


def test_one_image_is_the_network_itself(network):
    assert network.batched(1) is network
