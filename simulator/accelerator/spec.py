"""Accelerator: the whole device as a frozen, validated pydantic model. The YAML keys are these field names."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from fractions import Fraction
from math import ceil
from typing import Annotated, Any, Self

from pydantic import (
    BeforeValidator,
    Field,
    PlainSerializer,
    ValidationError,
    model_validator,
)

from simulator.accelerator.base import Spec
from simulator.accelerator.controller import CommandLoops
from simulator.accelerator.dram import MOST_CYCLES, BankSpec, Dram
from simulator.accelerator.memories import BankConflicts, Memories
from simulator.accelerator.problems import problems
from simulator.accelerator.store_path import Concatenations, Pools, StorePath
from simulator.errors import SpecError
from simulator.notebook import facts_table
from simulator.numerics.formats import IntFormat
from simulator.numerics.modes import Dataflow, OverflowMode, RequantizerKind, RoundingMode
from simulator.numerics.quant import Requantizer


def _parse_operand(value: Any) -> Any:
    return IntFormat.parse(value) if isinstance(value, str) else value


OperandFormat = Annotated[IntFormat, BeforeValidator(_parse_operand), PlainSerializer(str)]


class Array(Spec):
    """The systolic array of processing elements."""

    rows: int = Field(ge=1, le=65536)
    """Processing elements along the reduction (weight stationary) or the output pixels (output stationary)."""
    cols: int = Field(ge=1, le=65536)
    """Processing elements along the output channels."""
    dataflow: Dataflow
    """weight_stationary or output_stationary."""
    weight_double_buffer: bool = True
    """Whether the next weights load behind the present ones (weight stationary only)."""


class Register(Spec):
    """A register that accumulates."""

    bits: int = Field(ge=8, le=64)
    """Width, two's complement."""
    overflow: OverflowMode = OverflowMode.WRAP
    """wrap, saturate or trap."""


def _parse_requantizer(value: Any) -> Any:
    return {"kind": value} if isinstance(value, str) else value


class RequantizerSpec(Spec):
    """How accumulators are scaled to outputs."""

    kind: RequantizerKind
    """fixed_point_double, fixed_point_single, float32 or power_of_two."""
    rounding: RoundingMode | None = None
    """Only fixed_point_single and power_of_two have a choice; default ties_pos."""

    @model_validator(mode="after")
    def _rounding_is_a_choice(self) -> Self:
        fixed = {
            RequantizerKind.FIXED_POINT_DOUBLE: RoundingMode.TIES_AWAY,
            RequantizerKind.FLOAT32: RoundingMode.TIES_EVEN,
        }
        only = fixed.get(self.kind)
        if self.rounding is not None and only is not None and self.rounding != only:
            raise ValueError(f"{self.kind} always rounds {only}; remove rounding: {self.rounding}")
        return self

    @property
    def requantizer(self) -> Requantizer:
        """The same as plain numerics vocabulary."""
        return Requantizer(self.kind, self.rounding)


class Arithmetic(Spec):
    """Number formats and modes of the datapath: all that decides a value, with the array's dataflow and rows."""

    activation: OperandFormat
    """Widest activation the array takes, e.g. int8 (a uint8 network runs re-centred, the same bits)."""
    weight: OperandFormat
    """Widest weight the array takes."""
    partial_sum: Register | None = None
    """Register of a processing element in a weight-stationary array; default: as the accumulator."""
    accumulator: Register
    """Accumulator memory (weight stationary) or the register in each processing element (output stationary)."""
    requantizer: Annotated[RequantizerSpec, BeforeValidator(_parse_requantizer)]
    """How accumulators become outputs."""

    @model_validator(mode="after")
    def _operands_fit_the_multiplier(self) -> Self:
        for name in ("activation", "weight"):
            if getattr(self, name).bits > 16:
                raise ValueError(f"{name}: operands have at most 16 bits, not {getattr(self, name)}")
        return self


class Dma(Spec):
    """Mover between DRAM and the scratchpads; one engine loads, one stores."""

    burst_bytes: int = Field(ge=1)
    """Longest single DRAM request."""
    max_outstanding: int = Field(ge=1)
    """Requests in flight."""
    setup_cycles: int = Field(default=0, ge=0, le=MOST_CYCLES)
    """Cycles to start one transfer descriptor."""


