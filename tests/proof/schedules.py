"""Random schedules and accelerators, numbered, and the judge that holds the compiled machine to the SimPy machine."""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import astuple, dataclass, fields, replace
from unittest.mock import patch

import numpy as np

from simulator.accelerator.dram import BankSpec
from simulator.accelerator.spec import Accelerator
from simulator.errors import DoesNotFit, ScheduleError
from simulator.lowering.layer import ConvGeometry, Engine, Layer
from simulator.lowering.lower import lower
from simulator.mapping.mapper import map_layers
from simulator.mapping.schedule import TILE_OP, Hold, LayerSchedule, Schedule
from simulator.timing import fast, machine, trace
from simulator.timing.timeline import LayerTime, Timeline
from support import devices
from support.joined_nets import joined_network
from support.layers import array_layer, conv, gemm, stream_layer, transposed
from support.strategies import any_split

MOST_TILE_OPS = 600
"""Of a mapped network: SimPy does some 40,000 a second."""
_KINDS = ("input", "weight", "bias", "store")


@dataclass(frozen=True)
class TimingCase:
    """One schedule on one accelerator."""

    number: int
    schedule: Schedule
    accelerator: Accelerator
    max_events: int
    """Of the trace, so that spans are joined in short schedules too."""
    banks: BankSpec | None = None
    """Of the DRAM, in place of the accelerator's."""


def timing_case(number: int) -> TimingCase:
    """Make case `number`: every other one is a network as the mapper cuts it, the others tile ops as none would be."""
    rng = np.random.default_rng([20, number])
    max_events = int(rng.choice([9, 40, 18_000]))
    while True:
        accelerator = _accelerator(rng, large=rng.random() < 0.3)
        if number % 2:
            layers = tuple(_tile_ops(rng) for _ in range(rng.integers(1, 4)))
            return TimingCase(number, Schedule(tuple("abc"[: len(layers)]), layers), accelerator, max_events)
        network = [_layer(rng, f"layer{i}") for i in range(rng.integers(1, 6))]
        network += network[: rng.integers(0, 2)]
        try:
            schedule = map_layers(network, accelerator)
        except DoesNotFit:
            continue
        if schedule.tile_ops <= MOST_TILE_OPS:
            return TimingCase(number, schedule, accelerator, max_events)


def banked_case(number: int) -> TimingCase:
    """Make case `number` anew with a banked DRAM of any geometry and timings; tile ops of no mapper lie anywhere."""
    rng = np.random.default_rng([21, number])
    case = timing_case(number)
    rp, rfc = int(rng.integers(0, 20)), int(rng.choice([0, 5, 100]))
    banks = BankSpec(
        banks=int(rng.choice([1, 2, 4, 7, 16])),
        row_bytes=int(rng.choice([30, 64, 256, 1000, 32768])),
        access_bytes=int(rng.choice([1, 7, 16, 64])),
        rcd_cycles=int(rng.integers(0, 20)),
        rp_cycles=rp,
        ras_cycles=int(rng.integers(0, 60)),
        pace_cycles=int(rng.choice([0, 1, 8, 40])),
        wr_cycles=int(rng.integers(0, 20)),
        rfc_cycles=rfc,
        refi_cycles=rp + rfc + int(rng.choice([1, 30, 1000, 100_000])),
    )
    layers = case.schedule.layers
    if number % 2:
        layers = tuple(replace(layer, regions=_regions(rng, layer.ops)) for layer in layers)
    return replace(case, schedule=Schedule(case.schedule.names, layers), banks=banks)


def joined_case(number: int) -> TimingCase:
    """Make case `number` of layers that save each other traffic: pools on the store path, tensors kept and joined.

    Every third one has a banked DRAM, that of `banked_case`; half of them have several cores, on which what can be
    joined is and the rest is split in any way.
    """
    rng = np.random.default_rng([23, number])
    case = banked_case(number) if number % 3 == 0 else timing_case(number)
    while True:
        accelerator = _accelerator(rng, large=rng.random() < 0.3).evolve(joining(rng))
        several = number % 2 == 1
        if several:
            accelerator = accelerator.evolve({"cores": int(rng.integers(2, 5)), "between_layers": "dram"})
        graph = joined_network(rng)
        layers = lower(graph, accelerator)
        try:
            schedule = map_layers(layers, accelerator, any_split_joined if several else lambda _: 0, graph.outputs)
        except DoesNotFit:
            continue
        if schedule.tile_ops <= MOST_TILE_OPS:
            return replace(case, schedule=schedule, accelerator=accelerator)


def has_place(schedule: LayerSchedule) -> bool:
    """Whether a layer on the array reads or writes a part of a larger tensor."""
    return schedule.work is not None and (schedule.work.input_place or schedule.work.output_place) is not None


