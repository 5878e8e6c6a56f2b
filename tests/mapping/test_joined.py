"""Pools on the store path and concatenations in place: what moves and where, element by element; never worse."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from itertools import pairwise

import numpy as np
import pytest

import bittrue
from proof.schedules import any_split_joined, has_place, joining
from simulator.accelerator.spec import Accelerator
from simulator.accelerator.store_path import Pools
from simulator.errors import DoesNotFit, InputError, SpecError
from simulator.graph.ops import Concat
from simulator.lowering.layer import Engine
from simulator.lowering.lower import lower
from simulator.mapping.mapper import map_layers
from simulator.mapping.pools_on_store import PoolChooser, pool_of, store_pools
from simulator.mapping.regions import regions
from simulator.mapping.search import search
from simulator.mapping.store_pool import StorePool, window_rows
from simulator.mapping.tiles import array_schedule
from simulator.mapping.work import Device, Part
from simulator.timing.fast import layer_cycles, run_schedule
from simulator.timing.layer_records import layer_counts, layer_records
from support.devices import machine
from support.joined_nets import joined_network
from support.stored_twin import PoolTwin, addresses, last_chunks, loaded_box, outputs_of, stretches

CASES, SEVERAL = 40, 30
ALL = {"store_path": {"pools": "max_and_average", "pool_buffer": "16 KiB"}, "concatenations": "in_place"}
NETWORKS = ("unet", "fcn_vgg16", "resnet50", "deeplabv3_resnet50")


def device(rng: np.random.Generator) -> Accelerator:
    sizes = {name: int(rng.integers(300, 3000)) for name in ("inputs", "weights", "accumulators")}
    sides = (int(n) for n in rng.integers(1, 9, 2))
    rates = {"latency": int(rng.choice([0, 40])), "bytes_per_cycle": float(rng.choice([1, 8])), "burst": 16}
    flow = str(rng.choice(["weight_stationary", "output_stationary"]))
    return machine(*sides, dataflow=flow, **sizes, **rates).evolve(joining(rng))


def case(number: int, **changes: object):
    """Layers, outputs and device of one random network that fits it; from `CASES` on, a device of several cores."""
    rng = np.random.default_rng([31, number])
    several = {"cores": int(rng.integers(2, 6)), "between_layers": "dram"} if number >= CASES else {}
    while True:
        accelerator = device(rng).evolve({**several, **changes})
        graph = joined_network(rng)
        layers = lower(graph, accelerator)
        try:
            map_layers(layers, accelerator, lambda _: 0)
        except DoesNotFit:
            continue
        return layers, graph.outputs, accelerator


@cache
def joined(number: int):
    """A case, and schedules of its layers joined wherever they can be in DRAM."""
    layers, outputs, accelerator = case(number, between_layers="dram")
    clock = any_split_joined if accelerator.cores > 1 else lambda _: 0
    return layers, outputs, accelerator, map_layers(layers, accelerator, clock, outputs).layers


def moved(schedule, kinds=("input", "weight", "bias", "store")) -> int:
    return sum(schedule.total(f"{kind}_bytes") for kind in kinds)


def whole_of(layers, schedules) -> dict:
    """Where the parts of a concatenation that does nothing lie: name -> (shape of the whole, axis, first position)."""
    found = {}
    for layer, schedule in zip(layers, schedules, strict=True):
        if isinstance(layer.node.op, Concat) and layer.engine is Engine.DMA and not len(schedule.ops):
            axis, before = layer.constants.axis, 0
            for part in layer.inputs:
                found[part.name] = (layer.outputs[0].shape, axis, before, layer.outputs[0].name)
                before += part.shape[axis]
    return found


def part_of(schedule, index: int) -> Part:
    """The part of the layer that a tile op belongs to."""
    if not schedule.parts:
        return Part.whole(schedule.work.geometry)
    return next(p for p, where in zip(schedule.parts, schedule.core_slices, strict=True) if index < where.stop)


def table_of(name: str, shape, places) -> np.ndarray:
    """Addresses of a tensor's elements, through all concatenations that it is part of."""
    if name not in places:
        return addresses(shape)
    whole, axis, before, larger = places[name]
    return table_of(larger, whole, places).take(range(before, before + shape[axis]), axis)


