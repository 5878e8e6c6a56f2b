"""Transposition of a small block in vector registers: ROWS rows, of each 16 bytes, become columns.

Rows are interleaved in pairs half the block apart, thrice: of a0 a1 .. and b0 b1 .. comes a0 b0 a1 b1 .., so that in
the end the first elements of all rows stand side by side, then the second ones. It is plain LLVM IR: any CPU with
vectors of 16 bytes has an instruction for such a shuffle.
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


def _interleave(builder: Any, a: list[Any], b: list[Any]) -> list[Any]:
    """Return the elements of two rows by turns; a row is a list of vectors."""
    count = a[0].type.count
    mixed = []
    for first, second in zip(a, b, strict=True):
        for begin in (0, count // 2):
            order = [lane for i in range(begin, begin + count // 2) for lane in (i, i + count)]
            mixed.append(builder.shuffle_vector(first, second, ir.Constant(ir.VectorType(I32, count), order)))
    return mixed


def _emit(builder: Any, size: int, source: Any, row_bytes: Any, target: Any, column_bytes: Any) -> None:
    vector = ir.VectorType(ir.IntType(8 * size), ROW_BYTES // size)
    at = [builder.add(source, builder.mul(row_bytes, constant64(row))) for row in range(ROWS)]
    rows = [[load_scalar(builder, address, vector)] for address in at]
    while len(rows) > 1:
        half = len(rows) // 2
        rows = [_interleave(builder, rows[i], rows[i + half]) for i in range(half)]
    column_length = ROWS * size
    for number, found in enumerate(rows[0]):
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
