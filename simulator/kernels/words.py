"""Words of 4 and of 8 bytes, copied wherever they lie."""

from __future__ import annotations

from typing import Any

from numba import types
from numba.extending import intrinsic

from simulator.kernels.vector_ir import I32, I64, load_scalar, store


def _copy_word(context: Any, source: Any, target: Any) -> Any:
    """Copy 4 bytes from one address (int64) to another, aligned or not: ``copy_word(source, target)``."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        store(builder, load_scalar(builder, args[0], I32), args[1])
        return context.get_dummy_value()

    return types.void(types.int64, types.int64), codegen


def _copy_long_word(context: Any, source: Any, target: Any) -> Any:
    """Copy 8 bytes likewise: ``copy_long_word(source, target)``."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        store(builder, load_scalar(builder, args[0], I64), args[1])
        return context.get_dummy_value()

    return types.void(types.int64, types.int64), codegen


copy_word: Any = intrinsic(_copy_word)
copy_long_word: Any = intrinsic(_copy_long_word)
