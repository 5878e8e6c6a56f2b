"""Schedule: the work of a network as tile operations, plain data between mapping and timing."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import IntFlag, StrEnum
from functools import cached_property
from itertools import accumulate
from typing import Any

import numpy as np
from numpy.typing import NDArray

from simulator.kernels.distinct_rows import distinct_rows
from simulator.lowering.layer import Engine
from simulator.mapping.command_lists import CommandLists
from simulator.mapping.work import ArrayWork, Part


class LoopOrder(StrEnum):
    """Which operand stays while the other passes by."""

    INPUTS_RESIDENT = "inputs_resident"
    """Pixels outside, output channels inside: a block of inputs serves every channel."""
    WEIGHTS_RESIDENT = "weights_resident"
    """Output channels outside, pixels inside: a block of weights serves every pixel."""


class Residency(StrEnum):
    """How much of an operand one half of its scratchpad holds."""

    CHUNK = "chunk"
    """What one tile op needs: one chunk of K."""
    TILE = "tile"
    """All K of the tile. Input rows that the tile above has left there are not loaded again."""
    LAYER = "layer"
    """All that the layer (or its present groups) needs."""


class Hold(IntFlag):
    """What a tile op takes and gives back of the double-buffered memories (their halves)."""

    NONE = 0
    TAKE_INPUT = 1
    """A free half of the input scratchpad is needed before the load."""
    TAKE_WEIGHT = 2
    """A free half of the weight scratchpad is needed before the load."""
    TAKE_ACCUMULATOR = 4
    """A free half of accumulator memory is needed before the work."""
    GIVE_INPUT = 8
    """Last use of the half of the input scratchpad: free after the work."""
    GIVE_WEIGHT = 16
    """Last use of the half of the weight scratchpad: free after the work."""
    GIVE_INPUT_WHEN_STORED = 32
    """The results lie beside the inputs: the half is free when they are stored."""


TILE_OP = np.dtype(
    [
        ("group", "i4"),  # first group of the tile
        ("groups", "i4"),  # groups in the tile
        ("batch", "i4"),  # image of the batch
        ("row", "i4"),  # first output row
        ("rows", "i4"),  # output rows
        ("col", "i4"),  # first output column
        ("cols", "i4"),  # output columns
        ("channel", "i4"),  # first output channel within its group
        ("channels", "i4"),  # output channels of each group
        ("k", "i4"),  # first flat reduction index
        ("k_length", "i4"),  # reduction indices
        ("folds", "i4"),  # passes of the array over a rows x cols block
        ("hold", "i4"),  # Hold flags
        ("ops", "i8"),  # lane operations (vector) or output elements (host)
        ("input_bytes", "i8"),  # loaded from DRAM to the input scratchpad
        ("input_segments", "i8"),  # contiguous stretches of DRAM that these are
        ("weight_bytes", "i8"),  # loaded from DRAM to the weight scratchpad: weights and biases
        ("weight_segments", "i8"),
        ("bias_bytes", "i8"),  # loaded from DRAM to accumulator memory: a bias for each output
        ("bias_segments", "i8"),
        ("store_bytes", "i8"),  # stored to DRAM
        ("store_segments", "i8"),
    ]
)
"""One tile operation. A layer holds an array of them, in the order in which its engine does them (124 bytes each)."""

_PLACE = ("group", "batch", "row", "col", "channel", "k")
"""Where a tile op works: nothing that is counted depends on it, but for whether it is the first chunk of K."""


def _words(names: Iterable[str]) -> NDArray[np.int32]:
    """32-bit words that the fields `names` of TILE_OP take."""
    fields: Mapping[str, Any] = TILE_OP.fields or {}
    words = [range(fields[n][1] // 4, (fields[n][1] + fields[n][0].itemsize) // 4) for n in names]
    return np.array([word for field in words for word in field], np.int32)


_COMPARED, _ZERO_OR_NOT = _words(name for name in TILE_OP.names or () if name not in _PLACE), _words(["k"])


@dataclass(frozen=True, eq=False)
class TileOpKinds:
    """Tile ops that are alike in everything but their place are of one kind; a layer has a few kinds of many ops.

    Whatever is a sum over tile ops is a sum over kinds, times `counts`.
    """

    kind_of: NDArray[np.int32]
    """[tile ops] index into the other two."""
    ops: NDArray[Any]
    """[kinds] the first tile op of each kind, dtype TILE_OP."""
    counts: NDArray[np.int64]
    """[kinds] tile ops of each kind."""

    @classmethod
    def of(cls, ops: NDArray[Any]) -> TileOpKinds:
        """Sort out tile ops (dtype TILE_OP)."""
        words = np.ascontiguousarray(ops).view(np.int32).reshape(len(ops), TILE_OP.itemsize // 4)
        kind_of, first, counts = distinct_rows(words, _COMPARED, _ZERO_OR_NOT)
        return cls(kind_of, ops[first], counts)


@dataclass(frozen=True)
class LayerMapping:
    """How an array layer is cut and ordered: tile sizes, loop order, what stays in the scratchpads."""

    rows: int
    """Output rows of a tile."""
    cols: int
    """Output columns of a tile."""
    channels: int
    """Output channels of a tile, of each group."""
    k: int
    """Reduction indices of a chunk: a multiple of array.rows, or all."""
    groups: int
    """Groups of a tile."""
    order: LoopOrder
    """Order of the loops over pixels and output channels."""
    input_residency: Residency
    """What a half of the input scratchpad holds."""
    weight_residency: Residency
    """What a half of the weight scratchpad holds."""
    extent: tuple[int, int, int, int, int, int]
    """The layer's whole extent: groups, batch, rows, columns, channels, K."""

    def __hash__(self) -> int:
        """Of the numbers alone, at a fifth of the time: a mapping is looked up for every layer of a sweep's points."""
        return hash((self.rows, self.cols, self.channels, self.k, self.groups, self.extent))

    @property
    def trips(self) -> tuple[int, int, int, int, int, int]:
        """Tiles along groups, batch, rows, columns, channels and K."""
        groups, batch, rows, cols, channels, k = self.extent
        return (
            -(-groups // self.groups),
            batch,
            -(-rows // self.rows),
            -(-cols // self.cols),
            -(-channels // self.channels),
            -(-k // self.k),
        )

    def loop_nest(self) -> str:
        """Text of the loop nest, outermost first, with the loads where they happen."""
        g, b, r, c, n, k = self.trips
        pixels = [("image", b, 1), ("cols", c, self.cols), ("rows", r, self.rows)]
        channels = [("channels", n, self.channels)]
        inside = pixels + channels if self.order is LoopOrder.INPUTS_RESIDENT else channels + pixels
        loops = [("groups", g, self.groups), *inside, ("k", k, self.k)]
        lines = [
            f"{'  ' * depth}for {name} in {trips} tiles of {size}" for depth, (name, trips, size) in enumerate(loops)
        ]
        lines.append(
            f"{'  ' * len(loops)}tile op  (inputs: {self.input_residency} resident, "
            f"weights: {self.weight_residency} resident)"
        )
        return "\n".join(lines)


@dataclass(frozen=True, eq=False)
class LayerSchedule:
    """Tile operations of one layer. Layers that are alike share one object."""

    engine: Engine
    """Who works on them."""
    ops: NDArray[Any]
    """Structured array [tile ops] of dtype TILE_OP; empty for a layer that moves nothing."""
    mapping: LayerMapping | None = None
    """Only layers on the array."""
    commands: CommandLists | None = None
    """Only layers that run as command loops: then `ops` has one entry a loop, and only counts."""
    work: ArrayWork | None = None
    """Only layers on the array: what was cut, so that tile ops have addresses (`simulator.mapping.regions`)."""
    kept_input_bytes: int = 0
    """Inputs that are in the input scratchpad from the layers before (`simulator.mapping.kept`)."""
    kept_output_bytes: int = 0
    """Output that stays there for the layers after."""
    core_ops: tuple[int, ...] = ()
    """Tile ops of each core that works; `ops` holds those of one core after another's. Empty: one core does all."""
    parts: tuple[Part, ...] = ()
    """What of an array layer each of these cores computes."""
    regions: NDArray[np.int64] | None = None
    """Addresses of a schedule made by hand, [tile ops, 4, 2]; None = those of the layer."""

    @cached_property
    def kinds(self) -> TileOpKinds:
        """The tile ops by kind."""
        return TileOpKinds.of(self.ops)

    @property
    def tile_ops(self) -> int:
        """Number of tile operations."""
        return len(self.kinds.kind_of)

    @cached_property
    def core_slices(self) -> tuple[slice, ...]:
        """Where in `ops` each working core's tile operations stand."""
        counts = self.core_ops or (self.tile_ops,)
        return tuple(slice(end - count, end) for count, end in zip(counts, accumulate(counts), strict=True))

    def total(self, field: str) -> int:
        """Sum of a field over all tile ops."""
        return int((self.kinds.ops[field] * self.kinds.counts).sum())


@dataclass(frozen=True, eq=False)
class Schedule:
    """The tile operations of every layer, in the order of the network."""

    names: tuple[str, ...]
    """Name of each layer."""
    layers: tuple[LayerSchedule, ...]
    """One schedule per layer."""

    @property
    def tile_ops(self) -> int:
        """Tile operations of all layers."""
        return sum(layer.tile_ops for layer in self.layers)