@pytest.mark.parametrize("number", range(CASES + SEVERAL))
def test_every_window_and_every_part_is_stored_where_it_belongs(number):
    layers, outputs, accelerator, after = joined(number)
    places = whole_of(layers, after)
    reshaped = {layer.inputs[0].name for layer in layers if not layer.moves_data}
    assert not places.keys() & ({*outputs} | reshaped)
    for index, (layer, schedule) in enumerate(zip(layers, after, strict=True)):
        if layer.engine is not Engine.ARRAY:
            continue
        pool, y, g = schedule.work.pool, layer.outputs[0], layer.geometry
        twin = None
        if pool is not None:
            reader = next(i for i, other in enumerate(layers) if other.inputs[0].name == y.name)
            assert len(after[reader].ops) == 0
            assert y.name not in outputs
            y, op = layers[reader].outputs[0], layers[reader].node.op
            twin = PoolTwin(g, op.kernel, op.stride, (op.padding.top, op.padding.left), y.shape[1:3])
        table, found, written = table_of(y.name, y.shape, places), regions(schedule), set()
        for i in last_chunks(schedule):
            made = outputs_of(schedule.ops[i], g)
            chosen = np.array([table[place] for place in (made if twin is None else twin.tile(made))])
            assert schedule.ops["store_bytes"][i] == len(chosen)
            assert schedule.ops["store_segments"][i] == stretches(chosen)
            assert tuple(found[i, 3]) == (chosen.min(), np.ptp(chosen) + 1)
            assert not written & set(chosen.tolist())
            written |= set(chosen.tolist())
        assert written == set(table.ravel().tolist())
        if twin is not None:
            bits = pool.waiting_bits(8)
            assert bits == (8 + (np.prod(op.kernel) * 255).item().bit_length() - 8 if pool.average else 8)
            assert twin.most_waiting * bits <= 8 * accelerator.store_path.pool_buffer, index


@pytest.mark.parametrize("padding", range(3))
@pytest.mark.parametrize("size", range(1, 4))
@pytest.mark.parametrize("stride", range(1, 5))
def test_rows_are_cut_for_cores_where_no_window_is(padding, size, stride):
    for height in range(size, 12):
        out = (height + min(padding, size - 1) - size) // stride + 1
        pool = StorePool((size, 1), (stride, 1), (min(padding, size - 1), 0), (out, 1), average=False)
        windows = [{r for r in range(j * stride - pool.padding[0], height) if r >= 0} for j in range(out)]
        windows = [set(sorted(w)[: size - max(0, pool.padding[0] - j * stride)]) for j, w in enumerate(windows)]
        free = [r for r in range(1, height) if not any(r in w and r - 1 in w for w in windows)]
        cuts = window_rows(pool, height).tolist()
        assert cuts == [0, *(r for r in free if any(r == min(w) and j for j, w in enumerate(windows))), height]
        for begin, end in pairwise(cuts):
            part, inside = pool.of_rows(begin, end - begin), [w for w in windows if w <= set(range(begin, end))]
            assert part.out[0] == len(inside) > 0
            first = windows.index(inside[0])
            assert (first, pool.first_window(begin)) == (first, first)
            assert max(0, -part.padding[0]) == min(inside[0]) - begin