def any_split_joined(schedule: LayerSchedule) -> int:
    """Stand in for a layer's cycles, so that any split is the best one once, and what can be joined is."""
    joined = has_place(schedule) or schedule.regions is not None or (schedule.work and schedule.work.pool)
    return any_split(schedule) + (0 if joined else 1 << 33)


def joining(rng: np.random.Generator) -> dict[str, object]:
    """Draw how a device lets layers save each other traffic."""
    return {
        "store_path.pools": str(rng.choice(["none", "max", "max_and_average", "max_and_average"])),
        "store_path.pool_buffer": int(rng.choice([0, 30, 300, 100_000])),
        "concatenations": str(rng.choice(["copied", "in_place", "in_place"])),
        "between_layers": str(rng.choice(["dram", "dram", "on_chip"])),
        "mapper": str(rng.choice(["least_traffic", "least_cycles", "fixed_rule"])),
    }


def _regions(rng: np.random.Generator, ops: np.ndarray) -> np.ndarray:
    found = np.zeros((len(ops), len(_KINDS), 2), np.int64)
    for index, kind in enumerate(_KINDS):
        found[:, index, 0] = rng.integers(0, int(rng.choice([1, 50, 10**6])), len(ops))
        gaps = rng.integers(0, int(rng.choice([1, 50, 10**5])), len(ops))
        found[:, index, 1] = ops[f"{kind}_bytes"] + gaps
    return found


def cores_case(number: int) -> TimingCase:
    """Make case `number` on several cores: networks split in any way, or tile ops of no mapper on each of the cores.

    Every third one has a banked DRAM, that of `banked_case`.
    """
    rng = np.random.default_rng([22, number])
    case = banked_case(number) if number % 3 == 0 else timing_case(number)
    cores = int(rng.integers(2, 7))
    accelerator = case.accelerator.evolve({"cores": cores})
    if number % 2:
        layers = tuple(_on_cores(rng, layer, cores) for layer in case.schedule.layers)
        return replace(case, schedule=Schedule(case.schedule.names, layers), accelerator=accelerator)
    while True:
        network = [_layer(rng, f"layer{i}") for i in range(rng.integers(1, 6))]
        try:
            schedule = map_layers(network, accelerator, any_split)
        except DoesNotFit:
            continue
        if schedule.tile_ops <= MOST_TILE_OPS:
            return replace(case, schedule=schedule, accelerator=accelerator)


def _on_cores(rng: np.random.Generator, layer: LayerSchedule, cores: int) -> LayerSchedule:
    """Deal a layer's tile ops out to some of the cores, in stretches of any length, none among them."""
    ends = np.sort(rng.integers(0, len(layer.ops) + 1, rng.integers(0, cores)))
    return replace(layer, core_ops=tuple(np.diff([0, *ends, len(layer.ops)]).tolist()))


def differences(case: TimingCase) -> list[str]:
    """Run both machines; say in what they differ: layer times field by field, every event of the trace, errors."""
    banks = nullcontext() if case.banks is None else patch.object(Accelerator, "dram_banks", case.banks)
    with patch.object(trace, "MAX_EVENTS", case.max_events), banks:
        ours, theirs = _outcome(fast.run_schedule, case), _outcome(machine.run_schedule, case)
        if isinstance(ours, str) or isinstance(theirs, str):
            return [] if ours == theirs else [f"case {case.number}: {ours} / {theirs}"]
        found = []
        for index, (a, b) in enumerate(zip(ours.layers, theirs.layers, strict=True)):
            for name, x, y in zip((f.name for f in fields(LayerTime)), astuple(a), astuple(b), strict=True):
                if x != y:
                    found.append(f"case {case.number}, layer {index}: {name} {x}, SimPy {y}")
        if tuple(ours.events) != tuple(theirs.events):
            found.append(f"case {case.number}: another trace")
    return found


def _outcome(run, case: TimingCase) -> Timeline | str:
    try:
        return run(case.schedule, case.accelerator)
    except ScheduleError as error:
        return str(error)


def _accelerator(rng: np.random.Generator, *, large: bool) -> Accelerator:
    sides = [32, 64, 128, 256] if large else [1, 2, 3, 4, 8]
    scale = 64 if large else 1
    return devices.machine(
        int(rng.choice(sides)),
        int(rng.choice(sides)),
        dataflow=str(rng.choice(["weight_stationary", "output_stationary"])),
        weight_double_buffer=bool(rng.random() < 0.7),
        inputs=int(rng.integers(200, 6000)) * scale,
        weights=int(rng.integers(300, 6000)) * scale * scale // (8 if large else 1),
        accumulators=int(rng.integers(200, 6000)) * scale,
        accumulator_bits=int(rng.choice([16, 20, 32])),
        burst=int(rng.choice([1, 7, 16, 64, 4096])),
        outstanding=int(rng.choice([1, 2, 3, 8, 1 << 20])),
        setup=int(rng.choice([0, 0, 1, 5, 40])),
        latency=int(rng.choice([0, 0, 1, 7, 60, 400])),
        bytes_per_cycle=float(rng.choice([0.3, 1 / 3, 0.731, 1, 2, 3.7, 8, 25.6, 64])),
        lanes=int(rng.integers(1, 9)),
        startup=int(rng.choice([0, 4])),
        host=float(rng.choice([0.3, 1, 4])),
    )


