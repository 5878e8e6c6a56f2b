"""Draw mIoU against the width of the registers from the folders of evaluations.

python -m benchmarks.evaluation_figure DIR [DIR ...] -o docs/figures/miou_by_width.svg
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from bittrue.evaluation.folder import read_results
from reports.figures_evaluation import miou_by_width
from simulator.errors import BittrueError


def main(arguments: list[str] | None = None) -> int:
    """Write the picture and print its caption; 2 where there is nothing to draw."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("folders", type=Path, nargs="+")
    parser.add_argument("-o", "--output", type=Path, required=True)
    chosen = parser.parse_args(arguments)
    try:
        drawing = miou_by_width([read_results(folder) for folder in chosen.folders])
    except BittrueError as error:
        parser.error(str(error))
    if drawing is None:
        parser.error("none of these evaluations has two widths of registers (bittrue eval --accumulator-sweep)")
    chosen.output.write_text(drawing.file_text(), encoding="utf-8")
    print(drawing.caption)
    return 0


if __name__ == "__main__":
    sys.exit(main())
