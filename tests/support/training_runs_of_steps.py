"""Small training steps, ready to run."""

from __future__ import annotations

import numpy as np

from accel_models.load import load_accelerator, load_energy_table
from simulator.engine import Options, prepare
from support.training_small_nets import CLASSES
from workloads.training.derive import derive_step
from workloads.training.initial import initial_state
from workloads.training.pretrained import with_pretrained

BATCH, RATE, SEED = 2, -2, 5


def prepared(graph, **options):
    """A graph on the paper's device, with operands of 16 bits."""
    wide = {"arithmetic.activation": "int16", "arithmetic.weight": "int16"}
    accelerator = load_accelerator("paper_device").evolve(wide)
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
    """The step of a seeded network, and its first state."""
    step = derive_step(network.graph, config, BATCH)
    images = next(batches(step.size))[0]
    state = initial_state(with_pretrained(network.graph, None), step, network.image, images).arrays
    return step, state


def batch_inputs(pixels, labels, number):
    """Inputs of step `number`, without the state."""
    return {
        **{"image": pixels, "labels": labels, "learning_rate": np.array([RATE], np.int64)},
        **{"key": np.array([SEED, number], np.int64)},
    }