class VectorUnit(Spec):
    """Element-wise, pooling, resizing and table unit."""

    lanes: int = Field(ge=1, le=65536)
    """Elements worked on in a cycle."""
    startup_cycles: int = Field(default=0, ge=0, le=MOST_CYCLES)
    """Cycles from the first operand to the first result."""


class Host(Spec):
    """The processor that runs a network's int32 and float32 post-processing."""

    elements_per_cycle: float = Field(default=1.0, gt=0)
    """Output elements per accelerator cycle."""


_TWINS = {"bandwidth": "bytes_per_cycle", "latency_ns": "latency_cycles"}
_TWINS |= {b: a for a, b in _TWINS.items()}


class Mapper(StrEnum):
    """How array layers are cut into tiles. No choice changes a value."""

    LEAST_TRAFFIC = "least_traffic"
    """Search: fewest bytes loaded from DRAM, then fewest estimated cycles."""
    LEAST_CYCLES = "least_cycles"
    """Search: the most promising mappings are timed; fewest cycles, then fewest bytes loaded."""
    FIXED_RULE = "fixed_rule"
    """No search: `simulator.mapping.fixed_rule`, as a simple device's own tiler."""


class BetweenLayers(StrEnum):
    """Where tensors lie between layers. No choice changes a value."""

    DRAM = "dram"
    """All of them in DRAM."""
    ON_CHIP = "on_chip"
    """Those that fit beside the tiles, in what the layers leave of the input scratchpad."""


