"""Energy of a layer: each action count times its price."""

from __future__ import annotations

from dataclasses import replace

from simulator.accelerator.energy import EnergyTable
from simulator.accelerator.spec import Accelerator
from simulator.records.activity import ActivityRecord
from simulator.records.layer import EnergyRecord, LayerRecord

_PJ_PER_MW_US = 1000.0
"""1 mW for 1 us = 1 nJ."""


def account(record: LayerRecord, accelerator: Accelerator, table: EnergyTable) -> EnergyRecord:
    """Price the action counts of `record`; leakage is that of the whole chip while the layer runs."""
    microseconds = record.total_cycles / accelerator.clock_mhz
    return EnergyRecord(
        mac_pj=record.macs * table.mac.pj,
        idle_pe_pj=record.idle_pe_cycles * table.idle_pe.pj,
        input_scratchpad_pj=record.input_scratchpad_read_bytes * table.input_scratchpad_read_byte.pj
        + record.input_scratchpad_write_bytes * table.input_scratchpad_write_byte.pj,
        weight_scratchpad_pj=record.weight_scratchpad_read_bytes * table.weight_scratchpad_read_byte.pj
        + record.weight_scratchpad_write_bytes * table.weight_scratchpad_write_byte.pj,
        accumulator_pj=record.accumulator_read_bytes * table.accumulator_read_byte.pj
        + record.accumulator_write_bytes * table.accumulator_write_byte.pj,
        dram_pj=record.dram_bytes * table.dram_byte.pj,
        vector_pj=record.vector_ops * table.vector_op.pj,
        host_pj=record.host_ops * table.host_op.pj,
        leakage_pj=table.leakage.mw * microseconds * _PJ_PER_MW_US,
    )


def priced_activity(activity: ActivityRecord | None, table: EnergyTable) -> ActivityRecord | None:
    """Return the activity of a layer with its energy, where the table prices products and toggled bits."""
    if activity is None or table.nonzero_mac is None or table.toggled_bit is None:
        return activity
    computing_pj = (activity.products - activity.zero_products) * table.nonzero_mac.pj
    return replace(activity, array_pj=computing_pj + activity.toggled_bits * table.toggled_bit.pj)
