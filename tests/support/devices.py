"""Devices for tests of mapping, time and energy: every number that they depend on is an argument."""

from __future__ import annotations

from typing import Any

from simulator.accelerator.energy import EnergyTable
from simulator.accelerator.spec import Accelerator


def machine(
    rows: int = 8,
    cols: int = 8,
    *,
    dataflow: str = "weight_stationary",
    weight_double_buffer: bool = True,
    inputs: int = 64 * 1024,
    weights: int = 32 * 1024,
    accumulators: int = 32 * 1024,
    accumulator_bits: int = 32,
    burst: int = 64,
    outstanding: int = 8,
    setup: int = 10,
    latency: int = 50,
    bytes_per_cycle: float = 8,
    lanes: int = 8,
    startup: int = 4,
    host: float = 1.0,
    cores: int = 1,
) -> Accelerator:
    """Accelerator of the given sizes (bytes) and rates (per cycle)."""
    spec: dict[str, Any] = {
        "name": "machine",
        "clock_mhz": 1000,
        "array": {"rows": rows, "cols": cols, "dataflow": dataflow, "weight_double_buffer": weight_double_buffer},
        "cores": cores,
        "arithmetic": {
            "activation": "int8",
            "weight": "int8",
            "accumulator": {"bits": accumulator_bits},
            "requantizer": "fixed_point_double",
        },
        "memories": {
            "input_scratchpad": {"size": inputs},
            "weight_scratchpad": {"size": weights},
            "accumulator": {"size": accumulators},
        },
        "dma": {"burst_bytes": burst, "max_outstanding": outstanding, "setup_cycles": setup},
        "dram": {"bytes_per_cycle": bytes_per_cycle, "latency_cycles": latency},
        "vector_unit": {"lanes": lanes, "startup_cycles": startup},
        "host": {"elements_per_cycle": host},
        "energy_table": "none",
    }
    return Accelerator.model_validate(spec)


def energy_table(**prices: float) -> EnergyTable:
    """Energy table of the given prices (pJ; leakage in mW), 0 where not given."""
    names = [name for name in EnergyTable.model_fields if name not in ("name", "node_nm", "description", "leakage")]
    data: dict[str, Any] = {name: {"pj": prices.get(name, 0.0), "source": "test"} for name in names}
    data |= {"name": "test", "node_nm": 22, "leakage": {"mw": prices.get("leakage", 0.0), "source": "test"}}
    return EnergyTable.model_validate(data)
