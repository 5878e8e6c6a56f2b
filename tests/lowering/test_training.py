"""Lowering of the operators of integer training: lane operations, time and energy, and what is refused."""

from __future__ import annotations

import numpy as np
import pytest

from simulator.engine import Options, prepare
from simulator.errors import InputError, NetworkError, UnsupportedOp
from simulator.graph import ops as graph_ops
from simulator.graph import training_ops as ops
from simulator.graph.builder import GraphBuilder
from simulator.graph.graph import Graph
from simulator.graph.training_ops import RandomSource, ScaleRule
from simulator.graph.training_shapes import SHAPES
from simulator.lowering.layer import Engine
from simulator.lowering.lower import LOWERERS
from simulator.lowering.training import LANES
from simulator.numerics.modes import RoundingMode
from support.devices import energy_table, machine
from support.training_runs import layer_of, run, scale

X = np.ones((2, 4, 6, 8), np.int32)
Q = np.ones((2, 4, 6, 8), np.int8)
S = scale(1, -10)
CHANNEL = np.ones(8, np.int16)


def test_every_operator_has_a_shape_lanes_and_an_executor():
    from simulator.execution.vector import EXECUTORS

    kinds = {k for k in vars(ops).values() if isinstance(k, type) and issubclass(k, ops.TrainingOp)} - {ops.TrainingOp}
    assert kinds == set(SHAPES) == set(LANES)
    assert kinds <= set(LOWERERS)
    assert kinds <= set(EXECUTORS)


@pytest.mark.parametrize(
    ("op", "arrays", "lanes"),
    [
        (ops.ScaleQuantize(), [X, S], 2 * 384),
        (ops.FixedQuantize(8, -7), [X, S], 384),
        (ops.AlignedAdd(), [X, S, Q, S], 4 * 384),
        (ops.L1Statistics(), [X, S], 4 * 384),
        (ops.L1NormGradient(), [Q, S, Q, S, CHANNEL, CHANNEL], 7 * 384),
        (ops.L2NormGradient(None), [Q, S, Q, S, CHANNEL, CHANNEL], 6 * 384),
        (ops.MaxPoolIndexed((2, 2), (2, 2)), [Q], 4 * 96),
        (ops.Update(), [X, Q, S, np.array([-4])], 3 * 384),
        (ops.Update(decay_shift=9), [X, Q, S, np.array([-4])], 5 * 384),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, ops.TrainingOp) else "",
)
def test_lane_operations(op, arrays, lanes):
    layer = layer_of(op, arrays)
    assert layer.engine is Engine.VECTOR
    assert layer.vector_ops == lanes


def _step() -> Graph:
    """A layer forward, backward and updated, without its array: every stage on the vector unit."""
    b = GraphBuilder("step")
    x, s = b.input("x", X.shape, "int32"), b.input("s", (2,), "int64")
    error, gamma = b.input("error", Q.shape, "int8"), b.input("gamma", (8,), "int8")
    mean, deviation, ends = b.add_many(ops.L1Statistics(), x, s, name="statistics")
    hat, sh, bounds = b.add_many(ops.NormalizeChannels(), x, s, mean, deviation, ends, name="hat")
    a, sa = b.add_many(ops.AffineQuantize(), hat, sh, gamma, gamma, bounds, name="activation")
    masked = b.add(ops.ReluGradient(), error, a, name="masked")
    outputs = b.add_many(ops.L1NormGradient(8), masked, s, hat, sh, gamma, deviation, name="gradient")
    return b.build([a, sa, outputs[0], outputs[2]])


def test_a_step_is_timed_and_priced():
    record = prepare(_step(), machine(lanes=8), energy_table(vector_op=2.0), Options(values=False)).run().record
    by_name = {layer.name: layer for layer in record.layers}
    assert set(by_name) == {"statistics", "hat", "activation", "masked", "gradient"}
    for name, lanes in (("statistics", 4), ("hat", 2), ("activation", 2), ("masked", 1), ("gradient", 7)):
        assert by_name[name].engine == "vector"
        assert by_name[name].vector_ops == lanes * 384
        assert by_name[name].total_cycles >= lanes * 384 // 8
        assert by_name[name].energy.vector_pj == lanes * 384 * 2.0


