"""The time of each layer of a design point, packed to be stored beside its figures."""

from __future__ import annotations

import json
import zlib

from reports.layer_shares import LayerShare
from simulator.records.run import RunRecord


def pack(record: RunRecord) -> bytes:
    """Return name, engine, bound and cycles of each layer as compressed JSON: some 10 bytes a layer."""
    rows = [
        (layer.name, layer.engine, layer.bound, layer.total_cycles, layer.load_stall_cycles, layer.store_stall_cycles)
        for layer in record.layers
    ]
    return zlib.compress(json.dumps([record.total_cycles, rows], separators=(",", ":")).encode(), 1)


def unpack(packed: bytes) -> tuple[LayerShare, ...]:
    """Return the share of each layer in the time of the run; ValueError where `packed` is none of `pack`."""
    try:
        all_cycles, rows = json.loads(zlib.decompress(packed))
        whole = max(1, all_cycles)
        return tuple(
            LayerShare(
                name,
                engine,
                bound,
                total / whole,
                (total - load - store) / whole,
                load / whole,
                store / whole,
            )
            for name, engine, bound, total, load, store in rows
        )
    except (zlib.error, TypeError) as error:
        raise ValueError(f"no times of layers ({error})") from None