@pytest.mark.parametrize("number", range(CASES + SEVERAL))
def test_readers_of_a_part_load_the_same_bytes_with_a_stride(number):
    layers, _, _, after = joined(number)
    places = whole_of(layers, after)
    for layer, schedule in zip(layers, after, strict=True):
        if layer.engine is not Engine.ARRAY:
            continue
        x = layer.inputs[0]
        table, found = table_of(x.name, x.shape, places), regions(schedule)
        for i in np.flatnonzero(schedule.ops["input_bytes"]):
            box = loaded_box(schedule.ops[i], layer.geometry, schedule.mapping, part_of(schedule, i))
            chosen = table[np.ix_(*box)]
            assert schedule.ops["input_bytes"][i] == chosen.size
            exact = sum(stretches(image) for image in chosen)
            assert schedule.ops["input_segments"][i] >= exact
            if np.ptp(box[2]) < len(box[2]):  # else the end of a row may touch the beginning of the next
                assert schedule.ops["input_segments"][i] == exact
            assert found[i, 0, 0] <= chosen.min()
            assert found[i].sum(axis=1)[0] > chosen.max()


@pytest.mark.parametrize("number", range(CASES, CASES + SEVERAL))
def test_on_several_cores_they_are_never_slower(number):
    layers, outputs, accelerator = case(number)
    plain = {"store_path.pools": "none", "concatenations": "copied"}
    cycles = layer_cycles(accelerator)
    before = map_layers(layers, accelerator.evolve(plain), cycles, outputs, bounded=True)
    after = map_layers(layers, accelerator, cycles, outputs, bounded=True)
    times = run_schedule(after, accelerator)
    assert times.total_cycles <= run_schedule(before, accelerator).total_cycles
    counts = layer_counts(after, layers, accelerator)
    for layer, record in zip(layers, layer_records(counts, times, layers, accelerator), strict=True):
        assert record.dram_bytes <= record.total_cycles * accelerator.dram_bytes_per_cycle
        if layer.engine is Engine.ARRAY:
            pes = accelerator.array.rows * accelerator.array.cols
            assert record.macs == layer.geometry.macs
            assert record.idle_pe_cycles == pes * sum(record.core_compute_cycles) - record.macs
    # However layers are joined and split, each element of what leaves them is written once.
    written = sum(schedule.total("store_bytes") for schedule in after.layers)
    apart = sum(schedule.total("store_bytes") for schedule in before.layers)
    done = [layer for layer, s in zip(layers, after.layers, strict=True) if layer.moves_data and not len(s.ops)]
    copies = sum(layer.outputs[0].bytes for layer in done if isinstance(layer.node.op, Concat))
    full_maps = sum(layer.inputs[0].bytes for layer in done if not isinstance(layer.node.op, Concat))
    assert written == apart - copies - full_maps


@pytest.mark.parametrize("number", range(CASES))
def test_together_layers_are_never_slower_and_never_move_more(number):
    layers, outputs, accelerator = case(number)
    plain = {"store_path.pools": "none", "concatenations": "copied", "between_layers": "dram"}
    cycles = layer_cycles(accelerator)
    before = map_layers(layers, accelerator.evolve(plain), cycles, outputs)
    after = map_layers(layers, accelerator, cycles, outputs)
    assert run_schedule(after, accelerator).total_cycles <= run_schedule(before, accelerator).total_cycles
    assert sum(map(moved, after.layers)) <= sum(map(moved, before.layers))
    for layer, old, new in zip(layers, before.layers, after.layers, strict=True):
        if layer.engine is Engine.ARRAY:
            assert moved(new, ("weight", "bias")) >= moved(old, ("weight", "bias")) or new.work.pool
            assert (new.ops["k"] % accelerator.array.rows == 0).all()


