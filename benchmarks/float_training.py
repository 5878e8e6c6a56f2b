"""Train a network in float32 with torch, by the protocol of an integer run: the other half of an int - float gap.

    python -m benchmarks.float_training deeplabv3_resnet50 --dataset camvid:PATH --size 180x240 --epochs 8
        [--width 0.5] [--pretrained FILE.npz] [--seed 0] [--threads 1] [--validation-split test] [--lr 0.5]
        [--set FIELD=VALUE] [--net KEY=VALUE] [--shift-weights] [--emulate PREFIX,PREFIX] [--validate-every 1]
        [-o steps.csv]

The same first state (the integer run's, on its 24-bit grid), images, order, mirroring, class weights, learning rates
and L1 batch norm as `bittrue train`; nothing is quantized, but for layers named by --emulate, whose 8-bit grids are
imitated in float32 (`emulated_integers`). Prints mIoU after every epoch and images a second of the steps. Needs the
extra `torch`.
"""

from __future__ import annotations

import argparse
import csv
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from accel_models.load import load_accelerator
from benchmarks.emulated_integers import EmulatedPart
from benchmarks.machine import describe_machine
from benchmarks.plain_table import words
from bittrue.commands.loading import assignments
from bittrue.commands.train import parse_size, training_config
from bittrue.training.plan import Plan, Request, make_plan
from simulator.graph import ops
from simulator.graph.graph import Node
from workloads.metrics import Confusion, confusion
from workloads.training.derive import IMAGE_EXPONENT
from workloads.training.forward_rules import guard_bits, running_names

_EPSILON = 2.0**-10
_COLUMNS = ("steps", "loss", "images", "miou", "pixel_accuracy", "images_per_s")


class FloatNet:
    """A float graph in torch, with parameters and running statistics of its own."""

    def __init__(self, plan: Plan, emulated: tuple[str, ...] = ()) -> None:
        step, arrays = plan.trainer.step, plan.first_state().arrays
        self.graph = plan.network.graph
        self.config = step.config
        self.parameters: dict[str, Tensor] = {}
        for parameter in step.parameters:
            real = np.ldexp(arrays[parameter.name].astype(np.float64), parameter.master_exponent)
            self.parameters[parameter.name] = torch.tensor(real.astype(np.float32), requires_grad=parameter.trained)
        exponents = {parameter.name: parameter.exponent for parameter in step.parameters}
        self.emulated = EmulatedPart(emulated, self.config, exponents)
        exponent = self.config.statistics_exponent - guard_bits(self.config.statistics_bits)
        self.running = {
            name: torch.tensor(np.ldexp(arrays[name].astype(np.float64), exponent).astype(np.float32))
            for node in self.graph.nodes
            if isinstance(node.op, ops.BatchNorm)
            for name in running_names(node)
        }

    def scores(self, image: Tensor, *, training: bool) -> Tensor:
        """Return the scores [N, classes, H, W] of images [N, 3, H, W]."""
        values = {self.graph.inputs[0]: image}
        for node in self.graph.nodes[:-1]:
            (name,) = node.outputs
            values[name] = self._node(node, [values.get(source) for source in node.inputs], training)
            if self.emulated.holds(node.name):
                values[name] = self._as_integers(node, values[name])
            if training and name in self.config.dropout:
                values[name] = functional.dropout(values[name], 0.5)
        return values[self.graph.nodes[-1].inputs[0]]

    def _as_integers(self, node: Node, value: Tensor) -> Tensor:
        if isinstance(node.op, ops.Conv2D | ops.TransposeConv2D):
            return self.emulated.sums(value)
        return self.emulated.activations(value) if isinstance(node.op, ops.Relu) else value

    def _node(self, node: Node, x: list[Any], training: bool) -> Tensor:
        op, taken = node.op, [self.parameters.get(name) for name in node.inputs]
        if isinstance(op, ops.Conv2D | ops.TransposeConv2D) and self.emulated.holds(node.name):
            taken[1] = self.emulated.weights(node.inputs[1], taken[1])
        match op:
            case ops.Conv2D():
                pad = op.padding
                padded = functional.pad(x[0], (pad.left, pad.right, pad.top, pad.bottom))
                weights, bias = taken[1].permute(0, 3, 1, 2), taken[2] if len(taken) > 2 else None
                return functional.conv2d(padded, weights, bias, op.stride, 0, op.dilation)
            case ops.TransposeConv2D():
                full = functional.conv_transpose2d(x[0], taken[1].permute(3, 0, 1, 2), None, op.stride)
                (rows, columns), top, left = op.output_size, op.padding.top, op.padding.left
                short = [max(0, left + columns - full.shape[3]), max(0, top + rows - full.shape[2])]
                wide = functional.pad(full, (0, short[0], 0, short[1]))
                return wide[:, :, top : top + rows, left : left + columns]
            case ops.BatchNorm():
                return self._norm(node, x[0], training)
            case ops.Relu():
                return functional.relu(x[0])
            case ops.Add():
                return x[0] + x[1]
            case ops.Concat():
                return torch.cat(x, 1)
            case ops.MaxPool2D():
                pad = op.padding
                padded = functional.pad(x[0], (pad.left, pad.right, pad.top, pad.bottom), value=-torch.inf)
                return functional.max_pool2d(padded, op.kernel, op.stride)
            case ops.Mean():
                return x[0].mean((2, 3), keepdim=True)
            case ops.ResizeBilinear() if op.align_corners or op.half_pixel_centers:
                return functional.interpolate(x[0], size=op.size, mode="bilinear", align_corners=op.align_corners)
        raise SystemExit(f"{node.name}: {op.kind} has no float twin here")

    def _norm(self, node: Node, x: Tensor, training: bool) -> Tensor:
        mean_name, deviation_name = running_names(node)
        if training:
            mean = x.mean((0, 2, 3))
            deviation = (x - mean[:, None, None]).abs().mean((0, 2, 3)) + _EPSILON
            for name, value in ((mean_name, mean), (deviation_name, deviation)):
                self.running[name] += (value.detach() - self.running[name]) * 2.0**-self.config.average_shift
        else:
            mean, deviation = self.running[mean_name], self.running[deviation_name]
        gamma, beta = (self.parameters[name] for name in node.inputs[1:3])
        return (x - mean[:, None, None]) * (gamma / deviation)[:, None, None] + beta[:, None, None]