class Accelerator(Spec):
    """A systolic-array accelerator."""

    name: str
    """Short identifier, as in the file name."""
    description: str = ""
    """What it is, in a sentence."""
    source: str = ""
    """Where the numbers are from: data sheet, paper, or "illustrative"."""
    clock_mhz: float = Field(gt=0)
    """Clock of everything but DRAM, MHz."""
    array: Array
    """The systolic array."""
    cores: int = Field(default=1, ge=1, le=1024)
    """Cores that share the DRAM: each has the array, memories, dma and vector unit that are described here."""
    arithmetic: Arithmetic
    """Formats and modes of the datapath."""
    memories: Memories
    """On-chip memories."""
    dma: Dma
    """Mover between DRAM and scratchpads."""
    dram: Dram
    """External memory."""
    vector_unit: VectorUnit
    """Element-wise unit."""
    host: Host = Host()
    """Processor for a file's post-processing."""
    controller: CommandLoops | None = None
    """What drives the array's layers; none = descriptors of tile operations, at no cost of commands."""
    mapper: Mapper = Mapper.LEAST_TRAFFIC
    """How array layers are cut into tiles: least_traffic, least_cycles or fixed_rule."""
    between_layers: BetweenLayers = BetweenLayers.DRAM
    """Where tensors lie between layers: dram, or on_chip for those that the input scratchpad has room for."""
    concatenations: Concatenations = Concatenations.COPIED
    """How inputs of equal scale are joined: copied, or in_place where the layers that write them write the result."""
    store_path: StorePath = StorePath()
    """What is done between accumulator memory and DRAM beside requantizing."""
    energy_table: str
    """Name of the table that prices its actions (`bittrue accelerators` lists them), or a YAML file."""

    @model_validator(mode="after")
    def _controller_drives_this_array(self) -> Self:
        if self.controller is not None:
            problem = self._unsuited_to_command_loops()
            if problem:
                raise ValueError(f"controller: command loops {problem}, or leave controller out")
        return self

    @model_validator(mode="after")
    def _several_cores_are_modelled(self) -> Self:
        if self.cores > 1 and self.controller is not None:
            raise ValueError(f"cores: {self.cores} arrays are not driven by command loops; make cores 1")
        if self.cores > 1 and self.between_layers is not BetweenLayers.DRAM:
            why = "tensors do not stay on chip: a core reads no scratchpad but its own"
            raise ValueError(f"cores: with {self.cores} of them {why}; make between_layers dram")
        return self

    @model_validator(mode="after")
    def _bank_conflicts_are_modelled(self) -> Self:
        problem = self._unsuited_to_bank_conflicts()
        if problem and self.memories.input_scratchpad.bank_conflicts is BankConflicts.COUNTED:
            raise ValueError(f"memories: bank_conflicts are counted {problem}, or make them ignored")
        return self

    @model_validator(mode="after")
    def _dram_keeps_up_with_its_bandwidth(self) -> Self:
        problem = self.dram.problem(self.clock_mhz)
        banks = self.dram_banks
        if not problem and banks is not None and banks.refi_cycles <= banks.rp_cycles + banks.rfc_cycles:
            problem = f"a clock of {self.clock_mhz:g} MHz is too slow for the refresh of {self.dram.device}"
        if problem:
            raise ValueError(f"dram: {problem}")
        return self

    def _unsuited_to_command_loops(self) -> str:
        if self.dram.model != "simple":
            return "have a memory of fixed latency; make dram.model simple"
        if self.between_layers is not BetweenLayers.DRAM:
            return "leave tensors in memory; make between_layers dram"
        if self.concatenations is not Concatenations.COPIED:
            return "copy what they join; make concatenations copied"
        if self.store_path.pools is not Pools.NONE:
            return "have a max pool of their own; leave store_path out"
        array, dma = self.array, self.dma
        assert self.controller is not None
        bus = self.controller.bus_bytes
        if array.dataflow is Dataflow.WEIGHT_STATIONARY and not array.weight_double_buffer:
            return "drive a weight-stationary array with weight_double_buffer: true, or an output-stationary one"
        if array.rows != array.cols:
            return f"drive a square array; make array.rows ({array.rows}) and array.cols ({array.cols}) equal"
        for name in ("activation", "weight"):
            if getattr(self.arithmetic, name).bits != 8:
                return f"move operands of 8 bits; make arithmetic.{name} int8"
        if self.arithmetic.accumulator.bits > 32:
            return f"store accumulators of at most 32 bits, not {self.arithmetic.accumulator.bits}"
        if dma.burst_bytes < bus or dma.burst_bytes % bus or (dma.burst_bytes // bus).bit_count() != 1:
            return f"request 1, 2, 4 ... beats of {bus} bytes; make dma.burst_bytes one, not {dma.burst_bytes}"
        return ""

    def _unsuited_to_bank_conflicts(self) -> str:
        pad, bits = self.memories.input_scratchpad, self.arithmetic.activation.bits
        if self.controller is not None:
            return "where no command loops, which have banks of their own, drive the array; leave controller out"
        if self.array.dataflow is not Dataflow.WEIGHT_STATIONARY:
            return "on a weight_stationary array alone; make array.dataflow that"
        if pad.banks < 2 or pad.banks & (pad.banks - 1):
            return f"for 2, 4, 8 ... banks; make input_scratchpad.banks one, not {pad.banks}"
        elements, rest = divmod(pad.width_bits, bits)
        if rest or elements & (elements - 1):
            return f"for words of 1, 2, 4 ... activations; make input_scratchpad.width_bits so many times {bits}"
        return ""

    @property
    def input_banks(self) -> tuple[int, int] | None:
        """Banks of the input scratchpad and activations in a word, where pixels wait for them; otherwise None."""
        pad = self.memories.input_scratchpad
        if pad.bank_conflicts is BankConflicts.IGNORED:
            return None
        return pad.banks, pad.width_bits // self.arithmetic.activation.bits

    @property
    def partial_sum(self) -> Register | None:
        """Partial-sum register in force: None for output stationary, else as given or as the accumulator."""
        if self.array.dataflow is Dataflow.OUTPUT_STATIONARY:
            return None
        return self.arithmetic.partial_sum or self.arithmetic.accumulator

    @property
    def dram_bytes_per_cycle(self) -> Fraction:
        """DRAM bandwidth in bytes per cycle, exact."""
        if self.dram.bytes_per_cycle is not None:
            return Fraction(self.dram.bytes_per_cycle).limit_denominator(10**6)
        assert self.dram.bandwidth is not None
        return (Fraction(self.dram.bandwidth) / Fraction(self.clock_mhz) / 10**6).limit_denominator(10**6)

    @property
    def dram_latency_cycles(self) -> int:
        """DRAM latency in cycles, rounded up."""
        if self.dram.latency_cycles is not None:
            return self.dram.latency_cycles
        assert self.dram.latency_ns is not None
        return ceil(Fraction(self.dram.latency_ns) * Fraction(self.clock_mhz) / 1000)

    @property
    def joins_layers(self) -> bool:
        """Whether what one layer moves may depend on others; which, is decided by timing them."""
        separate = self.between_layers, self.concatenations, self.store_path.pools
        return separate != (BetweenLayers.DRAM, Concatenations.COPIED, Pools.NONE)

    @property
    def dram_banks(self) -> BankSpec | None:
        """Banks of the DRAM in cycles; None for `dram.model: simple`."""
        return BankSpec.of(self.dram, self.clock_mhz)

    @property
    def peak_macs_per_cycle(self) -> int:
        """Processing elements of all cores: cores * rows * cols."""
        return self.cores * self.array.rows * self.array.cols

    def _repr_html_(self) -> str:
        """Show a notebook the array, its registers and memories."""
        array, memories = self.array, self.memories
        registers = {"partial sum": self.partial_sum, "accumulator": self.arithmetic.accumulator}
        sizes = {
            "input scratchpad": memories.input_scratchpad,
            "weight scratchpad": memories.weight_scratchpad,
            "accumulator memory": memories.accumulator,
        }
        facts = [
            *([("cores", str(self.cores))] if self.cores > 1 else []),
            ("array", f"{array.rows} x {array.cols}, {array.dataflow.value.replace('_', ' ')}, {self.clock_mhz:g} MHz"),
            ("operands", f"activations {self.arithmetic.activation}, weights {self.arithmetic.weight}"),
            *((name, f"{kept.bits} bits, {kept.overflow.value}") for name, kept in registers.items() if kept),
            ("requantizer", str(self.arithmetic.requantizer.kind)),
            *((name, f"{memory.size / 1024:g} KiB") for name, memory in sizes.items()),
            ("DRAM", f"{float(self.dram_bytes_per_cycle):g} bytes a cycle, {self.dram_latency_cycles} cycles latency"),
            ("energy table", self.energy_table),
        ]
        return facts_table(f"{self.name}: {self.description}" if self.description else self.name, facts)

    def evolve(self, changes: Mapping[str, Any]) -> Accelerator:
        """Copy with some fields changed, validated anew.

        A dotted key takes a leaf (``{"array.rows": 64}``) or a mapping that replaces that node
        (``{"arithmetic.accumulator": {"bits": 20, "overflow": "saturate"}}``). Giving one of a pair
        (``dram.bandwidth`` and ``dram.bytes_per_cycle``) drops the other. SpecError on an unknown key or bad value.
        """
        if not isinstance(changes, Mapping) or not all(isinstance(key, str) for key in changes):
            raise SpecError(f'{self.name}: changes are a mapping such as {{"array.rows": 64}}, not {changes!r}')
        data = self.model_dump()
        for key, value in changes.items():
            _set(data, key, value)
        try:
            return Accelerator.model_validate(data)
        except ValidationError as error:
            raise SpecError(f"{self.name} with {dict(changes)}:\n{describe(error)}") from None


def _set(data: dict[str, Any], key: str, value: Any) -> None:
    *path, leaf = key.split(".")
    node = data
    for depth, part in enumerate(path):
        if part not in node:
            raise SpecError(f"{key}: no field {'.'.join(path[: depth + 1])!r}; there are {', '.join(node)}")
        if node[part] is None:
            node[part] = {}
        if not isinstance(node[part], dict):
            raise SpecError(f"{key}: {'.'.join(path[: depth + 1])} is a single value, not a group of fields")
        node = node[part]
    if path[-1:] == ["dram"] and leaf in _TWINS:
        node.pop(_TWINS[leaf], None)
    node[leaf] = value


def describe(error: ValidationError) -> str:
    """Every problem of a failed validation of an accelerator, one line each: ``array.rows: 0 is out of range ...``."""
    return "\n".join(f"  {problem}" for problem in problems(error, Accelerator))
