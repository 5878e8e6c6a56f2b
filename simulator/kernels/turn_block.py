"""Transposition of a small block in vector registers: ROWS or WOVEN_ROWS rows, of each 16 bytes, become columns.

Rows are interleaved in pairs half the block apart, until one is left: of a0 a1 .. and b0 b1 .. comes a0 b0
a1 b1 .., so that in the end the first elements of all rows stand side by side, then the second ones. It is plain LLVM
IR: any CPU with vectors of 16 bytes has an instruction for such a shuffle.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import types
from numba.extending import intrinsic
from numba.np.numpy_support import as_dtype

from simulator.kernels.vector_ir import I32, I64, constant64, load_scalar, offset, store

ROWS = 8
ROW_BYTES = 16
WOVEN_ROWS = 4


def _interleave(builder: Any, a: list[Any], b: list[Any]) -> list[Any]:
    """Return the elements of two rows by turns; a row is a list of vectors."""
    count = a[0].type.count
    mixed = []
    for first, second in zip(a, b, strict=True):
        for begin in (0, count // 2):
            order = [lane for i in range(begin, begin + count // 2) for lane in (i, i + count)]
            mixed.append(builder.shuffle_vector(first, second, ir.Constant(ir.VectorType(I32, count), order)))
    return mixed


def _columns(builder: Any, count: int, size: int, source: Any, row_bytes: Any, less: Any = None) -> list[Any]:
    """Return the columns of `count` rows, one after another in vectors of 16 bytes; `less` is taken off each number."""
    vector = ir.VectorType(ir.IntType(8 * size), ROW_BYTES // size)
    at = [builder.add(source, builder.mul(row_bytes, constant64(row))) for row in range(count)]
    rows = [[load_scalar(builder, address, vector)] for address in at]
    if less is not None:
        one = builder.insert_element(ir.Constant(vector, ir.Undefined), less, ir.Constant(I32, 0))
        order = ir.Constant(ir.VectorType(I32, vector.count), [0] * vector.count)
        all_less = builder.shuffle_vector(one, ir.Constant(vector, ir.Undefined), order)
        rows = [[builder.sub(row[0], all_less)] for row in rows]
    while len(rows) > 1:
        half = len(rows) // 2
        rows = [_interleave(builder, rows[i], rows[i + half]) for i in range(half)]
    return rows[0]


def _emit(
    builder: Any, size: int, source: Any, row_bytes: Any, target: Any, column_bytes: Any, less: Any = None
) -> None:
    column_length = ROWS * size
    for number, found in enumerate(_columns(builder, ROWS, size, source, row_bytes, less)):
        if column_length < ROW_BYTES:  # two columns of bytes
            words = builder.bitcast(found, ir.VectorType(I64, 2))
            parts = [builder.extract_element(words, ir.Constant(I32, i)) for i in range(2)]
        else:
            parts = [found]
        for i, part in enumerate(parts):
            column, within = divmod(number * ROW_BYTES + i * column_length, column_length)
            begin = builder.add(target, builder.mul(column_bytes, constant64(column)))
            store(builder, part, offset(builder, begin, within))


def _turn_block(context: Any, x: Any, source: Any, row_bytes: Any, target: Any, column_bytes: Any) -> Any:
    """Transpose a block: ``turn_block(x, source, row_bytes, target, column_bytes)``.

    `x` is an array of the elements' type, of 1, 2, 4 or 8 bytes; the rest are int64: address of the first row, bytes
    from one row to the next, and the same of the columns, ROWS elements each, written.
    """
    size = as_dtype(x.dtype).itemsize

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        _emit(builder, size, *args[1:])
        return context.get_dummy_value()

    return types.void(x, *[types.int64] * 4), codegen


turn_block: Any = intrinsic(_turn_block)


def _turn_bytes_less(context: Any, source: Any, row_bytes: Any, target: Any, column_bytes: Any, less: Any) -> Any:
    """Transpose a block of bytes less a number: ``turn_bytes_less(source, row_bytes, target, column_bytes, less)``.

    All are int64, the first four as those of `turn_block`; `less` is taken off every byte, modulo 256.
    """

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        source, row_bytes, target, column_bytes, less = args
        _emit(builder, 1, source, row_bytes, target, column_bytes, builder.trunc(less, ir.IntType(8)))
        return context.get_dummy_value()

    return types.void(*[types.int64] * 5), codegen


turn_bytes_less: Any = intrinsic(_turn_bytes_less)


def _weave_bytes(context: Any, source: Any, row_bytes: Any, target: Any) -> Any:
    """Transpose WOVEN_ROWS rows of 16 bytes: ``weave_bytes(source, row_bytes, target)``; columns lie end to end.

    All are int64: address of the first row, bytes from one row to the next, address of the columns.
    """

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        source, row_bytes, target = args
        for number, found in enumerate(_columns(builder, WOVEN_ROWS, 1, source, row_bytes)):
            store(builder, found, offset(builder, target, number * ROW_BYTES))
        return context.get_dummy_value()

    return types.void(*[types.int64] * 3), codegen


weave_bytes: Any = intrinsic(_weave_bytes)
