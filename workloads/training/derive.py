"""From a float forward graph to the graph of one training step, and to that of an evaluation, in integers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from simulator.errors import InputError, NetworkError, Unsupported, UnsupportedOp
from simulator.graph import ops
from simulator.graph import training_ops as t
from simulator.graph.builder import GraphBuilder
from simulator.graph.graph import Graph, Node
from simulator.numerics.formats import INT16, INT32, INT64, UINT8
from workloads.training.backward_rules import run_backward
from workloads.training.config import Loss, TrainingConfig
from workloads.training.forward_rules import FORWARD, run_forward
from workloads.training.parameters import Parameter, Role, find_parameters
from workloads.training.tape import IMAGE, KEY, LABELS, LEARNING_RATE, LOSS, Scaled, Tape

IMAGE_EXPONENT = -6
"""Step of the image: pixels less their mean, divided by 64."""


@dataclass(frozen=True, eq=False)
class TrainingStep:
    """The graph of one step, and what the loop needs to feed it."""

    graph: Graph
    """Inputs: image int16 [batch, height, width, 3], labels uint8 [batch, height, width], learning_rate int64 [1] (the
    exponent), key int64 [2] (seed, step), frozen parameters, and the state. Outputs: loss int64 [3], new state."""
    parameters: tuple[Parameter, ...]
    """All parameters, trained or not."""
    config: TrainingConfig
    batch: int
    size: tuple[int, int]
    """Height and width of the images."""
    classes: int
    """Number of classes of the scores."""

    @property
    def state_names(self) -> tuple[str, ...]:
        """Inputs that the step gives a new value."""
        return tuple(source for source, _ in self.graph.state)

    @property
    def frozen_names(self) -> tuple[str, ...]:
        """Parameters that are inputs of every step, and never change."""
        return tuple(parameter.name for parameter in self.parameters if not parameter.trained)


def derive_step(
    forward: Graph,
    config: TrainingConfig,
    batch: int,
    *,
    class_weights: Sequence[int] = (),
    ignore: int | None = 255,
    weight_shifts: Mapping[str, int] | None = None,
) -> TrainingStep:
    """Derive the graph of one training step: forward, loss gradient, backward, updates.

    Parameters
    ----------
    forward
        A float segmentation network, image [1, height, width, channels] to labels; its values are not used.
    config
        Widths and rules.
    batch
        Images of a step.
    class_weights
        Of the cross entropy, in steps of 2^-8; empty = all 1.
    ignore
        Label of pixels that do not count.
    weight_shifts
        See `find_parameters`.

    Raises
    ------
    UnsupportedOp
        Listing every operator that cannot be trained through.
    NetworkError
        A network without label map, or with a trained parameter that no error reaches.
    InputError
        A batch below 1, a name in `config.dropout` that is no tensor, or class weights in a squared error.

    """
    score = _check(forward, config, batch)
    if config.loss is Loss.SQUARED_ERROR and class_weights:
        raise InputError("squared_error has no class weights: set class_weighting=none")
    tape = _tape(forward, config, batch, weight_shifts, training=True)
    builder, (_, height, width, classes) = tape.builder, forward.tensors[score].shape
    builder.input(LABELS, (batch, height, width), UINT8)
    builder.input(LEARNING_RATE, (1,), INT64)
    builder.input(KEY, (2,), INT64)
    for node in forward.nodes:
        run_forward(tape, node)
    _write_loss(tape, score, ignore, tuple(class_weights))
    for node in reversed(forward.nodes):
        run_backward(tape, node)
    for parameter in tape.parameters.values():
        if parameter.trained:
            _write_update(tape, parameter)
    outputs = [f"{LOSS}:2", *(output for _, output in tape.states)]
    graph = builder.build(outputs, state=tape.states)
    return TrainingStep(graph, tuple(tape.parameters.values()), config, batch, (height, width), classes)


def derive_evaluation(
    forward: Graph, config: TrainingConfig, batch: int = 1, *, weight_shifts: Mapping[str, int] | None = None
) -> Graph:
    """Derive the graph that labels images with the parameters and running statistics of a training state.

    Inputs: image, parameters and running statistics, all as in the step; output: the label map.
    """
    _check(forward, config, batch)
    tape = _tape(forward, config, batch, weight_shifts, training=False)
    for node in forward.nodes:
        run_forward(tape, node)
    return tape.builder.build(forward.outputs)


def _check(forward: Graph, config: TrainingConfig, batch: int) -> str:
    """Return the tensor of the scores."""
    if not isinstance(batch, int) or batch < 1:
        raise InputError(f"a batch holds at least 1 image, not {batch!r}")
    problems = [
        Unsupported(node.name, node.op.kind, reason) for node in forward.nodes if (reason := obstacle(forward, node))
    ]
    if problems:
        raise UnsupportedOp(problems, forward.name)
    last = forward.nodes[-1]
    if not isinstance(last.op, ops.ArgMax) or last.op.axis not in (3, -1) or forward.outputs != last.outputs:
        raise NetworkError(f"{forward.name}: a network to train ends in ArgMax over the classes, its only output")
    if len(forward.inputs) != 1:
        raise NetworkError(f"{forward.name}: a network to train has one input, the image; not {forward.inputs}")
    unknown = [name for name in config.dropout if name not in forward.tensors]
    if unknown:
        raise InputError(f"dropout: {forward.name} has no tensor {unknown[0]!r}")
    return last.inputs[0]


def obstacle(forward: Graph, node: Node, what: str = "integer training", *, grouped: bool = False) -> str | None:
    """Say why `what` has no rule for a node; None where it has. `grouped`: whether convolutions may have groups."""
    op = node.op
    if type(op) not in FORWARD:
        return f"{what} has no rule for this operator"
    if getattr(op, "activation", "none") != "none":
        return f"a fused activation ({op.activation}); write it as a node of its own"  # type: ignore[attr-defined]
    if isinstance(op, ops.Conv2D) and op.groups != 1 and not grouped:
        return f"{op.groups} groups; convolutions in training have 1"
    if isinstance(op, ops.Mean) and (set(op.axes) != {1, 2} or not op.keep_dims):
        return f"a mean over axes {op.axes}; {what} takes height and width, kept"
    if isinstance(op, ops.Concat) and op.axis not in (3, -1):
        return f"a concatenation along axis {op.axis}; {what} takes channels"
    if isinstance(op, ops.Add):
        shapes = {forward.tensors[name].shape for name in node.inputs}
        return "a sum of different shapes" if len(shapes) > 1 else None
    return None


def _tape(
    forward: Graph, config: TrainingConfig, batch: int, weight_shifts: Mapping[str, int] | None, *, training: bool
) -> Tape:
    parameters = find_parameters(forward, config, weight_shifts)
    if not training:
        config = config.evolve({"dropout": ()})
    tape = Tape(forward, config, parameters, training, GraphBuilder(f"{forward.name} {'step' if training else 'eval'}"))
    (image,) = forward.input_tensors
    tape.builder.input(IMAGE, (batch, *image.shape[1:]), INT16)
    tape.values[image.name] = Scaled(IMAGE, tape.power(IMAGE_EXPONENT))
    for parameter in parameters.values():
        tape.builder.input(parameter.name, parameter.shape, INT32)
    return tape


def _write_loss(tape: Tape, score: str, ignore: int | None, class_weights: tuple[int, ...]) -> None:
    op: t.TrainingOp = t.SoftmaxCrossEntropyGradient(ignore, class_weights)
    if tape.config.loss is Loss.SQUARED_ERROR:
        op = t.SquaredErrorGradient(ignore)
    scores = tape.values[score]
    error, scale, _ = tape.builder.add_many(op, scores.value, scores.scale, LABELS, name=LOSS)
    tape.push(score, Scaled(error, scale))


def _write_update(tape: Tape, parameter: Parameter) -> None:
    name, config, builder = parameter.name, tape.config, tape.builder
    if name not in tape.gradients:
        raise NetworkError(f"{tape.forward.name}: no error reaches parameter {name}; freeze it, or take it out")
    step = tape.stochastic(tape.gradients[name], f"{name}.gradient.q")
    # Weight decay is of weights: gamma, beta and biases keep theirs.
    decay = config.decay_shift if parameter.role is Role.WEIGHT else None
    bits, exponent = parameter.master_bits, parameter.master_exponent
    if config.momentum is None:
        sgd = t.Update(bits, exponent, decay_shift=decay)
        new = tape.add(sgd, name, step.value, step.scale, LEARNING_RATE, name=f"{name}.next")
        tape.states.append((name, new))
        return
    velocity, (momentum, shift) = velocity_name(name), config.momentum
    builder.input(velocity, parameter.shape, INT32)
    op = t.MomentumUpdate(bits, exponent, decay_shift=decay, momentum=momentum, momentum_shift=shift)
    new, moved = builder.add_many(op, name, velocity, step.value, step.scale, LEARNING_RATE, name=f"{name}.next")
    tape.states += [(name, new), (velocity, moved)]


def velocity_name(parameter: str) -> str:
    """Name of the state that holds a parameter's velocity, int32 in steps of 2^-23."""
    return f"{parameter}.velocity"
