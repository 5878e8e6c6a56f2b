"""The page of a sweep in a real browser: no complaint, nothing sticks out, the front sorts."""

from __future__ import annotations

import pytest
from test_sweep_page import PAGE

from reports.sweep_page import write_sweep_page
from support.chromium import assert_opens_cleanly, chromium, needs_chromium, opened

pytestmark = needs_chromium


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    return write_sweep_page(tmp_path_factory.mktemp("sweep") / "report.html", PAGE)


@pytest.fixture(scope="module")
def browser():
    with chromium() as started:
        yield started


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1440, 400])
def test_it_opens_without_a_complaint_and_nothing_sticks_out(browser, path, width, scheme):
    assert_opens_cleanly(browser, path, width, scheme, figures=2)


def test_the_front_sorts_by_any_column(browser, path):
    with opened(browser, path, 1440, "light") as (page, _):
        first = page.locator("#network-0-front tbody tr td:first-child")
        assert first.all_inner_texts() == ["32", "8"]
        page.locator("#network-0-front thead button", has_text="energy").click()
        assert first.all_inner_texts() == ["32", "8"]
        page.locator("#network-0-front thead button", has_text="energy").click()
        assert first.all_inner_texts() == ["8", "32"]
