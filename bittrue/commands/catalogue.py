"""`bittrue accelerators` and `bittrue networks`: what there is to run, and to run it on."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bittrue.console import refusals, stdout

if TYPE_CHECKING:
    from simulator.accelerator.energy import EnergyTable
    from simulator.accelerator.spec import Accelerator, Register
    from simulator.accelerator.technology import Technology


@refusals
def accelerators() -> None:
    """List the accelerators and the energy tables that come along."""
    from accel_models.load import (
        energy_table_names,
        load_accelerator,
        load_energy_table,
        plugin_names,
        preset_names,
    )
    from bittrue.tables import draw
    from simulator.errors import BittrueError

    console = stdout()
    presets, failed = [load_accelerator(name) for name in preset_names()], []
    for name in plugin_names():
        try:
            presets.append(load_accelerator(name))
        except BittrueError as error:
            failed.append(str(error))
    draw(
        console,
        [_accelerator_row(accelerator) for accelerator in presets],
        spare=("energy table", "mm2", "partial sum bits"),
    )
    console.print()
    for accelerator in presets:
        console.print(f"{accelerator.name}: {accelerator.description}")
    for problem in failed:
        console.print(problem)
    console.print()
    tables = [load_energy_table(name) for name in energy_table_names()]
    draw(console, [_table_row(table) for table in tables])
    console.print()
    for table in tables:
        console.print(f"{table.name}: {table.description}")
    console.print("\nAny YAML file of the same shape will do: -a FILE.yaml (docs/accelerators.md tells every key).")


@refusals
def networks() -> None:
    """List the built-in networks, their options, and the kinds of files that can be run."""
    from simulator.errors import PluginError
    from workloads.load import importer_suffixes
    from workloads.nets import registry

    console = stdout()
    for name in registry.names():
        console.print(name, style="bold")
        try:
            summary, keywords = registry.describe(name)
            network = registry.build(name)
        except PluginError as error:
            console.print(f"  {error}")
            continue
        console.print(f"  {summary}")
        console.print("  " + " ".join(f"--net {key}={_shown(value)}" for key, value in keywords.items()))
        console.print(f"  {network.macs:,} MACs, {network.parameters:,} parameters")
    console.print(f"\nfiles: {', '.join(importer_suffixes())}")


def _accelerator_row(accelerator: Accelerator) -> dict[str, str]:
    memories = accelerator.memories
    several = f"{accelerator.cores} of " if accelerator.cores > 1 else ""
    peak = 2 * accelerator.peak_macs_per_cycle * accelerator.clock_mhz * 1e-6
    return {
        "name": accelerator.name,
        "array": f"{several}{accelerator.array.rows} x {accelerator.array.cols}",
        "stationary": accelerator.array.dataflow.value.removesuffix("_stationary"),
        "MHz": f"{accelerator.clock_mhz:g}",
        "peak TOPS": f"{peak:.2f}",
        "partial sum bits": _register(accelerator.partial_sum),
        "accumulator bits": _register(accelerator.arithmetic.accumulator),
        "input KiB": f"{memories.input_scratchpad.size / 1024:g}",
        "weight KiB": f"{memories.weight_scratchpad.size / 1024:g}",
        "accum. KiB": f"{memories.accumulator.size / 1024:g}",
        "DRAM GB/s": f"{float(accelerator.dram_bytes_per_cycle) * accelerator.clock_mhz / 1000:g}",
        "mm2": _area(accelerator),
        "energy table": accelerator.energy_table,
    }


def _area(accelerator: Accelerator) -> str:
    from accel_models.load import load_energy_table
    from simulator.accelerator.technology import Technology
    from simulator.energy.components import area_mm2

    table = load_energy_table(accelerator.energy_table)
    return f"{sum(area_mm2(accelerator, table).values()):.2f}" if isinstance(table, Technology) else "-"


def _table_row(table: EnergyTable | Technology) -> dict[str, str]:
    """Return what a table says of itself; a technology prices a device only once its widths and sizes are known."""
    from simulator.accelerator.technology import Technology

    row = {"energy table": table.name, "nm": f"{table.node_nm:g}"}
    if not isinstance(table, Technology):
        return row | {"prices": "one device", "DRAM pJ/bit": f"{table.dram_byte.pj / 8:g}"}
    return row | {
        "prices": "any device",
        "int8 multiply pJ": f"{table.multiplier.pj:g}",
        "32-bit add pJ": f"{table.adder.pj:g}",
        "DRAM pJ/bit": ", ".join(f"{kind} {price['pj']:g}" for kind, price in table.dram_bit.model_dump().items()),
    }


def _register(register: Register | None) -> str:
    return "-" if register is None else f"{register.bits} {register.overflow}"


def _shown(value: object) -> str:
    return "..." if value is None else str(value)
