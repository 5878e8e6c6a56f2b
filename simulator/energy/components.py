"""Prices and area of a device, from its widths and sizes and what components of its technology cost."""

from __future__ import annotations

from simulator.accelerator.energy import EnergyTable, Leakage, Price
from simulator.accelerator.memories import Memory
from simulator.accelerator.spec import Accelerator
from simulator.accelerator.technology import Technology
from simulator.numerics.modes import Dataflow


def device_prices(accelerator: Accelerator, technology: Technology) -> EnergyTable:
    """Price every action of `accelerator`; each price's source says which components it is made of."""
    pe, t = _ProcessingElement(accelerator), technology
    registers = f"{pe.written_bits} register bits"
    computing = f"{pe.operands} bit multiplier, {pe.sum_bits}-bit adder"
    sources = f"Multiplier: {t.multiplier.source}. Adder: {t.adder.source}. Register: {t.register_bit.source}"
    idle_pj = pe.written_bits * t.register_bit.pj
    mac_pj = pe.multipliers * t.multiplier.pj + pe.adders * t.adder.pj + idle_pj
    bit: Price = getattr(t.dram_bit, accelerator.dram.type)
    ports: dict[str, Price] = {}
    for name, memory in _memories(accelerator).items():
        for action in ("read", "write"):
            ports[f"{name}_{action}_byte"] = _port_price(action, memory, t)
    return EnergyTable(
        name=t.name,
        node_nm=t.node_nm,
        description=t.description,
        mac=Price(pj=mac_pj, source=f"{computing}, {registers}. {sources}"),
        idle_pe=Price(
            pj=idle_pj, source=f"{registers}, no clock gating: an upper bound. Register: {t.register_bit.source}"
        ),
        dram_byte=Price(pj=8 * bit.pj, source=f"8 bits. {bit.source}"),
        vector_op=t.vector_op,
        host_op=t.host_op,
        nonzero_mac=Price(pj=mac_pj - idle_pj, source=f"{computing}. {sources}"),
        toggled_bit=Price(
            pj=2 * t.register_bit.pj,
            source=f"a register bit, taken to change every second time it is written. {t.register_bit.source}",
        ),
        leakage=_leakage(accelerator, t),
        **ports,
    )


def prices_of_cores(accelerator: Accelerator, table: EnergyTable) -> EnergyTable:
    """Return a table of one device's prices for `accelerator`: its leakage is that of one core, all of them leak."""
    if accelerator.cores == 1:
        return table
    leakage = table.leakage
    source = f"{accelerator.cores} cores of {leakage.mw:.4g} mW. {leakage.source}"
    return table.model_copy(update={"leakage": Leakage(mw=accelerator.cores * leakage.mw, source=source)})


def area_mm2(accelerator: Accelerator, technology: Technology) -> dict[str, float]:
    """Area of the arrays and the on-chip memories of all cores, square millimetres."""
    pe, t = _ProcessingElement(accelerator), technology
    pe_um2 = pe.multipliers * t.multiplier.um2 + pe.adders * t.adder.um2 + pe.register_bits * t.register_bit.um2
    cores = accelerator.cores
    memories = {name: cores * t.sram.at("area_mm2", memory) for name, memory in _memories(accelerator).items()}
    return {"array": accelerator.peak_macs_per_cycle * pe_um2 * 1e-6} | memories


class _ProcessingElement:
    """Widths of one processing element, in units of the technology's components."""

    def __init__(self, accelerator: Accelerator) -> None:
        arithmetic = accelerator.arithmetic
        activation, weight = arithmetic.activation.bits, arithmetic.weight.bits
        stationary = accelerator.array.dataflow is Dataflow.WEIGHT_STATIONARY
        self.sum_bits = (accelerator.partial_sum or arithmetic.accumulator).bits
        self.operands = f"{activation} x {weight}"
        self.multipliers = activation * weight / 64
        self.adders = self.sum_bits / 32
        # Written every cycle: what travels, and the sum. A stationary weight stays; its shadow loads the next.
        self.written_bits = activation + self.sum_bits + (0 if stationary else weight)
        shadow = stationary and accelerator.array.weight_double_buffer
        self.register_bits = activation + self.sum_bits + weight * (2 if shadow else 1)


def _memories(accelerator: Accelerator) -> dict[str, Memory]:
    memories = accelerator.memories
    return {
        "input_scratchpad": memories.input_scratchpad,
        "weight_scratchpad": memories.weight_scratchpad,
        "accumulator": memories.accumulator,
    }


def _port_price(action: str, memory: Memory, technology: Technology) -> Price:
    access_pj = technology.sram.at(f"{action}_pj", memory)
    what = (
        f"{memory.size / 1024:g} KiB, {memory.banks} banks, a {action} of {memory.width_bits} bits {access_pj:.4g} pJ"
    )
    return Price(pj=access_pj / (memory.width_bits / 8), source=f"{what}. {technology.sram.source}")


def _leakage(accelerator: Accelerator, technology: Technology) -> Leakage:
    pe, t = _ProcessingElement(accelerator), technology
    array_mw = (
        accelerator.peak_macs_per_cycle
        * 1e-3
        * (
            pe.multipliers * t.multiplier.leakage_uw
            + pe.adders * t.adder.leakage_uw
            + pe.register_bits * t.register_bit.leakage_uw
        )
    )
    memories_mw = accelerator.cores * sum(t.sram.at("leakage_mw", memory) for memory in _memories(accelerator).values())
    several = f" of {accelerator.cores} cores" if accelerator.cores > 1 else ""
    what = f"{accelerator.peak_macs_per_cycle} processing elements{several} {array_mw:.4g} mW, "
    what += f"memories {memories_mw:.4g} mW"
    return Leakage(mw=array_mw + memories_mw, source=f"{what}. Adder: {t.adder.source}. Memories: {t.sram.source}")
