"""Hold the compiled machine to the SimPy machine for long: `python -m proof.prove_timing [--cases 10000]`."""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from pathlib import Path

from proof.schedules import banked_case, cores_case, differences, has_place, joined_case, timing_case

PROGRESS_CASES = 250


def main() -> int:
    """Print what was held to what, and every difference; 1 where there was one."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--first", type=int, default=0, help="number of the first case")
    parser.add_argument("--cases", type=int, default=10_000, help="cases")
    parser.add_argument("--log", type=Path, help="file that the outcome is written to")
    options = parser.parse_args()
    seen: Counter[str] = Counter()
    found: list[str] = []
    for number in range(options.first, options.first + options.cases):
        case = timing_case(number)
        seen["layers"] += len(case.schedule.layers)
        seen["tile ops"] += case.schedule.tile_ops
        seen["arrays of 32 x 32 or more"] += min(case.accelerator.array.rows, case.accelerator.array.cols) >= 32
        found += differences(case)
        found += differences(banked_case(number))
        split = cores_case(number)
        seen["layers split over cores"] += sum(len(layer.core_ops) > 1 for layer in split.schedule.layers)
        found += differences(split)
        joined = joined_case(number)
        seen["pools on the store path"] += sum(bool(s.work and s.work.pool) for s in joined.schedule.layers)
        seen["layers with a tensor within another"] += sum(has_place(s) for s in joined.schedule.layers)
        seen["such layers split over cores"] += sum(
            len(s.core_ops) > 1 and (has_place(s) or bool(s.work and s.work.pool)) for s in joined.schedule.layers
        )
        found += differences(joined)
        done = number + 1 - options.first
        if done % PROGRESS_CASES == 0:
            sys.stderr.write(f"{done} of {options.cases} cases, {len(found)} differences\n")
    counted = ", ".join(f"{count} {name}" for name, count in seen.items())
    text = f"cases {options.first} to {options.first + options.cases - 1}: {counted}\n"
    text += (
        "each with a DRAM of fixed latency and bandwidth, with one of banks, on several cores, and with layers that\n"
    )
    text += "save each other traffic\n"
    text += "".join(f"{line}\n" for line in found) + f"{len(found)} differences\n"
    sys.stdout.write(text)
    if options.log:
        options.log.write_text(text, encoding="utf-8")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
