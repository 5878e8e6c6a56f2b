"""Spaces for tests of sweeps."""

from __future__ import annotations

from bittrue.sweeping.space import Space


def small_space(**changes: object) -> Space:
    """Return 18 points of a small U-Net, some milliseconds each; `changes` replace entries of the space."""
    data = {
        "name": "small",
        "accelerator": "edge_32x32",
        "networks": [{"network": "unet", "size": 32, "width": 0.125}],
        "fixed": {"mapper": "fixed_rule"},
        "vary": {
            "array.rows": [8, 16, 32],
            "array.cols": [8, 16],
            "dram.bytes_per_cycle": {"from": 4, "to": 16, "factor": 2},
        },
        **changes,
    }
    return Space.model_validate(data)
