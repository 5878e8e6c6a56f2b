"""Run all layers of a network on values, keeping in memory only what is still to be read."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from simulator.errors import InputError, NetworkError
from simulator.execution import array, host, movement, vector
from simulator.execution.context import ExecutionContext, Executor, LayerResult
from simulator.execution.turned import left_turned, views
from simulator.graph.graph import Graph, Tensor
from simulator.graph.ops import Op
from simulator.kernels.extremes import extremes
from simulator.kernels.parallel_threads import place_loops
from simulator.kernels.threads import thread_count
from simulator.lowering.layer import Engine, Layer
from simulator.numerics.formats import IntFormat
from simulator.records.activity import ActivityRecord
from simulator.records.channel_ledger import ChannelLedger
from simulator.records.overflow import OverflowRecord

_ON_HOST: dict[type[Op], Executor] = {**vector.EXECUTORS, **movement.EXECUTORS, **host.EXECUTORS}
_ON_DEVICE: dict[type[Op], Executor] = {**movement.EXECUTORS, **vector.EXECUTORS, **array.EXECUTORS}

SHARED = 1 << 19
"""Elements, in and out, from which a layer is worth sharing among threads: waking these costs some 50 microseconds, and
milliseconds where others want the cores."""
_MACS_AN_ELEMENT = 16
"""Multiply-accumulates that take no longer than an element elsewhere, on whatever kernel of the array."""

Progress = Callable[[int, int, str], None]
"""(done, total, label): called before each layer and once at the end."""

Values = Mapping[str, NDArray[Any]]
"""Tensors that are alive, by name; constants are not among them."""


@dataclass(frozen=True)
class Execution:
    """Values of a run."""

    outputs: dict[str, NDArray[Any]]
    """The network's outputs, in its order."""
    tensors: dict[str, NDArray[Any]]
    """Every input and intermediate by name, where they were asked for; else empty."""
    overflow: tuple[OverflowRecord, ...]
    """The ledger of each layer."""
    channels: tuple[ChannelLedger | None, ...] = ()
    """The ledger of each layer's channels, None off the array; empty where not asked for."""
    activity: tuple[ActivityRecord | None, ...] = ()
    """What each layer did to the registers of the array; likewise."""


