"""The house rules that a tool can check."""

from __future__ import annotations

import logging
import subprocess
import sys
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGES = ("simulator", "accel_models", "workloads", "reports", "bittrue")


def test_import_contracts_hold():
    cli = pytest.importorskip("importlinter.cli")
    loggers = {name: log for name, log in logging.root.manager.loggerDict.items() if isinstance(log, logging.Logger)}
    silent = {name: log.disabled for name, log in loggers.items()}
    assert cli.lint_imports(config_filename=str(ROOT / "setup.cfg"), cache_dir=None) == 0
    for name, log in loggers.items():  # it sets up logging for itself, and silences all that was there
        log.disabled = silent[name]


def test_no_other_distribution_owns_our_packages():
    owners = packages_distributions()
    assert {package: set(owners[package]) for package in PACKAGES} == {package: {"bittrue"} for package in PACKAGES}


@pytest.mark.parametrize("statement", ["import bittrue", "import bittrue.cli"])
def test_importing_loads_nothing_heavy(statement):
    code = f"import sys; {statement}; print([m for m in ('numba', 'matplotlib', 'onnx', 'pandas') if m in sys.modules])"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"


def test_every_promised_name_is_there():
    import bittrue

    missing = [name for name in bittrue.__all__ if getattr(bittrue, name, None) is None]
    assert missing == []


@pytest.mark.parametrize(
    "path", sorted(p for name in PACKAGES for p in (ROOT / name).rglob("*.py")), ids=lambda p: p.name
)
def test_files_stay_small(path):
    lines = len(path.read_text().splitlines())
    assert lines <= 400, f"{path.relative_to(ROOT)} has {lines} lines: split it by concept"
