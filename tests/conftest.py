"""Shared fixtures: where the real models are, and the rule that CI skips nothing."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import settings

if os.environ.get("CI") != "true":  # where Hypothesis has a profile of its own
    settings.register_profile("any_machine", deadline=None)  # a slow or busy one fails no test
    settings.load_profile("any_machine")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip tests that need real models where there are none; in CI that is a failure of the set-up."""
    if assets_folder() is not None:
        return
    if os.environ.get("CI") == "true":
        raise pytest.UsageError("CI=true but BITTRUE_ASSETS names no folder with an assets/ folder in it")
    reason = "set BITTRUE_ASSETS to the folder that holds assets/ and datasets/"
    for item in items:
        if item.get_closest_marker("assets"):
            item.add_marker(pytest.mark.skip(reason=reason))


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item: pytest.Item):
    """Turn a skip of an assets, oracle, rtl or browser test into a failure under CI=true."""
    outcome = yield
    report = outcome.get_result()
    needed = any(item.get_closest_marker(marker) for marker in ("assets", "oracle", "rtl", "browser"))
    if os.environ.get("CI") == "true" and needed and report.skipped:
        report.outcome = "failed"
        report.longrepr = f"{item.nodeid} skipped under CI=true"


@pytest.hookimpl(hookwrapper=True)
def pytest_make_collect_report(collector: pytest.Collector):
    """Turn the skip of a whole file of oracle tests, for want of a package, into a failure under CI=true."""
    outcome = yield
    report = outcome.get_result()
    if os.environ.get("CI") == "true" and report.skipped:
        report.outcome = "failed"
        report.longrepr = f"{collector.nodeid} skipped under CI=true: {report.longrepr[-1]}"


def assets_folder() -> Path | None:
    """Folder named by BITTRUE_ASSETS, if it holds assets/."""
    name = os.environ.get("BITTRUE_ASSETS")
    return Path(name) if name and (Path(name) / "assets").is_dir() else None


@pytest.fixture(scope="session")
def assets() -> Path:
    """Folder of the real models, images and goldens."""
    folder = assets_folder()
    assert folder is not None, "mark the test with `assets`"
    return folder / "assets"
