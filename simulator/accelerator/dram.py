"""External memory of a specification: its path's bandwidth and latency, its model, and its banks."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from math import ceil
from typing import Annotated, Literal, Self

from pydantic import BeforeValidator, Field, model_validator

from simulator.accelerator.base import Spec
from simulator.accelerator.dram_devices import DEVICES, DramDevice
from simulator.accelerator.units import parse_bytes_per_second

Bandwidth = Annotated[float, BeforeValidator(parse_bytes_per_second), Field(gt=0)]
LEAST_BYTES_PER_CYCLE = 0.001
"""Below it a bandwidth has lost its unit, and the exact fraction its digits."""
MOST_CYCLES = 10**9
"""Longest fixed delay of a device, so that sums of them fit 64 bits."""


class Dram(Spec):
    """External memory. Exactly one of each pair is given; cycles are canonical."""

    bandwidth: Bandwidth | None = None
    """Peak bandwidth in bytes per second, e.g. 12.8 GB/s."""
    bytes_per_cycle: float | None = Field(default=None, gt=0)
    """Peak bandwidth in bytes per accelerator cycle."""
    latency_ns: float | None = Field(default=None, ge=0)
    """Latency of one request, nanoseconds; banked: to a row that is open."""
    latency_cycles: int | None = Field(default=None, ge=0, le=MOST_CYCLES)
    """Latency of one request, accelerator cycles; banked: to a row that is open."""
    model: Literal["simple", "banked"] = "simple"
    """simple = fixed latency and bandwidth; banked = rows, banks and refresh of `device` besides."""
    device: Literal["ddr4_3200", "lpddr4x_3200", "hbm2_2000"] | None = None
    """DRAM module whose geometry and timings `model: banked` takes."""
    modules: int = Field(default=1, ge=1, le=64)
    """Modules of `device` abreast, interleaved burst by burst."""
    type: Literal["ddr3", "ddr4", "lpddr4", "hbm2"] = "lpddr4"
    """Decides the energy of a bit, nothing else."""

    @model_validator(mode="after")
    def _exactly_one_of_each(self) -> Self:
        for a, b in (("bandwidth", "bytes_per_cycle"), ("latency_ns", "latency_cycles")):
            if (getattr(self, a) is None) == (getattr(self, b) is None):
                raise ValueError(f"give exactly one of {a} and {b}")
        return self

    @model_validator(mode="after")
    def _banked_has_a_device(self) -> Self:
        if self.model == "banked" and self.device is None:
            raise ValueError(f"model: banked needs dram.device, one of {', '.join(DEVICES)}")
        if self.device is not None and self.type != DEVICES[self.device].type:
            raise ValueError(f"type: {self.device} is priced as {DEVICES[self.device].type}; make dram.type that")
        return self

    def problem(self, clock_mhz: float) -> str:
        """Say what cannot be at this clock, else nothing: a bandwidth too low or above the device's, a long latency."""
        given = self.bandwidth if self.bandwidth is not None else (self.bytes_per_cycle or 0) * clock_mhz * 1e6
        each = given / clock_mhz / 1e6
        if each < LEAST_BYTES_PER_CYCLE:
            return (
                f"{given:g} bytes/s, {each:g} bytes a cycle, is too slow: at least {LEAST_BYTES_PER_CYCLE:g} bytes a "
                "cycle; write the unit of dram.bandwidth, e.g. 12.8 GB/s"
            )
        if self.latency_ns is not None and self.latency_ns * clock_mhz / 1000 > MOST_CYCLES:
            latency = f"{self.latency_ns:g} ns at {clock_mhz:g} MHz"
            return f"{latency} is more than {MOST_CYCLES:,} cycles; lower dram.latency_ns"
        return self._beyond_the_device(given)

    def _beyond_the_device(self, given: float) -> str:
        if self.device is None:
            return ""
        peak = DEVICES[self.device].peak_bytes_per_second * self.modules
        if given <= peak * 1.000001:
            return ""
        return (
            f"{given / 1e9:g} GB/s is more than {self.modules} of {self.device} give ({peak / 1e9:g} GB/s); "
            "lower dram.bandwidth or raise dram.modules"
        )


@dataclass(frozen=True)
class BankSpec:
    """Banks of a DRAM in accelerator cycles, rounded up; a row is opened in all channels and bank groups at once."""

    banks: int
    row_bytes: int
    """Page x channels x bank groups x modules: bursts go round them all."""
    access_bytes: int
    rcd_cycles: int
    rp_cycles: int
    ras_cycles: int
    pace_cycles: int
    """From the opening of a row to that of the next: tRRD each, and at most four in tFAW, of every bank group."""
    wr_cycles: int
    rfc_cycles: int
    refi_cycles: int

    @classmethod
    def of(cls, dram: Dram, clock_mhz: float) -> BankSpec | None:
        """Read the banks off a specification; None where the model has none."""
        if dram.model == "simple" or dram.device is None:
            return None
        device: DramDevice = DEVICES[dram.device]

        def cycles(ns: float) -> int:
            return ceil(Fraction(ns) * Fraction(clock_mhz) / 1000)

        groups = device.bank_groups
        return cls(
            banks=device.banks_per_group,
            row_bytes=device.page_bytes * device.channels * groups * dram.modules,
            access_bytes=device.access_bytes,
            rcd_cycles=cycles(device.rcd_ns),
            rp_cycles=cycles(device.rp_ns),
            ras_cycles=cycles(device.ras_ns),
            pace_cycles=cycles(groups * max(device.rrd_ns, device.faw_ns / 4)),
            wr_cycles=cycles(device.wr_ns),
            rfc_cycles=cycles(device.rfc_ns),
            # Rounded down: refresh no less often than the data sheet asks.
            refi_cycles=max(1, int(Fraction(device.refi_ns) * Fraction(clock_mhz) / 1000)),
        )
