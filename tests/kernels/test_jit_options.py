"""Options that kernels are compiled with."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba.core.options import DefaultOptions

from simulator.kernels import _jit


@_jit.kernel()
def sum_of_copy(x: Any) -> int:
    total = 0
    for value in x.copy():
        total += value
    return total


@_jit.kernel(allocates=False)
def twice_the_sum(x: Any) -> int:
    return 2 * sum_of_copy(x)


def test_what_is_called_may_allocate():
    """Though it is compiled for a caller that does not."""
    assert twice_the_sum(np.arange(5)) == 20


def test_kernels_compile_without_the_option(monkeypatch):
    """It is Numba's own, and may go; kernels then count references."""
    monkeypatch.delattr(DefaultOptions, "_nrt")

    @_jit.kernel(allocates=False)
    def first(x: Any) -> int:
        return int(x[0])

    assert "_nrt" not in first.targetoptions