def test_cases_reach_pools_of_both_kinds_parts_read_twice_and_parts_of_parts():
    seen = dict.fromkeys(["max", "average", "waits", "placed", "read", "nested", "pooled part", "copied"], 0)
    cuts = {f"{axis} of a {what}": 0 for axis in ("rows", "channels") for what in ("pool", "part")}
    for number in range(CASES + SEVERAL):
        layers, _, _, after = joined(number)
        places = whole_of(layers, after)
        seen["nested"] += sum(entry[3] in places for entry in places.values())
        for layer, schedule in zip(layers, after, strict=True):
            seen["copied"] += isinstance(layer.node.op, Concat) and len(schedule.ops) > 0
            if schedule.work is None:
                continue
            pool, target = schedule.work.pool, schedule.work.output_place
            seen["placed"] += target is not None
            seen["read"] += schedule.work.input_place is not None
            if pool is not None:
                seen["average" if pool.average else "max"] += 1
                seen["waits"] += max(pool.size[0] - pool.stride[0], 0)
                seen["pooled part"] += target is not None
            for axis, first in (("rows", "row"), ("channels", "channel")):
                cut = len({getattr(part, first) for part in schedule.parts}) > 1
                cuts[f"{axis} of a pool"] += cut and pool is not None
                cuts[f"{axis} of a part"] += cut and target is not None
    assert min(seen.values()) > 2, seen
    assert min(cuts.values()) > 1, cuts


@pytest.mark.parametrize("name", ["edge_32x32", "edge_16x16_os", "tpu_v1", "nvdla_small"])
@pytest.mark.parametrize("network", NETWORKS)
def test_built_in_networks_are_never_worse(network, name):
    net, accelerator = bittrue.load_network(network), bittrue.load_accelerator(name)
    old, new = (bittrue.simulate(net, a).record for a in (accelerator, accelerator.evolve(ALL)))
    assert new.total_cycles <= old.total_cycles
    assert new.dram_read_bytes <= old.dram_read_bytes
    assert new.dram_write_bytes <= old.dram_write_bytes
    assert new.total_energy_pj <= old.total_energy_pj
    assert [layer.macs for layer in new.layers] == [layer.macs for layer in old.layers]
    assert [layer.vector_ops for layer in new.layers] == [layer.vector_ops for layer in old.layers]
    done = {layer.name: layer.done_by for layer in new.layers if layer.done_by}
    assert done
    assert all(layer.total_cycles == layer.dram_bytes == 0 for layer in new.layers if layer.done_by)


@pytest.mark.parametrize(("network", "name"), [("unet", "edge_32x32"), ("fcn_vgg16", "tpu_v1")])
def test_built_in_networks_on_several_cores_are_never_worse(network, name):
    net, accelerator = bittrue.load_network(network), bittrue.load_accelerator(name).evolve({"cores": 3})
    old, new = (bittrue.simulate(net, a).record for a in (accelerator, accelerator.evolve(ALL)))
    assert new.total_cycles < old.total_cycles
    assert new.dram_bytes < old.dram_bytes
    assert [layer.macs for layer in new.layers] == [layer.macs for layer in old.layers]
    done = [layer for layer in new.layers if layer.done_by]
    assert done
    assert all(layer.total_cycles == layer.dram_bytes == 0 for layer in done)


def test_the_record_says_what_is_done_on_whose_store():
    net, accelerator = bittrue.load_network("fcn_vgg16", size=64), bittrue.load_accelerator("edge_32x32")
    plain, joined = (bittrue.simulate(net, a).record for a in (accelerator, accelerator.evolve(ALL)))
    by_name = {layer.name: layer for layer in joined.layers}
    assert by_name["conv1_2"].on_store == "requantize, relu, max_pool pool1"
    assert by_name["conv1_1"].on_store == "requantize, relu"
    assert (by_name["pool1"].done_by, by_name["pool1"].on_store) == ("conv1_2", "")
    assert {layer.done_by for layer in plain.layers} == {""}
    assert [layer.on_store for layer in plain.layers][:2] == ["requantize, relu"] * 2
    unet = bittrue.simulate(bittrue.load_network("unet", size=48, width=0.25), accelerator.evolve(ALL)).record
    joins = [layer.done_by for layer in unet.layers if layer.op == "Concat"]
    assert joins[0] == "down3.conv2, up3.transposed"


