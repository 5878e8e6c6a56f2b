"""Bytes that pass the ports of the on-chip memories, layer by layer."""

from __future__ import annotations

import numpy as np

from simulator.lowering.layer import Engine
from simulator.mapping.schedule import LayerSchedule
from simulator.mapping.work import ArrayWork, Device
from simulator.numerics.modes import Dataflow


def array_accesses(work: ArrayWork, schedule: LayerSchedule, device: Device) -> dict[str, int]:
    """Scratchpad and accumulator bytes of an array layer. Only useful rows and columns of the array count.

    Weight stationary, per tile op of m pixels, k products, n channels: every fold reads its pixels (m * k elements for
    each of ceil(n / C) column folds) and its weights once (k * n), and writes one partial sum per output
    (m * n * ceil(k / R)).
    Output stationary: a block of R pixels by C channels reads its pixels for every column block and its weights for
    every pixel block (k * n * ceil(m / R)); accumulators are written once a chunk of K (m * n).
    Both: a partial sum is read back for every write but an output's first, and the final value is drained:
    accumulator reads = writes. Biases are read once per output tile, start values of a bias matrix written once more.
    """
    ops, counts = schedule.kinds.ops, schedule.kinds.counts
    wide = {name: ops[name].astype(np.int64) for name in ("rows", "cols", "channels", "groups", "k_length")}
    m, n, k, groups = wide["rows"] * wide["cols"], wide["channels"], wide["k_length"], wide["groups"]
    columns = -(-n // device.cols)
    input_reads = m * k * columns * groups
    if device.dataflow is Dataflow.WEIGHT_STATIONARY:
        weight_reads = k * n * groups
        writes = m * n * groups * -(-k // device.rows)
    else:
        weight_reads = k * n * groups * -(-m // device.rows)
        writes = m * n * groups
    bias_bits = np.where(ops["k"] == 0, n * groups * work.weight_bias_bits, 0)
    weight_bits = int((weight_reads * counts).sum()) * work.weight_bits + int((bias_bits * counts).sum())
    accumulator = int((writes * counts).sum()) * device.accumulator_element_bytes
    start_values = schedule.total("bias_bytes")
    return {
        "input_scratchpad_read_bytes": -(-int((input_reads * counts).sum()) * work.input_bits // 8),
        "input_scratchpad_write_bytes": schedule.total("input_bytes") + schedule.kept_output_bytes,
        "weight_scratchpad_read_bytes": -(-weight_bits // 8),
        "weight_scratchpad_write_bytes": schedule.total("weight_bytes"),
        "accumulator_read_bytes": accumulator + start_values,
        "accumulator_write_bytes": accumulator + start_values,
    }


def stream_accesses(schedule: LayerSchedule) -> dict[str, int]:
    """Input scratchpad bytes of a layer off the array: operands in and out once, results in and out once.

    A DMA layer's data only pass through once; the host works in its own memory.
    """
    loaded, stored = schedule.total("input_bytes"), schedule.total("store_bytes")
    if schedule.engine is Engine.HOST:
        return {}
    if schedule.engine is Engine.DMA:
        written, read = max(loaded, schedule.kept_output_bytes), max(stored, schedule.kept_input_bytes)
        return {"input_scratchpad_write_bytes": written, "input_scratchpad_read_bytes": read}
    both = loaded + stored
    return {
        "input_scratchpad_write_bytes": both + schedule.kept_output_bytes,
        "input_scratchpad_read_bytes": both + schedule.kept_input_bytes,
    }
