"""Which layers are shared among threads, and that the threads of loops are placed for those."""

from __future__ import annotations

import numpy as np
import pytest

from simulator.execution import execute
from simulator.graph import ops
from simulator.kernels.threads import thread_count
from support.training_runs import CONTEXT, layer_of


@pytest.mark.parametrize(("side", "shared"), [(8, False), (512, True)])
def test_only_what_is_shared_has_its_threads_placed(side, shared, monkeypatch):
    placed = []
    monkeypatch.setattr(execute, "place_loops", lambda: placed.append(side))
    arrays = [np.zeros((side, side), np.int8)] * 2
    layer = layer_of(ops.Maximum(), arrays)
    assert execute.is_worth_sharing(layer) is shared
    with thread_count(2):
        execute.run_layer(layer, arrays, CONTEXT)
    assert placed == ([side] if shared else [])
