"""Handing out work to threads: each takes the next task when it is free, so that none waits for a slow one.

Tasks write outputs of their own, so results do not depend on who takes what.
"""

from __future__ import annotations

from typing import Any

from numba import types
from numba.extending import intrinsic

from simulator.kernels.vector_ir import I64, constant64


def _take_ticket(context: Any, counter: Any) -> Any:
    """Return the number at an address (int64) and add 1 to it, as one indivisible act."""

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        pointer = builder.inttoptr(args[0], I64.as_pointer())
        return builder.atomic_rmw("add", pointer, constant64(1), "monotonic")

    return types.int64(types.int64), codegen


take_ticket: Any = intrinsic(_take_ticket)
