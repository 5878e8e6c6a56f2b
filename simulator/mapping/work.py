"""What the mapper must know of an array layer and of the device: two small frozen records."""

from __future__ import annotations

from dataclasses import dataclass, replace
from fractions import Fraction
from math import prod

from simulator.accelerator.spec import Accelerator
from simulator.lowering.layer import ConvGeometry, Layer
from simulator.mapping.places import Place
from simulator.mapping.store_pool import StorePool
from simulator.numerics.modes import Dataflow


@dataclass(frozen=True)
class Part:
    """A box of a layer's outputs: what one core computes of it, with all of K."""

    group: int
    groups: int
    image: int
    images: int
    row: int
    rows: int
    channel: int
    """First output channel within its group."""
    channels: int

    @classmethod
    def whole(cls, geometry: ConvGeometry) -> Part:
        """All outputs of a layer."""
        return cls(0, geometry.groups, 0, geometry.batch, 0, geometry.out_height, 0, geometry.filters)

    def of(self, geometry: ConvGeometry) -> ConvGeometry:
        """Return the layer that computes these outputs alone. The rows above its first are padding it has too much."""
        padding = replace(geometry.padding, top=geometry.padding.top - self.row * geometry.stride[0])
        return replace(
            geometry,
            groups=self.groups,
            batch=self.images,
            out_height=self.rows,
            filters=self.channels,
            padding=padding,
        )


@dataclass(frozen=True)
class ArrayWork:
    """An array layer without its name: layers that are alike map alike."""

    geometry: ConvGeometry
    input_bits: int
    weight_bits: int
    output_bits: int
    bias_bits: int
    """0 where there is no bias."""
    bias_matrix: bool
    """A bias for each output, not for each output channel."""
    pool: StorePool | None = None
    """Done on the store path: the layer stores the pool's output."""
    input_place: Place | None = None
    """Set where the input is part of a larger tensor in DRAM."""
    output_place: Place | None = None
    """Likewise of what is stored."""

    @classmethod
    def of(cls, layer: Layer) -> ArrayWork:
        """Read the sizes off a lowered layer whose inputs are x, weights and perhaps a bias."""
        assert layer.geometry is not None
        x, weights = layer.inputs[0], layer.inputs[1]
        assert x is not None
        assert weights is not None
        bias = layer.inputs[2] if len(layer.inputs) > 2 else None
        channels = layer.geometry.filters * layer.geometry.groups
        return cls(
            geometry=layer.geometry,
            input_bits=x.format.bits,
            weight_bits=weights.format.bits,
            output_bits=layer.outputs[0].format.bits,
            bias_bits=0 if bias is None else bias.format.bits,
            bias_matrix=bias is not None and bias.elements > channels,
        )

    def part(self, part: Part) -> ArrayWork:
        """Return the work of one core. For sizes and fitting: where its bytes lie, only the whole layer says."""
        pool = self.pool and self.pool.of_rows(part.row, part.rows)
        return replace(self, geometry=part.of(self.geometry), pool=pool)

    @property
    def stored_pixels(self) -> int:
        """Pixels that the layer stores."""
        return self.geometry.batch * prod(self.pool.out) if self.pool else self.geometry.m

    @property
    def weight_bias_bits(self) -> int:
        """Bits of bias that travel with the weights of one output channel."""
        return 0 if self.bias_matrix else self.bias_bits


@dataclass(frozen=True)
class Device:
    """What the accelerator gives to a tile. Both halves of a memory are alike; a tile uses one."""

    rows: int
    cols: int
    dataflow: Dataflow
    weight_double_buffer: bool
    input_half_bytes: int
    weight_half_bytes: int
    accumulator_half_bytes: int
    accumulator_element_bytes: int
    burst_bytes: int
    max_outstanding: int
    setup_cycles: int
    latency_cycles: int
    bytes_per_cycle: Fraction
    pool_buffer_bytes: int = 0

    @classmethod
    def of(cls, accelerator: Accelerator) -> Device:
        """Read the limits off a specification."""
        array, memories, dma = accelerator.array, accelerator.memories, accelerator.dma
        return cls(
            rows=array.rows,
            cols=array.cols,
            dataflow=array.dataflow,
            weight_double_buffer=array.weight_double_buffer,
            input_half_bytes=memories.input_scratchpad.size // 2,
            weight_half_bytes=memories.weight_scratchpad.size // 2,
            accumulator_half_bytes=memories.accumulator.size // 2,
            accumulator_element_bytes=-(-accelerator.arithmetic.accumulator.bits // 8),
            burst_bytes=dma.burst_bytes,
            max_outstanding=dma.max_outstanding,
            setup_cycles=dma.setup_cycles,
            latency_cycles=accelerator.dram_latency_cycles,
            bytes_per_cycle=accelerator.dram_bytes_per_cycle,
            pool_buffer_bytes=accelerator.store_path.pool_buffer,
        )