def test_a_change_of_the_switches_is_not_answered_from_what_was_mapped_before():
    net, accelerator = bittrue.load_network("fcn_vgg16", size=64), bittrue.load_accelerator("edge_32x32")
    first, joined, again = (bittrue.simulate(net, accelerator.evolve(c)).record for c in ({}, ALL, {}))
    assert joined.total_cycles < first.total_cycles
    assert again == first


def test_values_are_the_same():
    net = bittrue.load_network("unet", size=16, width=0.25, weights="seeded")
    image = np.random.default_rng(1).normal(size=(1, 16, 16, 3)).astype(np.float32)
    net = net.quantize([image])
    accelerator = bittrue.load_accelerator("edge_32x32")
    stored = np.random.default_rng(2).integers(-128, 128, image.shape).astype(np.int8)
    before = bittrue.simulate(net, accelerator, [stored])
    for change in (ALL, {**ALL, "cores": 3}):
        after = bittrue.simulate(net, accelerator.evolve(change), [stored])
        assert after.record.total_cycles < before.record.total_cycles
        assert [layer.overflow for layer in after.layers] == [layer.overflow for layer in before.layers]
        for name, values in before.outputs.items():
            assert np.array_equal(values, after.outputs[name])


def test_what_would_be_slower_is_not_done():
    layers, outputs, accelerator = case(
        3, between_layers="dram", concatenations="in_place", **{"store_path.pools": "max"}
    )
    assert any(map(has_place, map_layers(layers, accelerator, lambda _: 0, outputs).layers))
    dearer = map_layers(layers, accelerator, lambda s: 10 * (has_place(s) or bool(s.work and s.work.pool)), outputs)
    assert not any(has_place(s) or (s.work and s.work.pool) for s in dearer.layers)


def test_it_is_refused_where_it_cannot_be():
    layers, outputs, accelerator = case(0, concatenations="in_place")
    with pytest.raises(InputError, match="concatenations in_place or pools on the store path times its layers"):
        map_layers(layers, accelerator, None, outputs)
    gemmini = bittrue.load_accelerator("gemmini_16x16")
    with pytest.raises(SpecError, match="copy what they join; make concatenations copied"):
        gemmini.evolve({"concatenations": "in_place"})
    with pytest.raises(SpecError, match="have a max pool of their own; leave store_path out"):
        gemmini.evolve({"store_path.pools": "max"})
    with pytest.raises(SpecError, match="a core reads no scratchpad but its own; make between_layers dram"):
        accelerator.evolve({"cores": 2, "between_layers": "on_chip"})
    with pytest.raises(SpecError, match=r"store_path\.pools"):
        accelerator.evolve({"store_path.pools": "mean"})


def test_a_pool_that_moves_more_bytes_stays_a_layer_however_fast():
    """Tiles of a window and a channel load inputs and weights again and again; here no time is counted."""
    taken = {True: 0, False: 0}
    for number in range(CASES):
        layers, outputs, accelerator = case(number, between_layers="dram")
        plain = list(map_layers(layers, accelerator.evolve({"store_path": {"pools": "none"}}), lambda _: 0).layers)
        built = Device.of(accelerator)
        pairs = store_pools(layers, outputs, Pools.MAX_AND_AVERAGE)

        def by_window(work, built=built):
            best, (rows, cols) = search(replace(work, pool=None), built), work.pool.stride
            mapping = best and replace(best, rows=rows, cols=cols, channels=1)
            return mapping and array_schedule(work, mapping, built)

        chooser = PoolChooser(by_window, lambda _: 0)
        done, after = chooser.apply(layers, plain, pairs)
        for before, pool in pairs.items():
            work = replace(plain[before].work, pool=pool_of(layers[pool]))
            found = by_window(work)
            if found:
                fits = moved(found) <= moved(plain[before]) + moved(plain[pool])
                taken[fits] += 1
                assert (before in done) == fits
                assert moved(after[before]) == (moved(found) if fits else moved(plain[before]))
    assert min(taken.values()) > 3