def as_tensor(images: np.ndarray) -> Tensor:
    """Return int16 [N, H, W, 3] as the network takes it."""
    real = np.ldexp(images.astype(np.float32), IMAGE_EXPONENT)
    return torch.from_numpy(real).permute(0, 3, 1, 2).contiguous(memory_format=torch.channels_last)


def train_step(net: FloatNet, plan: Plan, number: int, weights: Tensor) -> float:
    """Do one step of plain SGD and return its loss."""
    trainer = plan.trainer
    images, labels = trainer.train.batch(trainer.seed, number, trainer.step.batch)
    ignore = trainer.train.dataset.ignore_label
    scores = net.scores(as_tensor(images), training=True)
    loss = functional.cross_entropy(scores, torch.from_numpy(labels.astype(np.int64)), weights, ignore_index=ignore)
    loss.backward()
    rate = 2.0 ** net.config.learning_rate_at(number, trainer.steps)
    with torch.no_grad():
        for name, parameter in net.parameters.items():
            if parameter.grad is not None:
                taken = net.emulated.gradient(parameter.grad) if net.emulated.holds(name) else parameter.grad
                parameter -= rate * taken
                parameter.grad = None
    return loss.item()


def validate(net: FloatNet, plan: Plan) -> Confusion:
    """Label the validation split."""
    samples, classes = plan.trainer.validation, len(plan.trainer.train.dataset.classes)
    total = Confusion.empty(classes)
    with torch.no_grad():
        for index in range(len(samples)):
            scores = net.scores(as_tensor(samples.image(index)[None]), training=False)
            predicted = scores[0].argmax(0).numpy().astype(np.int32)
            total += confusion(samples.sample(index)[1], predicted, classes, samples.dataset.ignore_label)
    return total


def run(plan: Plan, output: Path | None, validate_every: int, emulated: tuple[str, ...]) -> None:
    """Train, and print a line every `validate_every` epochs (0 = at the end)."""
    net, trainer = FloatNet(plan, emulated), plan.trainer
    classes = len(trainer.train.dataset.classes)
    given = plan.about["class_weights"]
    weights = torch.tensor(given, dtype=torch.float32) / 256 if given else torch.ones(classes)
    spent, rows, every = 0.0, [], validate_every * trainer.steps_per_epoch
    for number in range(trainer.steps):
        began = time.perf_counter()
        loss = train_step(net, plan, number, weights)
        spent += time.perf_counter() - began
        if not np.isfinite(loss):
            raise SystemExit(f"diverged at step {number + 1}: loss {loss}")
        done = number + 1
        if done == trainer.steps or (every and done % every == 0):
            found = validate(net, plan)
            rate = done * trainer.step.batch / spent
            rows.append((done, loss, len(trainer.validation), found.miou, found.pixel_accuracy, rate))
            print(
                f"step {done}: loss {loss:.4f}, mIoU {100 * found.miou:.2f} %, pixel accuracy "
                f"{100 * found.pixel_accuracy:.2f} %, {rate:.2f} images/s",
                flush=True,
            )
    if output is not None:
        with output.open("w", newline="") as file:
            csv.writer(file).writerows([_COLUMNS, *rows])


def main() -> None:
    """Read the command line and train."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("network")
    parser.add_argument("--dataset", required=True)
    parser.add_argument("--size", type=parse_size, default=None)
    parser.add_argument("--width", type=float, default=None)
    parser.add_argument("--pretrained", type=Path, default=None)
    parser.add_argument("--epochs", type=int, default=None)
    parser.add_argument("--steps", type=int, default=None)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--lr", type=float, default=0.5)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--validation-split", default="val")
    parser.add_argument("--validate-every", type=int, default=1)
    parser.add_argument("--set", action="append", default=[], dest="changes")
    parser.add_argument("--net", action="append", default=[])
    parser.add_argument("--shift-weights", action="store_true")
    parser.add_argument("--emulate", type=words, default=(), help="layers to imitate in integers, by prefix")
    parser.add_argument("-o", "--output", type=Path, default=None)
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    torch.manual_seed(given.seed)
    config = training_config("paper", given.lr, given.changes)
    request = Request(
        given.network,
        given.dataset,
        config,
        load_accelerator("paper_device"),
        assignments("--net", given.net) | ({} if given.width is None else {"width": given.width}),
        given.size,
        given.batch,
        given.epochs,
        given.steps,
        given.seed,
        given.threads,
        given.pretrained,
        "train",
        given.validation_split,
        given.shift_weights,
    )
    print(describe_machine())
    print(f"torch {torch.__version__}, {given.threads} threads, float32")
    run(make_plan(request), given.output, given.validate_every, given.emulate)


if __name__ == "__main__":
    main()
