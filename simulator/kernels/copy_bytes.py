"""Bytes copied with a number taken off each, and their range, in one pass: plain vectors that LLVM knows on any CPU."""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from simulator.kernels.vector_ir import I8, I32, I64, cgutils, constant64, load_scalar, store

VECTOR_BYTES = 64
"""Least number of bytes that `copy_bytes` takes; streamed, their number and their target are multiples of it."""
_AHEAD_BYTES = 2048
"""How far ahead lines are asked for: a tenth faster, on what is not at hand, than what a CPU does of itself."""
_VECTOR = ir.VectorType(I8, VECTOR_BYTES)


def _splat(builder: Any, byte: Any) -> Any:
    none = ir.Constant(_VECTOR, ir.Undefined)
    first = builder.insert_element(none, byte, ir.Constant(I32, 0))
    return builder.shuffle_vector(first, none, ir.Constant(ir.VectorType(I32, VECTOR_BYTES), [0] * VECTOR_BYTES))


def _reduce(builder: Any, name: str, vector: Any) -> Any:
    kind = ir.FunctionType(I8, [_VECTOR])
    function = cgutils.get_or_insert_function(builder.module, kind, f"llvm.vector.reduce.{name}.v{VECTOR_BYTES}i8")
    return builder.zext(builder.call(function, [vector]), I64)


def _emit(builder: Any, args: Any) -> Any:
    source, target, count, less, streams = args
    less = _splat(builder, builder.trunc(less, I8))
    low = cgutils.alloca_once_value(builder, ir.Constant(_VECTOR, [-1] * VECTOR_BYTES))
    high = cgutils.alloca_once_value(builder, ir.Constant(_VECTOR, [0] * VECTOR_BYTES))
    builder.store(ir.Constant(_VECTOR, [-1] * VECTOR_BYTES), low)
    builder.store(ir.Constant(_VECTOR, [0] * VECTOR_BYTES), high)

    def ahead(address: Any, write: int) -> None:
        pointer = I8.as_pointer()
        kind = ir.FunctionType(ir.VoidType(), [pointer, I32, I32, I32])
        function = cgutils.get_or_insert_function(builder.module, kind, "llvm.prefetch.p0i8")
        place = builder.inttoptr(builder.add(address, constant64(_AHEAD_BYTES)), pointer)
        builder.call(function, [place, *(ir.Constant(I32, n) for n in (write, 3, 1))])

    def take(at: Any) -> Any:
        ahead(builder.add(source, at), 0)
        taken = builder.sub(load_scalar(builder, builder.add(source, at), _VECTOR), less)
        for extreme, sign in ((low, "<"), (high, ">")):
            found = builder.load(extreme)
            beyond = builder.icmp_unsigned(sign, taken, found)
            builder.store(builder.select(beyond, taken, found), extreme)
        return taken

    whole = builder.sdiv(count, constant64(VECTOR_BYTES))
    with builder.if_else(builder.icmp_signed("!=", streams, constant64(0))) as (past_caches, through_caches):
        with past_caches:
            with cgutils.for_range(builder, whole) as loop:
                at = builder.mul(loop.index, constant64(VECTOR_BYTES))
                place = builder.inttoptr(builder.add(target, at), _VECTOR.as_pointer())
                streamed = builder.store(take(at), place, align=VECTOR_BYTES)
                streamed.set_metadata("nontemporal", builder.module.add_metadata([ir.Constant(I32, 1)]))
            builder.fence("seq_cst")  # such stores are seen late by other threads otherwise
        with through_caches:
            with cgutils.for_range(builder, whole) as loop:
                at = builder.mul(loop.index, constant64(VECTOR_BYTES))
                ahead(builder.add(target, at), 1)
                store(builder, take(at), builder.add(target, at))
            # What is left over, with what comes before it once more.
            last = builder.sub(count, constant64(VECTOR_BYTES))
            store(builder, take(last), builder.add(target, last))
    upper = builder.shl(_reduce(builder, "umax", builder.load(high)), constant64(8))
    return builder.or_(_reduce(builder, "umin", builder.load(low)), upper)


def _copy_bytes(context: Any, source: Any, target: Any, count: Any, less: Any, streams: Any) -> Any:
    """Copy bytes less a number, modulo 256, and return the least copied + 256 * the greatest copied, both unsigned.

    ``copy_bytes(source, target, count, less, streams)``, all int64: addresses; how many, VECTOR_BYTES at least; the
    number; whether the copy goes past the caches (where it is larger than these, nothing else need be read first or
    thrown out), for which `count` and `target` are multiples of VECTOR_BYTES.
    """

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        return _emit(builder, args)

    return types.int64(types.int64, types.int64, types.int64, types.int64, types.int64), codegen


copy_bytes: Any = intrinsic(_copy_bytes)
