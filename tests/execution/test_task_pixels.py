"""How a convolution is cut into tasks: what the kernel's tables hold, for any number of threads."""

from __future__ import annotations

import numba
import pytest

from simulator.execution.array_tiles import _task_pixels
from simulator.kernels.convolve import PIXELS
from simulator.kernels.guarded_convolve import PIXELS as GUARDED_PIXELS
from simulator.kernels.isa import TILE_ROWS
from simulator.kernels.threads import thread_count
from simulator.lowering.layer import ConvGeometry


@pytest.mark.parametrize("most", [PIXELS, GUARDED_PIXELS])
@pytest.mark.parametrize("filters", [8, 4096], ids=["weights near", "weights far"])
@pytest.mark.parametrize("pixels", [0, 1, 6, 47, 383, 384, 385, 1089, 4225, 66049, 1 << 20])
@pytest.mark.parametrize("threads", [1, 2])
def test_a_task_fits_the_tables_of_its_kernel(threads, pixels, filters, most):
    if threads > numba.config.NUMBA_NUM_THREADS:
        pytest.skip("fewer threads")
    geometry = ConvGeometry(1, pixels, 1, pixels, 1, channels=64, filters=filters)
    with thread_count(threads):
        task = _task_pixels(geometry, most)
    assert 0 < task <= most
    assert task % TILE_ROWS == 0
    blocks = -(-pixels // task)
    if threads == 1 or filters == 4096:
        assert blocks == -(-pixels // most), "as few as the tables allow: each waits for its weights"
    elif pixels >= 1089:
        assert blocks > 4 * threads, "threads have parts of their own"
