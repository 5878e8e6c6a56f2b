"""A whole training step: every bit against a twin in NumPy, at any thread count, and no float anywhere."""

from __future__ import annotations

import numpy as np
import pytest

from accel_models.load import load_accelerator, load_energy_table
from simulator.engine import Options, prepare
from support.training_nets_twin import Step, deeplab_step, fcn_step
from support.training_small_nets import CLASSES, small_deeplab, small_fcn
from workloads.training.config import preset
from workloads.training.derive import derive_step
from workloads.training.initial import initial_state
from workloads.training.pretrained import with_pretrained

BATCH, RATE, SEED = 2, -2, 5


def device():
    wide = {"arithmetic.activation": "int16", "arithmetic.weight": "int16"}
    return load_accelerator("paper_device").evolve(wide)


def prepared(graph, **options):
    accelerator = device()
    return prepare(graph, accelerator, load_energy_table(accelerator.energy_table), Options(timing=False, **options))


def batches(size, count=3, seed=0):
    """Images whose brightness tells the label, with some labels ignored."""
    rng = np.random.default_rng(seed)
    for _ in range(count):
        coarse = rng.integers(0, CLASSES, (BATCH, -(-size[0] // 5), -(-size[1] // 5)))
        labels = np.repeat(np.repeat(coarse, 5, 1), 5, 2)[:, : size[0], : size[1]].astype(np.uint8)
        noise = rng.integers(-30, 31, (BATCH, *size, 3))
        pixels = ((labels[..., None].astype(np.int16) - 1) * 80 + noise).astype(np.int16)
        labels[:, :2, :3] = 255
        yield pixels, labels


def begin(network, config):
    step = derive_step(network.graph, config, BATCH)
    images = next(batches(step.size))[0]
    state = initial_state(with_pretrained(network.graph, None), step, network.image, images).arrays
    return step, state


def run(prepared_step, state, pixels, labels, number):
    inputs = {
        **{"image": pixels, "labels": labels, "learning_rate": np.array([RATE], np.int64)},
        **{"key": np.array([SEED, number], np.int64)},
    }
    return prepared_step.run(inputs, state=state)


CASES = [
    ("deeplab", "max", 16, {}),
    ("deeplab", "round", 8, {"scale": "round", "output_error_bits": 8}),
    ("fcn", "max", 16, {"dropout": ("fc6.relu",)}),
    ("fcn", "ceil", 8, {"scale": "ceil", "output_error_bits": 8, "gradient_rule": "dropped", "dropout": ("fc6.relu",)}),
]


@pytest.mark.parametrize(("kind", "rule", "e2", "changes"), CASES, ids=[f"{c[0]}-{c[1]}-e{c[2]}" for c in CASES])
def test_every_bit_of_three_steps_is_that_of_the_twin(kind, rule, e2, changes):
    network, twin_step = (small_deeplab(), deeplab_step) if kind == "deeplab" else (small_fcn(), fcn_step)
    step, state = begin(network, preset("paper").evolve(changes))
    engine = prepared(step.graph)
    twin_state = {name: value.astype(object) for name, value in state.items()}
    for number, (pixels, labels) in enumerate(batches(step.size)):
        result = run(engine, state, pixels, labels, number)
        twin = Step(twin_state, SEED, number, rule, e2, keep="gradient_rule" not in changes, has_norm=kind == "deeplab")
        twin_state, monitor = twin_step(twin, pixels, labels, RATE)
        assert tuple(result.outputs["loss:2"]) == monitor
        assert set(result.state) == set(twin_state)
        differing = {name: int((result.state[name] != twin_state[name]).sum()) for name in twin_state}
        assert {name: count for name, count in differing.items() if count} == {}
        assert any((result.state[name] != state[name]).any() for name in state)
        state = result.state