def _layer(rng: np.random.Generator, name: str) -> Layer:
    if rng.random() < 0.35:
        engine = [Engine.VECTOR, Engine.DMA, Engine.HOST][rng.integers(3)]
        size = (int(rng.integers(1, 3000)),)
        moves = bool(rng.random() < 0.9)
        return stream_layer(engine, size, (int(rng.integers(1, 3000)),), ops=size[0], moves_data=moves, name=name)
    bias = [None, "vector", "matrix"][rng.integers(3)]
    return array_layer(_geometry(rng), name, bias=bias)


def _geometry(rng: np.random.Generator) -> ConvGeometry:
    kind = rng.integers(4)
    if kind == 0:
        return gemm(*(int(n) for n in rng.integers(1, 200, 3)))
    if kind == 1:
        stride = int(rng.integers(1, 4))
        sizes = (int(n) for n in rng.integers(1, 9, 4))
        return transposed(*sizes, int(rng.integers(stride, 5)), stride)
    groups = int(rng.integers(1, 5)) if kind == 2 else 1
    channels, filters = (int(n) * groups for n in rng.integers(1, 40, 2))
    kernel, dilation = int(rng.choice([1, 3])), int(rng.integers(1, 4))
    stride, batch = int(rng.integers(1, 3)), int(rng.integers(1, 3))
    height, width = (int(n) for n in rng.integers(2, 24, 2))
    return conv(height, width, channels, filters, kernel, stride, dilation, dilation * (kernel // 2),
                groups=groups, batch=batch)  # fmt: skip


def _tile_ops(rng: np.random.Generator) -> LayerSchedule:
    """Tile ops as no mapper makes them: any sizes, none among them; halves taken and given anyhow, or for ever."""
    count = int(rng.integers(0, 40))
    ops = np.zeros(count, TILE_OP)
    variety = int(rng.integers(1, 6))
    for kind in _KINDS:
        if kind == "bias" and rng.random() < 0.7:
            continue
        sizes = rng.integers(0, rng.choice([2, 40, 3000]), variety) * (rng.random(variety) < 0.8)
        ops[f"{kind}_bytes"] = rng.choice(sizes, count)
        ops[f"{kind}_segments"] = np.minimum(ops[f"{kind}_bytes"], rng.integers(1, 5, variety)[rng.integers(variety)])
    ops["rows"], ops["cols"] = rng.integers(1, 20, count), 1
    ops["k_length"], ops["folds"] = rng.integers(1, 20, count), rng.integers(1, 4, count)
    ops["k"], ops["ops"] = rng.integers(0, 2, count), rng.integers(0, 300, count) * (rng.random(count) < 0.7)
    ops["hold"] = _holds(rng, ops)
    return LayerSchedule([Engine.ARRAY, Engine.VECTOR, Engine.DMA, Engine.HOST][rng.integers(4)], ops)


def _holds(rng: np.random.Generator, ops: np.ndarray) -> np.ndarray:
    count = len(ops)
    if rng.random() < 0.15:
        hold = rng.integers(0, 64, count)
    else:
        hold = np.zeros(count, np.int64)
        for take, give in ((Hold.TAKE_INPUT, Hold.GIVE_INPUT), (Hold.TAKE_WEIGHT, Hold.GIVE_WEIGHT)):
            takes = rng.random(count) < rng.choice([0.3, 1.0])
            takes[:1] = True
            late = give is Hold.GIVE_INPUT and rng.random() < 0.4
            hold |= np.where(takes, take, 0)
            hold |= np.where(np.append(takes[1:], True)[:count], Hold.GIVE_INPUT_WHEN_STORED if late else give, 0)
        # A store gives back a half of accumulator memory, but for those that give back an input.
        stores = (ops["store_bytes"] > 0) & (hold & Hold.GIVE_INPUT_WHEN_STORED == 0)
        hold |= np.where(stores, Hold.TAKE_ACCUMULATOR, 0)
        ops["bias_bytes"] = np.where(stores, ops["bias_bytes"], 0)
    if ops["bias_bytes"].any():
        # Either the load DMA takes halves of accumulator memory or the worker does.
        hold &= np.where(ops["bias_bytes"] > 0, 63, 63 & ~Hold.TAKE_ACCUMULATOR)
    return hold
