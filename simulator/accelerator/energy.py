"""EnergyTable: what each counted action costs on one device. Every number carries its source."""

from __future__ import annotations

from pydantic import Field

from simulator.accelerator.base import Spec


class Price(Spec):
    """Energy of one action."""

    pj: float = Field(ge=0)
    """Energy in picojoules of one unit of the action (see the field it stands in)."""
    source: str = Field(min_length=3)
    """Where the number is from."""


class Leakage(Spec):
    """Static power."""

    mw: float = Field(ge=0)
    """Leakage of the whole chip, milliwatts."""
    source: str = Field(min_length=3)
    """Where the number is from."""


class EnergyTable(Spec):
    """Energy per action of one device. Energy of a run = sum of counts * prices + leakage * time."""

    name: str
    """Short identifier."""
    node_nm: float = Field(gt=0)
    """Technology node, nm."""
    description: str = ""
    """What the table stands for."""
    mac: Price
    """One multiply-accumulate in a processing element, its registers included."""
    idle_pe: Price
    """One processing element clocked for one cycle without useful work, while the array computes."""
    input_scratchpad_read_byte: Price
    """One byte read from the input scratchpad."""
    input_scratchpad_write_byte: Price
    """One byte written to the input scratchpad."""
    weight_scratchpad_read_byte: Price
    """One byte read from the weight scratchpad."""
    weight_scratchpad_write_byte: Price
    """One byte written to the weight scratchpad."""
    accumulator_read_byte: Price
    """One byte read from accumulator memory."""
    accumulator_write_byte: Price
    """One byte written to accumulator memory."""
    dram_byte: Price
    """One byte read from or written to DRAM."""
    vector_op: Price
    """One operation of one vector lane."""
    host_op: Price
    """One output element computed on the host."""
    nonzero_mac: Price | None = None
    """One multiply-accumulate of two operands other than 0, registers excluded; for runs with `activity`."""
    toggled_bit: Price | None = None
    """One bit of a processing element's registers that changes; for runs with `activity`."""
    leakage: Leakage
    """Static power over the whole run; of one core, where the accelerator has several."""
