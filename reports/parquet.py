"""The layers of a run as Parquet, with the same columns for every run, so that many runs are read as one table."""

from __future__ import annotations

import io
from dataclasses import fields
from typing import Any

from simulator.errors import InputError
from simulator.records.activity import ActivityRecord
from simulator.records.layer import EnergyRecord, LayerRecord
from simulator.records.overflow import OverflowRecord
from simulator.records.run import RunRecord
from simulator.records.store import layer_columns

_NESTED = {"energy": EnergyRecord, "activity": ActivityRecord, "overflow": OverflowRecord}
_DERIVED = {
    "energy_pj": "float",
    "overflow.headroom_bits": "int",
    "overflow.outputs_by_needed_bits": "str",
    "overflow.first_event.output": "int",
    "overflow.first_event.k": "int",
    "overflow.first_event.register": "str",
}
_RUN = ("network", "accelerator", "mode", "seed", "network_hash", "spec_hash", "tool_version", "clock_mhz")
"""Fields of the run that stand in the file's metadata, as bittrue.NAME."""


def parquet(record: RunRecord) -> bytes:
    """Return the file: one row a layer, the columns of layers.csv, null where a run has no such figure.

    Raises
    ------
    InputError
        pyarrow is not installed.

    """
    try:
        import pyarrow as pa
        import pyarrow.parquet as pq
    except ModuleNotFoundError as error:
        if error.name is None or error.name.split(".")[0] != "pyarrow":
            raise
        raise InputError("writing Parquet needs pyarrow: pip install 'bittrue[parquet]'") from None
    kinds = {"int": pa.int64(), "float": pa.float64(), "str": pa.string(), "bool": pa.bool_()}
    about = {f"bittrue.{name}": str(getattr(record, name)) for name in _RUN}
    schema = pa.schema([(name, kinds[kind]) for name, kind in columns().items()], metadata=about)
    table = pa.Table.from_pylist([layer_columns(layer) for layer in record.layers], schema=schema)
    buffer = io.BytesIO()
    pq.write_table(table, buffer)
    return buffer.getvalue()


def columns() -> dict[str, str]:
    """Return {column: int, float, str or bool}: all that layers.csv may have, in its order."""
    kinds = dict(_DERIVED) | {part.name: _kind(part.type) for part in fields(LayerRecord)}
    for name, record in _NESTED.items():
        kinds |= {f"{name}.{part.name}": _kind(part.type) for part in fields(record)}
    counted = ActivityRecord(**{part.name: 0 for part in fields(ActivityRecord)})
    everything = LayerRecord(
        0, "", "", "", (), (), core_compute_cycles=(0, 0), activity=counted, overflow=OverflowRecord()
    )
    return {name: kinds[name] for name in layer_columns(everything)}


def _kind(declared: Any) -> str:
    """Return the kind of a declared type; a shape is written as text, 1x65x65x256, and so are cycles of cores."""
    kind = str(declared).removesuffix(" | None")
    return "str" if kind.startswith("tuple") else kind
