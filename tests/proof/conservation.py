"""Hold the records to what must be conserved, on many more drawn layers and accelerators than the tests have time for.

    PYTHONPATH=.:tests python -m proof.conservation [--cases 10000] [--log FILE]

The properties are those of tests/timing/test_layer_records.py: bytes, cycles, work, partial sums. Stops at a case that
breaks one, which Hypothesis makes small and prints.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

from hypothesis import HealthCheck, given, settings
from timing import test_layer_records as properties

from support.strategies import cases


def main() -> int:
    """Run every property; print how many cases held."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", type=int, default=10_000, help="of each property")
    parser.add_argument("--log", type=Path, help="file for what is printed")
    options = parser.parse_args()
    drawn = settings(max_examples=options.cases, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    began, lines = time.monotonic(), []
    for name, test in sorted(vars(properties).items()):
        if not hasattr(test, "hypothesis"):
            continue
        drawn(given(cases())(test.hypothesis.inner_test))()
        lines.append(f"{name.removeprefix('test_').replace('_', ' ')}: held in {options.cases:,} cases")
        sys.stdout.write(f"{lines[-1]}\n")
        sys.stdout.flush()
    sys.stdout.write(f"{time.monotonic() - began:.0f} s\n")
    if options.log:
        options.log.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
