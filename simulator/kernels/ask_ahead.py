"""Asking for lines of the output before they are written: a store to a line that is not at hand holds up others."""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from simulator.kernels.vector_ir import I8, I32, cgutils


def _ask_ahead(context: Any, address: Any) -> Any:
    """Ask for the line of an address (int64), to be written soon; nothing is changed, whatever lies there."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        pointer = I8.as_pointer()
        kind = ir.FunctionType(ir.VoidType(), [pointer, I32, I32, I32])
        function = cgutils.get_or_insert_function(builder.module, kind, "llvm.prefetch.p0i8")
        written, nearest, data = 1, 3, 1
        place = builder.inttoptr(args[0], pointer)
        builder.call(function, [place, *(ir.Constant(I32, n) for n in (written, nearest, data))])
        return context.get_dummy_value()

    return types.void(types.int64), codegen


ask_ahead: Any = intrinsic(_ask_ahead)
