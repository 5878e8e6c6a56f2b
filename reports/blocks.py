"""The blocks of a network, read from the names of its layers: backbone.layer3.0.conv1 is a part of backbone.layer3."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from reports.units import short_name
from simulator.records.layer import LayerRecord

_MOST_OPEN = 40
"""Rows that a table shows at first, where its blocks allow it."""


@dataclass(frozen=True)
class Leaf:
    """A layer in its block."""

    label: str
    """What its name adds to its block's."""
    layer: LayerRecord
    """The layer."""


@dataclass(frozen=True)
class Block:
    """Two or more layers whose names begin alike."""

    label: str
    """What its name adds to that of the block around it."""
    name: str
    """The common beginning."""
    parts: tuple[Block | Leaf, ...]
    """Blocks and layers in it, in the order of their first layers."""

    @property
    def layers(self) -> tuple[LayerRecord, ...]:
        """All layers in it, those of inner blocks too."""
        return tuple(leaf.layer for leaf in _leaves(self))


def blocks(layers: Sequence[LayerRecord]) -> tuple[Block | Leaf, ...]:
    """Return the tree of a network's blocks; names are parted at dots and slashes.

    A block that all layers are in, or that holds one layer or block alone, is no block of its own: what it adds stands
    in the labels of its parts.
    """
    named = [(_pieces(layer), layer) for layer in layers]
    return _within(named, 0, 0)


def open_depth(tree: Sequence[Block | Leaf]) -> int:
    """Return down to which depth blocks stand open at first: as deep as about forty rows are shown; 0 = all folded."""
    depth, level = 0, list(tree)
    shown = len(level)
    while any(isinstance(part, Block) for part in level):
        level = [inner for part in level if isinstance(part, Block) for inner in part.parts]
        shown += len(level)
        if shown > _MOST_OPEN:
            break
        depth += 1
    return depth


def _leaves(block: Block) -> Iterator[Leaf]:
    for part in block.parts:
        if isinstance(part, Leaf):
            yield part
        else:
            yield from _leaves(part)


def _pieces(layer: LayerRecord) -> list[str]:
    """Part a name before its dots and slashes, which stay with the piece behind them."""
    return re.findall(r"[./]*[^./]+", short_name(layer.name)) or [layer.name]


_Named = list[tuple[list[str], LayerRecord]]


def _within(named: _Named, shown: int, depth: int) -> tuple[Block | Leaf, ...]:
    """Part layers that share `depth` pieces, of which `shown` stand in the labels around them."""
    groups: dict[str, _Named] = {}
    for pieces, layer in named:
        # A layer that bears the block's own name, or none at all, is a part like another.
        key = (pieces[depth].strip("./") if depth < len(pieces) else "") or f"/{layer.index}"
        groups.setdefault(key, []).append((pieces, layer))
    if len(groups) == 1 and len(named) > 1:
        return _within(named, shown, depth + 1)
    parts: list[Block | Leaf] = []
    for group in groups.values():
        if len(group) == 1:
            pieces, layer = group[0]
            parts.append(Leaf(_joined(pieces[min(shown, len(pieces) - 1) :]), layer))
        else:
            parts.append(_block(group, shown, depth + 1))
    return tuple(parts)


def _block(group: _Named, shown: int, depth: int) -> Block:
    """Make a block of layers that share `depth` pieces, or more: what all of them share is its name."""
    shortest = min(len(pieces) for pieces, _ in group)
    while depth < shortest and len({pieces[depth].strip("./") for pieces, _ in group}) == 1:
        depth += 1
    pieces = group[0][0]
    return Block(_joined(pieces[shown:depth]), _joined(pieces[:depth]), _within(group, depth, depth))


def _joined(pieces: Sequence[str]) -> str:
    return "".join(pieces).lstrip("./") or "".join(pieces)
