"""The compiled kernels of the array on the shared cases (test_modes.py runs them interpreted and bounds-checked)."""

from __future__ import annotations

import pytest

from support.kernel_cases import CASES


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.__name__)
def test_compiled(case):
    case()
