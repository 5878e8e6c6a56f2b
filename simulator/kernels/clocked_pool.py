"""Model of rtl/max_pool.sv: windows of outputs, each written in the cycle after its last pixel."""

from __future__ import annotations

from typing import Any

from simulator.kernels._jit import kernel

_WRITES, _LAST, _WORD = range(3)
POOL = 3
"""Registers of the pool: whether a window is to be written, whether the job ends, which word is next."""


@kernel(inline=True)
def _ends(place: Any, size: Any, stride: Any, padding: Any) -> Any:
    """Whether a window ends at this row or column."""
    begin = place - (size - 1 - padding)
    return begin >= 0 and begin % stride == 0


@kernel(inline=True)
def clock_pool(
    pool: Any, window: Any, unpooled: Any, outputs: Any, valid: Any, last: Any, address: Any, job: Any
) -> Any:
    """Clock the pool; return whether the last output is written.

    Parameters
    ----------
    pool, window
        int64 [POOL] and [C], registers, stepped; `window` is the greatest value of one.
    unpooled
        int64 [words, C], the outputs before the pool, this cycle's included.
    outputs
        int64 [words, C], written.
    valid, last, address
        Token of this cycle's outputs.
    job
        Record of dtype JOB.

    """
    if pool[_WRITES]:
        outputs[pool[_WORD]] = window
        pool[_WORD] += 1
    done = pool[_LAST] != 0
    pool[_WRITES], pool[_LAST] = 0, last
    y, x = divmod(address % job["pixels"], job["pool_width"])
    size, stride = job["pool_size"], job["pool_stride"]
    if valid and _ends(y, size, stride, job["pool_top"]) and _ends(x, size, stride, job["pool_left"]):
        pool[_WRITES] = 1
        window[:] = unpooled[address]
        for up in range(min(size, y + 1)):
            for back in range(min(size, x + 1)):
                for c in range(window.shape[0]):
                    window[c] = max(window[c], unpooled[address - up * job["pool_width"] - back, c])
    return done
