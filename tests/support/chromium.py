"""Debian's Chromium, driven by Playwright; which of the two is missing is said when a test skips."""

from __future__ import annotations

import importlib.util
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

CHROMIUM = shutil.which("chromium")
needs_chromium = [
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium: apt install chromium"),
    pytest.mark.skipif(importlib.util.find_spec("playwright") is None, reason="needs the extra test: playwright"),
]
"""Marks for `pytestmark`."""

_QUIET = (
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
)


@dataclass
class Seen:
    """What a page did while it was open."""

    complaints: list[str] = field(default_factory=list)
    """Console messages and uncaught errors."""
    requests: list[str] = field(default_factory=list)
    """Addresses it asked for, data URIs left out."""


@contextmanager
def chromium() -> Iterator[Any]:
    """Start a headless browser; it is stopped, and Playwright's event loop with it, on leaving."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=list(_QUIET))
        yield browser
        browser.close()


@contextmanager
def opened(browser: Any, path: Path, width: int = 1440, scheme: str = "light") -> Iterator[tuple[Any, Seen]]:
    """Open a file in a window of that width, under a light or dark system."""
    page, seen = browser.new_page(viewport={"width": width, "height": 900}, color_scheme=scheme), Seen()
    page.on("console", lambda message: seen.complaints.append(message.text))
    page.on("pageerror", lambda error: seen.complaints.append(str(error)))
    page.on("request", lambda asked: None if asked.url.startswith("data:") else seen.requests.append(asked.url))
    page.goto(path.as_uri())
    yield page, seen
    page.close()


def assert_opens_cleanly(browser: Any, path: Path, width: int, scheme: str, figures: int) -> None:
    """No console message, nothing fetched, nothing wider than the window, every figure drawn."""
    with opened(browser, path, width, scheme) as (page, seen):
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        boxes = page.evaluate("[...document.querySelectorAll('main > *')].map(e => e.getBoundingClientRect().right)")
        assert max(boxes) <= width
        drawn = page.evaluate("[...document.querySelectorAll('figure svg')].map(e => e.getBoundingClientRect().height)")
        assert len(drawn) == figures
        assert min(drawn) > 100
        assert page.evaluate("[...document.querySelectorAll('img')].every(e => e.naturalWidth > 0)")
    assert seen.complaints == []
    assert seen.requests == [path.as_uri()]
