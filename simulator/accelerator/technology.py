"""Technology: what components of a node cost by their widths and sizes. Every number carries its source."""

from __future__ import annotations

from math import log

from pydantic import Field

from simulator.accelerator.base import Spec
from simulator.accelerator.energy import Price
from simulator.accelerator.memories import Memory


class Component(Spec):
    """A circuit: energy of one use, and area."""

    pj: float = Field(ge=0)
    """Energy of one use, picojoules."""
    um2: float = Field(ge=0)
    """Area, square micrometres."""
    leakage_uw: float = Field(default=0.0, ge=0)
    """Static power, microwatts; 0 where no source gives one."""
    source: str = Field(min_length=3)
    """Where the numbers are from."""


class PowerLaw(Spec):
    """How one quantity of an SRAM grows with capacity, access width and banks (see `SramLaw`)."""

    base: float = Field(gt=0)
    """The quantity at the knee's capacity, 64 bits wide, one bank."""
    below_exponent: float
    """Exponent of capacity below the knee."""
    above_exponent: float
    """Exponent of capacity above the knee."""
    width_exponent: float = Field(ge=0)
    """Exponent of width up to the knee."""
    width_exponent_above: float = Field(ge=0)
    """What is added to the exponent of width for each factor of e in capacity above the knee."""
    bank_exponent: float = Field(ge=0)
    """Exponent of the number of banks."""


class SramLaw(Spec):
    """Energy, area and leakage of an SRAM: one power law up to a knee in capacity and another above it.

    quantity = base * (size / knee) ** e * (width_bits / 64) ** w * banks ** bank_exponent, where
    e = below_exponent and w = width_exponent up to the knee; above it e = above_exponent and
    w = width_exponent + width_exponent_above * ln(size / knee).
    """

    source: str = Field(min_length=3)
    """Where the numbers are from."""
    knee_kib: float = Field(gt=0)
    """Capacity at which the exponents change, KiB: bit lines below it, wires between sub-arrays above it."""
    read_pj: PowerLaw
    """One read of `width_bits`, picojoules."""
    write_pj: PowerLaw
    """One write of `width_bits`, picojoules."""
    area_mm2: PowerLaw
    """Area, square millimetres."""
    leakage_mw: PowerLaw
    """Static power, milliwatts."""

    def at(self, quantity: str, memory: Memory) -> float:
        """Return a quantity (a field of this law: read_pj, write_pj, area_mm2 or leakage_mw) for `memory`."""
        law: PowerLaw = getattr(self, quantity)
        capacity = log(memory.size / 1024 / self.knee_kib)
        exponent = law.above_exponent if capacity > 0 else law.below_exponent
        width = law.width_exponent + law.width_exponent_above * max(capacity, 0.0)
        size: float = (memory.size / 1024 / self.knee_kib) ** exponent
        return float(law.base * size * (memory.width_bits / 64) ** width * memory.banks**law.bank_exponent)


class DramTypes(Spec):
    """Energy of one bit read from or written to DRAM, by `dram.type`."""

    ddr3: Price
    """DDR3."""
    ddr4: Price
    """DDR4."""
    lpddr4: Price
    """LPDDR4."""
    hbm2: Price
    """HBM2."""


class Technology(Spec):
    """What components cost at one node: prices and area of any accelerator follow from its widths and sizes."""

    name: str
    """Short identifier."""
    node_nm: float = Field(gt=0)
    """Technology node, nm."""
    description: str = ""
    """What the table stands for."""
    multiplier: Component
    """An 8 x 8 bit multiplier; others in proportion to the product of their operands' widths."""
    adder: Component
    """A 32-bit adder; others in proportion to their width."""
    register_bit: Component
    """One bit of a register, written once."""
    sram: SramLaw
    """Scratchpads and accumulator memory."""
    dram_bit: DramTypes
    """One bit read from or written to DRAM."""
    vector_op: Price
    """One operation of one vector lane."""
    host_op: Price
    """One output element computed on the host."""
