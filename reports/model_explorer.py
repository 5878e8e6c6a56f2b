"""One figure of every layer as node data for Google's Model Explorer, which colours the network's graph by it.

The format is `GraphNodeData` of that tool's `node_data_builder.py` (Apache-2.0): `results` by tensor or node name, and
a `gradient` from the least to the largest value. It is opened beside the network's own file (.tflite, .onnx), whose
tensors or nodes bear the names that layers have.
"""

from __future__ import annotations

import json
import math
from typing import Any

from reports.layer_table import value_of
from simulator.errors import InputError
from simulator.records.run import RunRecord

DEFAULT = "total_cycles"
"""The figure that is shown where no other is asked for."""
_GRADIENT = ((0.0, "#f7fbff"), (0.5, "#6baed6"), (1.0, "#d95f02"))


def node_data(record: RunRecord, field: str = DEFAULT) -> dict[str, Any]:
    """Return the node data of one field of every layer.

    Parameters
    ----------
    record
        The run.
    field
        A number in `LayerRecord`, its overflow ledger or its activity: total_cycles, energy_pj, dram_bytes,
        utilization, needed_bits, events ...

    Raises
    ------
    InputError
        No layer of this run has such a number.

    """
    values: dict[str, float] = {}
    for layer in record.layers:
        value = value_of(layer, field)
        if value is None or isinstance(value, bool) or not math.isfinite(value):
            continue
        # A name that several layers bear is one node there.
        values[layer.name] = values.get(layer.name, 0) + value
    if not values:
        raise InputError(
            f"no layer of this run has a number {field!r}; total_cycles, energy_pj, dram_bytes, utilization or "
            "needed_bits are such (`bittrue explain` lists them all)"
        )
    gradient = [{"stop": stop, "bgColor": colour} for stop, colour in _GRADIENT]
    return {"results": {name: {"value": value} for name, value in values.items()}, "gradient": gradient}


def node_data_text(record: RunRecord, field: str = DEFAULT) -> str:
    """Return the same as JSON text."""
    return json.dumps(node_data(record, field), indent=1, allow_nan=False) + "\n"
