"""Model of rtl/max_pool.sv: windows of outputs, each written in the cycle after its last pixel inside the map."""

from __future__ import annotations

from typing import Any

from simulator.kernels._jit import kernel

_WRITES, _LAST, _WORD = range(3)
POOL = 3
"""Registers of the pool: whether a window is to be written, whether the job ends, which word is next."""


@kernel(inline=True)
def _over(place: Any, length: Any, size: Any, stride: Any, padding: Any, end_padding: Any) -> Any:
    """Rows or columns outside of the map, of the window whose last one inside is this; -1 where there is none."""
    begin = place - (size - 1 - padding)
    over = -begin if begin < 0 else -begin % stride
    return over if over == 0 or (place == length - 1 and over <= end_padding) else -1


@kernel(inline=True)
def clock_pool(
    pool: Any, window: Any, unpooled: Any, maps: Any, outputs: Any, valid: Any, last: Any, address: Any, job: Any
) -> Any:
    """Clock the pool; return whether the last output is written.

    Parameters
    ----------
    pool, window
        int64 [POOL] and [C], registers, stepped; `window` is the greatest value of one.
    unpooled
        int64 [words, C], the job's outputs before the pool, this cycle's included.
    maps
        int64 [n_folds * height * width, C], updated: the maps that are pooled, of which the jobs before made the rows
        above.
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
    size, stride, width = job["pool_size"], job["pool_stride"], job["pool_width"]
    fold, pixel = divmod(address, job["pixels"])
    y, x = divmod(pixel, width)
    y += job["pool_first_row"]
    place = ((job["pool_first_fold"] + fold) * job["pool_height"] + y) * width + x
    if valid:
        maps[place] = unpooled[address]
    below = _over(y, job["pool_height"], size, stride, job["pool_top"], job["pool_bottom"])
    beside = _over(x, job["pool_width"], size, stride, job["pool_left"], job["pool_right"])
    if valid and below >= 0 and beside >= 0:
        pool[_WRITES] = 1
        window[:] = maps[place]
        for up in range(min(size - below, y + 1)):
            for back in range(min(size - beside, x + 1)):
                for c in range(window.shape[0]):
                    window[c] = max(window[c], maps[place - up * width - back, c])
    return done
