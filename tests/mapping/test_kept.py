"""Tensors kept on chip: which, that room is never exceeded, that no layer is worse, that both machines agree."""

from __future__ import annotations

import pytest

import bittrue
from simulator.accelerator.spec import Accelerator
from simulator.errors import InputError, SpecError
from simulator.lowering.lower import lower
from simulator.mapping.kept import _tile_bytes, input_half_bytes, keep
from simulator.mapping.mapper import map_layers
from simulator.mapping.schedule import Schedule
from simulator.mapping.work import ArrayWork, Device
from simulator.timing import fast, machine
from simulator.timing.fast import layer_cycles
from support import devices
from support.layers import array_layer, conv, gemm

ON_CHIP = {"between_layers": "on_chip"}


def device(inputs: int, **sizes: int) -> Accelerator:
    return devices.machine(16, 16, inputs=inputs, **sizes).evolve(ON_CHIP)


def unet(accelerator: Accelerator):
    """Layers of a small network with skips and concatenations, and the names of its outputs."""
    graph = bittrue.load_network("unet", size=48, width=0.25).ready(for_values=False).graph
    return lower(graph, accelerator), set(graph.outputs)


def kept(layers, accelerator: Accelerator, outputs=()) -> Schedule:
    return map_layers(layers, accelerator, layer_cycles(accelerator), outputs)


@pytest.mark.parametrize("inputs", [16, 64, 512, 8192])
def test_no_layer_is_worse_and_the_machines_agree(inputs):
    accelerator = device(inputs * 1024, weights=16 * 1024, accumulators=16 * 1024)
    layers, outputs = unet(accelerator)
    before = map_layers(layers, accelerator.evolve({"between_layers": "dram"}))
    after = kept(layers, accelerator, outputs)
    times = [fast.run_schedule(s, accelerator).layers for s in (before, after)]
    for old, new, a, b in zip(*times, before.layers, after.layers, strict=True):
        assert new.end_cycle - new.start_cycle <= old.end_cycle - old.start_cycle
        assert b.total("weight_bytes") == a.total("weight_bytes")
        assert b.total("input_bytes") + b.kept_input_bytes >= min(a.total("input_bytes"), b.kept_input_bytes)
        assert b.total("store_bytes") in (a.total("store_bytes"), 0)
    assert machine.run_schedule(after, accelerator).layers == times[1]
    # Whatever is not stored is read nowhere, and the other way round: a reader of what was kept loads nothing of it.
    stored = {o.name for layer, s in zip(layers, after.layers, strict=True) for o in layer.outputs
              if s.total("store_bytes")}  # fmt: skip
    assert outputs <= stored


def test_what_would_make_a_layer_slower_is_not_kept():
    """A clock to which every load that is left out costs a cycle; then one to which it does not."""
    accelerator = device(8192 * 1024)
    layers, outputs = unet(accelerator)
    before = map_layers(layers, accelerator.evolve({"between_layers": "dram"})).layers
    size = accelerator.memories.input_scratchpad.size
    slower = keep(layers, before, size, lambda schedule: schedule.kept_input_bytes, outputs)
    assert [id(schedule) for schedule in slower] == [id(schedule) for schedule in before]
    same = keep(layers, before, size, lambda _: 0, outputs)
    assert sum(schedule.kept_input_bytes for schedule in same) > 0


def test_more_memory_keeps_more():
    layers, outputs = unet(device(1 << 20))
    moved = []
    for inputs in (16, 64, 512, 8192):
        after = kept(layers, device(inputs * 1024), outputs)
        moved.append(sum(s.total("input_bytes") + s.total("store_bytes") for s in after.layers))
    assert moved[0] > moved[1] > moved[2] >= moved[3]
    # With room for all, only the image comes in and only the result goes out.
    assert moved[3] == layers[0].inputs[0].bytes + layers[-1].outputs[0].bytes


def test_room_is_never_exceeded():
    accelerator = device(100 * 1024)
    layers, outputs = unet(accelerator)
    after = kept(layers, accelerator, outputs)
    produced = {o.name: i for i, layer in enumerate(layers) for o in layer.outputs}
    size = {o.name: o.bytes for layer in layers for o in layer.outputs}
    alive = [0] * len(layers)
    names = {
        o.name for layer, s in zip(layers, after.layers, strict=True) if s.kept_output_bytes for o in layer.outputs
    }
    for name in names:
        readers = [i for i, layer in enumerate(layers) for t in layer.inputs if t is not None and t.name == name]
        for i in range(produced[name], max(readers) + 1):
            alive[i] += size[name]
    assert names
    for layer, schedule, bytes_kept in zip(layers, after.layers, alive, strict=True):
        assert bytes_kept + _tile_bytes(layer, schedule, names) <= 100 * 1024


@pytest.mark.parametrize("sizes", [(300, 200, 200), (900, 600, 300), (60_000, 60_000, 60_000)])
@pytest.mark.parametrize("geometry", [conv(13, 11, 6, 9, 3, 1, 1, 1), conv(12, 9, 5, 7, 3, 2, 2, 2), gemm(40, 70, 30)])
def test_a_tile_takes_what_its_half_holds(geometry, sizes):
    inputs, weights, accumulators = sizes
    accelerator = devices.machine(4, 4, inputs=inputs, weights=weights, accumulators=accumulators)
    layer = array_layer(geometry, "a", bias="vector")
    schedule = map_layers([layer], accelerator).layers[0]
    need = input_half_bytes(ArrayWork.of(layer), schedule.mapping)
    assert int(schedule.ops["input_bytes"].max()) <= need <= Device.of(accelerator).input_half_bytes


def test_the_record_says_what_was_saved():
    net = bittrue.load_network("unet", size=48, width=0.25)
    accelerator = bittrue.load_accelerator("edge_32x32")
    old, new = (bittrue.simulate(net, a).record for a in (accelerator, accelerator.evolve(ON_CHIP)))
    assert sum(layer.dram_bytes for layer in new.layers) < sum(layer.dram_bytes for layer in old.layers)
    assert new.total_energy_pj < old.total_energy_pj
    for a, b in zip(new.layers, old.layers, strict=True):
        # What does not come from DRAM is read on chip all the same, and what stays was written there.
        if a.engine == "array":
            assert a.input_scratchpad_read_bytes == b.input_scratchpad_read_bytes
            assert a.accumulator_write_bytes == b.accumulator_write_bytes
        assert a.total_cycles <= b.total_cycles
        assert a.macs == b.macs


def test_it_is_refused_where_it_cannot_be():
    layers, _ = unet(device(1 << 20))
    with pytest.raises(InputError, match=r"between_layers on_chip, .* times its layers"):
        map_layers(layers, device(1 << 20))
    with pytest.raises(SpecError, match="leave tensors in memory; make between_layers dram"):
        bittrue.load_accelerator("gemmini_16x16").evolve(ON_CHIP)
