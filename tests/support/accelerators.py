"""Devices for tests, small and explicit."""

from __future__ import annotations

from typing import Any

from simulator.accelerator.spec import Accelerator

_BASE: dict[str, Any] = {
    "name": "test_device",
    "clock_mhz": 1000,
    "array": {"rows": 8, "cols": 8, "dataflow": "weight_stationary"},
    "arithmetic": {
        "activation": "int8",
        "weight": "int8",
        "accumulator": {"bits": 32, "overflow": "wrap"},
        "requantizer": "fixed_point_double",
    },
    "memories": {
        "input_scratchpad": {"size": "128 KiB", "banks": 4, "width_bits": 64},
        "weight_scratchpad": {"size": "64 KiB", "banks": 4, "width_bits": 64},
        "accumulator": {"size": "64 KiB", "banks": 4, "width_bits": 256},
    },
    "dma": {"burst_bytes": 64, "max_outstanding": 8, "setup_cycles": 10},
    "dram": {"bytes_per_cycle": 8, "latency_cycles": 50},
    "vector_unit": {"lanes": 8},
    "energy_table": "illustrative_22nm",
}


def device(**changes: Any) -> Accelerator:
    """A small weight-stationary device; keywords are dotted keys with `__` for the dot."""
    base = Accelerator.model_validate(_BASE)
    return base.evolve({key.replace("__", "."): value for key, value in changes.items()}) if changes else base


def reference_device() -> Accelerator:
    """Arithmetic of the TFLite reference kernels: 32-bit wrapping accumulators, double rounding."""
    return device()
