"""The time of each layer of a design point, packed to be stored beside its figures."""

from __future__ import annotations

import json
import zlib
from functools import lru_cache

from reports.layer_shares import LayerShare
from simulator.records.run import RunRecord


def pack(record: RunRecord) -> bytes:
    """Return engine, bound and cycles of each layer, some 12 bytes a layer: compressed lines of JSON.

    A sweep packs thousands of points: what they have in common is written once a process.
    """
    layers = record.layers
    cycles = [record.total_cycles]
    for layer in layers:
        cycles += (layer.total_cycles, layer.load_stall_cycles, layer.store_stall_cycles)
    names = _lines(tuple(layer.name for layer in layers), tuple(layer.engine for layer in layers))
    bounds = '","'.join(layer.bound for layer in layers)
    return zlib.compress(f'{names}["{bounds}"]\n{cycles}'.encode(), 1)


@lru_cache(maxsize=64)
def _lines(names: tuple[str, ...], engines: tuple[str, ...]) -> str:
    return f"{json.dumps(names)}\n{json.dumps(engines)}\n"


def unpack(packed: bytes) -> tuple[LayerShare, ...]:
    """Return the share of each layer in the time of the run; ValueError where `packed` is none of `pack`."""
    try:
        names, engines, bounds, cycles = map(json.loads, zlib.decompress(packed).splitlines())
        whole = max(1, cycles[0])
        triples = zip(cycles[1::3], cycles[2::3], cycles[3::3], strict=True)
        return tuple(
            LayerShare(name, engine, bound, total / whole, (total - load - store) / whole, load / whole, store / whole)
            for name, engine, bound, (total, load, store) in zip(names, engines, bounds, triples, strict=True)
        )
    except (zlib.error, TypeError, IndexError) as error:
        raise ValueError(f"no times of layers ({error})") from None
