"""What of a layer is done on another's store, in the words of a record."""

from __future__ import annotations

from collections.abc import Sequence

from simulator.graph.ops import Activation, Concat, MaxPool2D
from simulator.lowering.array import ArrayConstants
from simulator.lowering.layer import Engine, Layer
from simulator.mapping.schedule import LayerSchedule


def store_steps(layer: Layer) -> tuple[str, ...]:
    """Return what every device does to a layer's results on their way from accumulator memory to DRAM, in order."""
    constants = layer.constants
    if layer.engine is not Engine.ARRAY or not isinstance(constants, ArrayConstants) or constants.requantizer is None:
        return ()
    activation = getattr(layer.node.op, "activation", Activation.NONE)
    return ("requantize",) if activation is Activation.NONE else ("requantize", str(activation.value))


def joined_fields(layers: Sequence[Layer], schedules: Sequence[LayerSchedule]) -> list[dict[str, str]]:
    """Return `on_store` and `done_by` of every layer's record.

    A layer that moves data and has no tile operations is done by those that write its inputs.
    """
    writers = {tensor.name: index for index, layer in enumerate(layers) for tensor in layer.outputs}
    steps = [store_steps(layer) for layer in layers]
    done_by = [""] * len(layers)
    for index, (layer, schedule) in enumerate(zip(layers, schedules, strict=True)):
        if not layer.moves_data or schedule.tile_ops:
            continue
        before = [writers[tensor.name] for tensor in layer.inputs if tensor is not None and tensor.name in writers]
        done_by[index] = ", ".join(layers[i].name for i in before)
        if len(before) == 1 and not isinstance(layer.node.op, Concat):
            kind = "max_pool" if isinstance(layer.node.op, MaxPool2D) else "average_pool"
            steps[before[0]] = (*steps[before[0]], f"{kind} {layer.name}")
    rows = zip(steps, done_by, strict=True)
    return [{"on_store": ", ".join(words), "done_by": others} for words, others in rows]