@pytest.mark.parametrize(
    ("op", "arrays", "message"),
    [
        (ops.ScaleQuantize(17), [X, S], "bits = 17; it is 2 to 16"),
        (ops.ScaleQuantize(8, rounding=RoundingMode.TIES_EVEN), [X, S], "rounding ties_even"),
        (
            ops.ScaleQuantize(8, ScaleRule.MAX, RoundingMode.STOCHASTIC, RandomSource.FRACTION),
            [X, S],
            "a power of two: scale round or ceil",
        ),
        (ops.FlagQuantize(8, ScaleRule.MAX), [X, S], "a power of two"),
        (ops.L1Statistics(25), [X, S], "bits = 25"),
        (ops.L1NormGradient(), [X, S, Q, S, CHANNEL, CHANNEL], "signed integer of at most 16 bits"),
        (ops.SumSpatial(), [X], "may not fit int32"),
        (ops.Update(), [Q, Q, S, np.array([-4])], "masters and velocities are int32"),
        (ops.SoftmaxCrossEntropyGradient(), [X, S, np.zeros(X.shape[:-1], np.uint8)], "at most 16 bits"),
        (ops.Dropout(17), [Q, S], "keep_shift = 17"),
    ],
)
def test_refuses_what_no_kernel_takes(op, arrays, message):
    with pytest.raises(UnsupportedOp, match=message):
        layer_of(op, arrays)


@pytest.mark.parametrize(
    ("op", "arrays", "message"),
    [
        (ops.ScaleQuantize(), [X], "takes 2 inputs"),
        (ops.ScaleQuantize(), [X, CHANNEL], r"input 1 has shape \(8,\), not \(2,\)"),
        (ops.AlignedAdd(), [X, S], "at least 2"),
        (ops.NormalizeChannels(), [X, S, CHANNEL, CHANNEL, CHANNEL], r"not \(2, 8\)"),
        (ops.MeanGradient((2, 2)), [X, S], r"\[batch, 1, 1, channels\]"),
        (ops.SoftmaxCrossEntropyGradient(class_weights=(1, 2)), [Q, S, Q[..., 0]], "2 class weights for 8 classes"),
        (ops.MaxPoolGradient((2, 2), (2, 2), (9, 9)), [Q, Q], "do not pool to"),
    ],
)
def test_refuses_shapes_that_do_not_suit(op, arrays, message):
    with pytest.raises(NetworkError, match=message):
        layer_of(op, arrays)


def test_refuses_a_format_that_the_operator_does_not_give():
    with pytest.raises(NetworkError, match="ScaleQuantize gives int8, not int16"):
        layer_of(ops.ScaleQuantize(), [X, S], "int16")


@pytest.mark.parametrize(
    ("op", "arrays", "message"),
    [
        (ops.ScaleQuantize(), [X, scale(0, 3)], r"scale \(0, 3\); the mantissa is 1 to 32767"),
        (ops.ScaleQuantize(), [np.full((2, 2), 2**62), S], "the vector unit takes 62 bits"),
        (ops.L1Statistics(), [np.full((2, 2), 2**60), S], "their sum may need more than 62 bits"),
        (ops.NormalizeChannels(), [X, S, CHANNEL, 0 * CHANNEL, np.ones((2, 8), np.int64)], "at least 1"),
        (
            ops.SoftmaxCrossEntropyGradient(),
            [Q, S, np.full(Q.shape[:-1], 8, np.uint8)],
            r"label 8 at \(0, 0, 0\); classes are 0 to 7, and 255 is ignored",
        ),
        (ops.SquaredErrorGradient(None), [Q, S, np.full(Q.shape[:-1], 255, np.uint8)], "nothing is ignored"),
        (ops.SquaredErrorGradient(), [Q, scale(1, 9), np.zeros(Q.shape[:-1], np.uint8)], "2\\^-21 to 2\\^8"),
    ],
)
def test_refuses_values_that_mean_nothing(op, arrays, message):
    with pytest.raises(InputError, match=message):
        run(op, *arrays)


def test_other_operators_keep_their_formats():
    b = GraphBuilder("other")
    x = b.input("x", (1, 2, 2, 4), "int8")
    assert [str(b.tensor(n).format) for n in b.add_many(graph_ops.Split(3, (2, 2)), x)] == ["int8", "int8"]
