"""Raw sums written past the caches: a result larger than these need not be read into them to be written there.

Plain vectors of 64 bytes, which LLVM splits where a CPU has shorter ones.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from simulator.kernels.vector_ir import I32, cgutils, constant64, load_scalar

STREAMED = 16
"""Sums that are written at once."""
_VECTOR_BYTES = 4 * STREAMED
_VECTOR = ir.VectorType(I32, STREAMED)


def _stream_sums(context: Any, sums: Any, start: Any, out: Any, count: Any) -> Any:
    """Write sums + start, modulo 2^32: ``stream_sums(sums, start, out, count)``.

    All are int64: addresses of int32 numbers, `out` a multiple of 64, and how many, a multiple of STREAMED.
    """

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        sums, start, out, count = args
        with cgutils.for_range(builder, builder.sdiv(count, constant64(STREAMED))) as loop:
            at = builder.mul(loop.index, constant64(_VECTOR_BYTES))
            a, b = (load_scalar(builder, builder.add(address, at), _VECTOR) for address in (sums, start))
            place = builder.inttoptr(builder.add(out, at), _VECTOR.as_pointer())
            streamed = builder.store(builder.add(a, b), place, align=_VECTOR_BYTES)
            streamed.set_metadata("nontemporal", builder.module.add_metadata([ir.Constant(I32, 1)]))
        return context.get_dummy_value()

    return types.void(*[types.int64] * 4), codegen


def _end_stream(context: Any) -> Any:
    """Let other threads see what was streamed before they see anything that is written later: ``end_stream()``."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        builder.fence("seq_cst")
        return context.get_dummy_value()

    return types.void(), codegen


stream_sums: Any = intrinsic(_stream_sums)
end_stream: Any = intrinsic(_end_stream)