def check_inputs(graph: Graph, inputs: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
    """Return inputs in the graph's order, contiguous; InputError on a wrong name, shape, dtype or value range."""
    names = graph.inputs
    if len(inputs) != len(names) or not all(name in inputs for name in names):
        unknown = sorted(set(inputs) - set(names))
        missing = [name for name in names if name not in inputs]
        raise InputError(f"{graph.name} takes inputs {list(names)}; missing {missing}, unknown {unknown}")
    return {name: _check_input(graph.tensors[name], np.asarray(inputs[name])) for name in names}


def _check_input(tensor: Tensor, value: NDArray[Any]) -> NDArray[Any]:
    format = tensor.format
    dtype = format.dtype
    if value.shape != tensor.shape:
        raise InputError(f"input {tensor.name}: shape {value.shape}, the network takes {tensor.shape}")
    if value.dtype != dtype:
        raise InputError(f"input {tensor.name}: dtype {value.dtype}, the network takes {dtype}")
    contiguous = value if value.flags.c_contiguous else np.ascontiguousarray(value)
    if isinstance(format, IntFormat) and value.size and format.bits < 8 * value.itemsize:
        least, greatest = extremes(contiguous.reshape(-1))
        if least < format.min or greatest > format.max:
            raise InputError(f"input {tensor.name}: values {least} to {greatest} do not fit {format}")
    return contiguous


def execute(
    graph: Graph,
    layers: Sequence[Layer],
    inputs: Mapping[str, NDArray[Any]],
    context: ExecutionContext,
    *,
    keep_tensors: bool = False,
    on_progress: Progress | None = None,
) -> Execution:
    """Compute every layer exactly, in order.

    Parameters
    ----------
    graph, layers
        The network, and what `lower` made of it.
    inputs
        One array per graph input, in the input tensor's dtype and shape.
    context
        Ledger and seed options.
    keep_tensors
        Keep every intermediate instead of freeing it after its last reader.
    on_progress
        Called with (done, total, layer name).

    Raises
    ------
    InputError
        An input that does not suit the network.
    OverflowTrap
        An overflow in a register whose mode is TRAP.

    """
    values: dict[str, NDArray[Any]] = check_inputs(graph, inputs)
    readers = count_readers(graph, layers)
    turned = frozenset() if keep_tensors else views(graph, layers)
    ledger: list[OverflowRecord] = []
    channels: list[ChannelLedger | None] = []
    activity: list[ActivityRecord | None] = []
    for index, layer in enumerate(layers):
        if on_progress:
            on_progress(index, len(layers), layer.name)
        arrays = layer_inputs(layer, values)
        stays = layer.node.outputs[0] in turned
        result = LayerResult((left_turned(arrays[0]),)) if stays else run_layer(layer, arrays, context)
        ledger.append(result.overflow)
        channels.append(result.channels)
        activity.append(result.activity)
        values.update(zip(layer.node.outputs, result.outputs, strict=True))
        for name in no_longer_read(readers, layer):
            if not keep_tensors:
                values.pop(name, None)
    if on_progress:
        on_progress(len(layers), len(layers), "done")
    outputs = {name: tensor_value(graph.tensors[name], values) for name in graph.outputs}
    return Execution(
        outputs,
        dict(values) if keep_tensors else {},
        tuple(ledger),
        tuple(channels) if context.channel_ledger else (),
        tuple(activity) if context.activity else (),
    )


def run_layer(layer: Layer, arrays: Sequence[NDArray[Any] | None], context: ExecutionContext) -> LayerResult:
    """Run one layer on its engine; NetworkError where nothing there executes its operator."""
    table = _ON_HOST if layer.engine is Engine.HOST else _ON_DEVICE
    executor = table.get(type(layer.node.op))
    if executor is None:
        raise NetworkError(f"layer {layer.name}: {layer.node.op.kind} cannot be executed on engine {layer.engine}")
    has_loops = executor is not array.run_array  # which places them where it has some: often it has none
    if is_worth_sharing(layer):
        if has_loops:
            place_loops()
        return executor(layer, arrays, context)
    with thread_count(1, loops=has_loops):
        return executor(layer, arrays, context)


def is_worth_sharing(layer: Layer) -> bool:
    """Whether a layer has work enough for several threads."""
    return max(layer.elements, layer.macs // _MACS_AN_ELEMENT) >= SHARED


def layer_inputs(layer: Layer, values: Values) -> list[NDArray[Any] | None]:
    """Return the arrays that a layer reads, constants among them; None for an absent optional input."""
    return [None if tensor is None else tensor_value(tensor, values) for tensor in layer.inputs]


def tensor_value(tensor: Tensor, values: Values) -> NDArray[Any]:
    """Return a constant's data or a tensor's present value."""
    if tensor.data is not None:
        return tensor.data
    return values[tensor.name]


def count_readers(graph: Graph, layers: Sequence[Layer]) -> dict[str, int]:
    """Count how often each tensor is still to be read, by layers or as an output."""
    readers = dict.fromkeys(graph.outputs, 0)
    for name in graph.outputs:
        readers[name] += 1
    for layer in layers:
        for name in layer.node.inputs:
            if name:
                readers[name] = readers.get(name, 0) + 1
    return readers


def no_longer_read(readers: dict[str, int], layer: Layer) -> list[str]:
    """Take the reads of a layer that has run off the count, and return the tensors that nobody reads any more."""
    node = layer.node
    for name in node.inputs:
        if name:
            readers[name] -= 1
    return [name for name in (*node.inputs, *node.outputs) if name and readers.get(name, 0) <= 0]
