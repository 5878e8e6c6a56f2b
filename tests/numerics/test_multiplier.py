"""Multipliers of many channels at once are those of one at a time, and refused with the same words."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulator.numerics.multiplier import quantize_multiplier, quantize_multipliers

EDGES = [0.0, -0.0, 1.0, -1.0, 0.5, 1 - 2**-33, -(1 - 2**-33), 1 - 2**-32, 2.0**-32, 2.0**-33, (1 - 2**-40) * 2**-32]
EDGES += [2.0**30, 2.0**31 - 1, -(2.0**31 - 2**-2), 5e-324, 2.5 * 2**-32, 0.5 + 2**-32]


@given(st.lists(st.floats(-(2.0**30), 2.0**30), max_size=20))
def test_many_are_each_of_them(reals):
    reals = reals + EDGES
    mantissas, exponents = quantize_multipliers(np.array(reals))
    assert list(zip(mantissas.tolist(), exponents.tolist(), strict=True)) == [quantize_multiplier(r) for r in reals]


@pytest.mark.parametrize("bad", [np.inf, -np.inf, np.nan, 2.0**31, 1e300, -(2.0**32), 2.0**31 - 2.0**-20])
def test_refused_alike(bad):
    with pytest.raises(ValueError, match="multiplier") as alone:
        quantize_multiplier(bad)
    with pytest.raises(ValueError, match="multiplier") as among:
        quantize_multipliers(np.array([0.5, bad, 0.25]))
    assert str(among.value) == str(alone.value)
