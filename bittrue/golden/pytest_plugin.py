"""The pytest plugin: fixture `bittrue_golden` and option --bittrue-update. Loads nothing before it is used."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

    from bittrue.golden.result import CheckResult


class GoldenChecker:
    """Holds the simulator, and what your hardware gave, to goldens that lie beside the test."""

    def __init__(self, folder: Path, config: pytest.Config) -> None:
        self._folder = folder
        self._config = config

    def __call__(self, golden: str | Path, case: str | None = None) -> CheckResult:
        """Check a golden; as `check` without `found`."""
        return self.check(golden, case)

    def check(
        self, golden: str | Path, case: str | None = None, found: Mapping[str, ArrayLike] | None = None
    ) -> CheckResult:
        """Check a golden, and fail the test where an expectation is not met.

        Parameters
        ----------
        golden
            The YAML file, relative to the test's own.
        case
            The only case to run; None = all.
        found
            What your hardware gave for that case, by tensor name: held to what the simulator computes.

        Returns
        -------
        CheckResult
            With --bittrue-update the golden was rewritten where it differed.

        Raises
        ------
        BittrueError
            A golden that cannot be read or run.

        """
        from bittrue.golden.check import examine
        from bittrue.golden.rewrite import write_update
        from simulator.errors import InputError

        if found is not None and case is None:
            raise InputError("found is held to one case: name it")
        update = bool(self._config.getoption("bittrue_update"))
        result = examine(self._folder / golden, cases=() if case is None else (case,), recording=update)
        failures = [f"{result.file.path}:{f.line}: {f.text}" for c in result.cases for f in c.required]
        if update and result.changed:
            self._say([f"{golden}: {line}" for line in result.update_lines()])
            write_update(result)
        elif not update and not result.passed:
            failures = result.lines()
        failures += [] if found is None else _differences(result, found)
        if failures:
            pytest.fail("\n".join(failures), pytrace=False)
        return result

    def _say(self, lines: list[str]) -> None:
        """Write to the terminal, whatever pytest captures."""
        plugins = self._config.pluginmanager
        terminal, capture = plugins.get_plugin("terminalreporter"), plugins.get_plugin("capturemanager")
        if terminal is None or capture is None:
            return
        with capture.global_and_fixture_disabled():
            terminal.ensure_newline()
            for line in lines:
                terminal.write_line(line)


def _differences(result: CheckResult, found: Mapping[str, ArrayLike]) -> list[str]:
    """Say where the hardware's tensors differ from the simulator's."""
    import numpy as np

    from bittrue.golden.expected import describe
    from reports.compare import compare_tensor
    from simulator.errors import InputError

    (case,) = result.cases
    for name in found:
        if name not in case.tensors:
            raise InputError(f"case {case.name} has no tensor {name!r}; it has {', '.join(case.tensors) or 'none'}")
    compared = [compare_tensor(name, case.tensors[name], np.asarray(value), 0) for name, value in found.items()]
    return [describe(difference) for difference in compared if difference is not None]


@pytest.fixture
def bittrue_golden(request: pytest.FixtureRequest) -> GoldenChecker:
    """Check a bittrue golden beside the test: bittrue_golden("name.yaml")."""
    return GoldenChecker(request.path.parent, request.config)


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add --bittrue-update."""
    parser.getgroup("bittrue").addoption(
        "--bittrue-update", action="store_true", help="rewrite bittrue goldens where they differ, old and new shown"
    )


def pytest_configure(config: pytest.Config) -> None:
    """Refuse to rewrite files from several processes at once."""
    if config.getoption("bittrue_update") and getattr(config.option, "numprocesses", None):
        raise pytest.UsageError("--bittrue-update rewrites files: run it without -n")
