"""Kernels that others call by their address, so that one caller, compiled once, serves every instruction set.

A loop around a tile takes seconds to compile, the tile a tenth of one: a network that needs five tiles would wait for
five loops. What the call costs does not show (docs/speed.md).
"""

from __future__ import annotations

from collections.abc import Callable
from types import FunctionType
from typing import Any

from llvmlite import ir
from numba import types
from numba.core.ccallback import CFunc
from numba.extending import intrinsic

from simulator.kernels._jit import c_function
from simulator.kernels.vector_ir import I64, cgutils

_COMPILED: list[CFunc] = []
"""Their code stays where it is as long as they do."""


def address_of(function: Callable[..., Any]) -> int:
    """Compile a function for `call_at`, and return its address: good in this process and those forked from it.

    Parameters
    ----------
    function
        Of int64, at least one, to int64; it must not raise.

    """
    assert isinstance(function, FunctionType)
    compiled = c_function(function, types.int64(*[types.int64] * function.__code__.co_argcount))
    _COMPILED.append(compiled)
    address: int = compiled.address  # type: ignore[assignment]
    return address


def _call_at(context: Any, address: Any, arguments: Any) -> Any:
    """Call what lies at an address with a tuple of integers, and return its int64."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        given = cgutils.unpack_tuple(builder, args[1], len(arguments))
        values = [context.cast(builder, value, kind, types.int64) for value, kind in zip(given, arguments, strict=True)]
        kind = ir.FunctionType(I64, [I64] * len(values))
        return builder.call(builder.inttoptr(args[0], kind.as_pointer()), values)

    return types.int64(types.int64, arguments), codegen


call_at: Any = intrinsic(_call_at)
