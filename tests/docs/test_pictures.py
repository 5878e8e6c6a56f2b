"""The pictures of the docs: an image takes no colours from the page that shows it."""

from __future__ import annotations

from pathlib import Path

import pytest

PICTURES = sorted((Path(__file__).parents[2] / "docs" / "figures").glob("*.svg"))


@pytest.mark.parametrize("path", PICTURES, ids=lambda path: path.stem)
def test_can_be_read_on_light_and_on_dark_pages(path):
    text = path.read_text(encoding="utf-8")
    assert "background:" in text
    assert "prefers-color-scheme: dark" in text
