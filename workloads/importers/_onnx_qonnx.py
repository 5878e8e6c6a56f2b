"""QONNX's Quant operators as pairs of QuantizeLinear and DequantizeLinear of any bit width.

Quant(x, scale, zero point, bit width) gives real numbers that lie on an integer grid; brevitas and qonnx write it. The
semantics are those of qonnx's docs/qonnx-custom-ops/quant_op.md.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from simulator.errors import Unsupported
from simulator.numerics.formats import Format, IntFormat
from workloads.importers._onnx_node import Refused
from workloads.importers._onnx_reader import RawModel, RawNode

DOMAINS = ("onnx.brevitas", "qonnx.custom_op.general", "finn.custom_op.general", "qonnx.custom_op.general.quant")
_OPS = ("Quant", "IntQuant")
_WIDEST_BITS = 16

_ROUNDINGS: dict[str, Callable[[NDArray[np.float64]], NDArray[np.float64]]] = {
    "ROUND": np.rint,
    "CEIL": np.ceil,
    "FLOOR": np.floor,
    "UP": lambda x: np.copysign(np.ceil(np.abs(x)), x),
    "DOWN": np.trunc,
    "ROUND_TO_ZERO": np.trunc,
    "HALF_UP": lambda x: np.copysign(np.floor(np.abs(x) + 0.5), x),
    "HALF_DOWN": lambda x: np.copysign(np.ceil(np.abs(x) - 0.5), x),
}
"""Applied to constants; a tensor that the network computes is rounded half to even."""


@dataclass
class _Rewrite:
    constants: dict[str, NDArray[Any]]
    formats: dict[str, Format]
    nodes: list[RawNode] = field(default_factory=list)


def is_quant(node: RawNode) -> bool:
    """Whether an operator is a Quant."""
    return node.op in _OPS and node.domain in DOMAINS


def lower_quant(model: RawModel, problems: list[Unsupported]) -> RawModel:
    """Return the model with every Quant replaced; what cannot be is added to `problems` and left as it is."""
    if not any(is_quant(node) for node in model.nodes):
        return model
    draft = _Rewrite(dict(model.constants), dict(model.formats))
    for node in model.nodes:
        if not is_quant(node):
            draft.nodes.append(node)
            continue
        try:
            _lower(draft, node)
        except Refused as reason:
            problems.append(Unsupported(node.name, f"{node.domain}.{node.op}", str(reason)))
    return replace(model, nodes=tuple(draft.nodes), constants=draft.constants, formats=draft.formats)


def _lower(draft: _Rewrite, node: RawNode) -> None:
    output = node.outputs[0]
    format, low = _format(draft, node)
    scale, axis = _flat(_constant(draft, node, 1, "scale"))
    zero, _ = _flat(_constant(draft, node, 2, "zero point"))
    if np.any(zero != np.rint(zero)):
        raise Refused(f"zero point {zero.ravel()[0]}; whole ones are read")
    scale_name, zero_name = f"{output}/scale", f"{output}/zero_point"
    # Integers narrower than their container keep its dtype; their format goes along.
    draft.constants[scale_name] = np.asarray(scale, np.float32)
    draft.constants[zero_name] = np.broadcast_to(zero, scale.shape).astype(format.dtype)
    draft.formats[zero_name] = format
    stored, attributes = f"{output}/stored", {"axis": axis}
    given = draft.constants.get(node.inputs[0])
    if given is not None:
        shape = [1] * given.ndim
        if scale.ndim:
            shape[axis] = scale.size
        draft.constants[stored] = _stored(node, given, scale.reshape(shape), zero, format, low)
        draft.formats[stored] = format
    else:
        _check_activation(node, format, low)
        inputs = (node.inputs[0], scale_name, zero_name)
        draft.nodes.append(
            RawNode(node.name, "", "QuantizeLinear", inputs, (stored,), {**attributes, "bittrue_format": format})
        )
    names = (stored, scale_name, zero_name)
    draft.nodes.append(RawNode(f"{node.name}/dequantize", "", "DequantizeLinear", names, (output,), attributes))


def _format(draft: _Rewrite, node: RawNode) -> tuple[IntFormat, int]:
    """Return the integer format and the least value that is used of it."""
    bits = float(_constant(draft, node, 3, "bit width").ravel()[0])
    signed, narrow = bool(node.attributes.get("signed", 1)), bool(node.attributes.get("narrow", 0))
    if bits != int(bits) or not 1 <= bits <= _WIDEST_BITS:
        raise Refused(f"bit width {bits}; whole ones of 1 to {_WIDEST_BITS} are read")
    format = IntFormat(int(bits), signed)
    return format, format.min + 1 if narrow and signed else format.min


def _constant(draft: _Rewrite, node: RawNode, position: int, what: str) -> NDArray[Any]:
    name = node.inputs[position]
    if name not in draft.constants:
        raise Refused(f"{what} {name} is not constant; only constant ones are read")
    return draft.constants[name]


def _flat(values: NDArray[Any]) -> tuple[NDArray[np.float64], int]:
    """Return one number, or one for each index of an axis, and that axis."""
    wide = [axis for axis, size in enumerate(values.shape) if size > 1]
    if len(wide) > 1:
        raise Refused(f"scales of shape {list(values.shape)}; one, or one along one axis, is read")
    flat = values.astype(np.float64).reshape(-1)
    return (flat.reshape(()), 0) if not wide else (flat, wide[0])


def _stored(
    node: RawNode, x: NDArray[Any], scale: NDArray[Any], zero: NDArray[Any], format: IntFormat, low: int
) -> NDArray[Any]:
    mode = str(node.attributes.get("rounding_mode", "ROUND")).upper()
    if mode not in _ROUNDINGS:
        raise Refused(f"attribute rounding_mode = {mode!r}; supported: {', '.join(_ROUNDINGS)}")
    if zero.ndim:
        zero = zero.reshape(scale.shape)
    grid = x.astype(np.float32) / scale.astype(np.float32) + zero
    high = format.max - (1 if low == format.min and node.attributes.get("narrow", 0) and not format.signed else 0)
    return np.clip(_ROUNDINGS[mode](np.clip(grid.astype(np.float64), low, high)), low, high).astype(format.dtype)


def _check_activation(node: RawNode, format: IntFormat, low: int) -> None:
    if low != format.min or (node.attributes.get("narrow", 0) and not format.signed):
        raise Refused("attribute narrow = 1 of a tensor that the network computes; supported: 0 (constants may be)")
    mode = str(node.attributes.get("rounding_mode", "ROUND")).upper()
    if mode != "ROUND":
        raise Refused(f"attribute rounding_mode = {mode!r} of a tensor that the network computes; supported: 'ROUND'")
