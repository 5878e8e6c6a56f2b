"""ResNet-50 at 224 by SCALE-Sim 3.0.0 and by our closed forms: the same rows, and the CPU time of each.

    python -m benchmarks.scalesim --scalesim-python ENV/bin/python [--size 32] [--layers 0:54] [--dataflow ws os is]

ENV is an environment with `scalesim==3.0.0` and `numpy<2.3` (BITTRUE_SCALESIM_PYTHON serves as well). Times are user
and system CPU time of the computation: reading the files, every layer, writing the reports; interpreter start and
imports are left out on both sides. Exit status 1 where a figure differs.
"""

from __future__ import annotations

import argparse
import csv
import math
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.machine import describe_machine
from reports.scalesim import write_scalesim_reports
from simulator.timing.scalesim.closed_forms import report_layer
from workloads.importers.scalesim import read_config, read_topology

REPORTS = ("COMPUTE_REPORT.csv", "BANDWIDTH_REPORT.csv", "DETAILED_ACCESS_REPORT.csv")
_CONFIG = """[general]
run_name = resnet50
[architecture_presets]
ArrayHeight = {size}
ArrayWidth = {size}
IfmapSramSzkB = 256
FilterSramSzkB = 256
OfmapSramSzkB = 256
IfmapOffset = 0
FilterOffset = 10000000
OfmapOffset = 20000000
Dataflow = {dataflow}
Bandwidth = 10
ReadRequestBuffer = 32
WriteRequestBuffer = 32
[layout]
IfmapCustomLayout = False
IfmapSRAMBankBandwidth = 10
IfmapSRAMBankNum = 10
IfmapSRAMBankPort = 2
FilterCustomLayout = False
FilterSRAMBankBandwidth = 10
FilterSRAMBankNum = 10
FilterSRAMBankPort = 2
[sparsity]
SparsitySupport = false
[run_presets]
InterfaceBandwidth = CALC
UseRamulatorTrace = False
"""
_THEIRS = """
import sys, time
from scalesim.scale_sim import scalesim
config, topology, layout, output = sys.argv[1:]
began = time.process_time()
sim = scalesim(save_disk_space=True, verbose=False, config=config, topology=topology, layout=layout)
sim.run_scale(top_path=output)
print(f"cpu {time.process_time() - began}")
"""


def resnet50() -> list[tuple[str, int, int, int, int, int]]:
    """Return the layers: name, ifmap size with padding, filter size, channels, filters, stride; stride in the 3x3."""
    layers = [("conv1", 230, 7, 3, 64, 2)]
    channels, size = 64, 56
    for stage, (blocks, width) in enumerate(((3, 64), (4, 128), (6, 256), (3, 512)), 1):
        for block in range(blocks):
            stride = 2 if stage > 1 and block == 0 else 1
            name = f"l{stage}b{block + 1}"
            layers += [
                (f"{name}_1x1a", size, 1, channels, width, 1),
                (f"{name}_3x3", size + 2, 3, width, width, stride),
            ]
            if block == 0:
                layers.append((f"{name}_down", size, 1, channels, 4 * width, stride))
            size //= stride
            layers.append((f"{name}_1x1b", size, 1, width, 4 * width, 1))
            channels = 4 * width
    return [*layers, ("fc", 1, 1, 2048, 1000, 1)]


def write_inputs(folder: Path, size: int, dataflow: str, chosen: slice) -> None:
    """Write run.cfg, net.csv and the layout file that SCALE-Sim wants to open."""
    (folder / "run.cfg").write_text(_CONFIG.format(size=size, dataflow=dataflow))
    rows = [
        f"{name},{ifmap},{ifmap},{window},{window},{channels},{filters},{stride},\n"
        for name, ifmap, window, channels, filters, stride in resnet50()[chosen]
    ]
    (folder / "net.csv").write_text("name,\n" + "".join(rows))
    (folder / "layout.csv").write_text("name,\n")


def run_ours(folder: Path) -> float:
    """Write our reports into folder/ours; return CPU seconds."""
    began = time.process_time()
    device = read_config(folder / "run.cfg")
    rows = [report_layer(layer, device) for layer in read_topology(folder / "net.csv", gemm=False)]
    write_scalesim_reports(folder / "ours", rows)
    return time.process_time() - began


def run_theirs(python: str, folder: Path) -> float:
    """Write their reports into folder/resnet50; return CPU seconds."""
    files = [str(folder / name) for name in ("run.cfg", "net.csv", "layout.csv")]
    done = subprocess.run(
        [python, "-c", _THEIRS, *files, str(folder)], check=True, capture_output=True, text=True, cwd=folder
    )
    return float(done.stdout.split("cpu ")[-1])


def compare(folder: Path) -> tuple[int, int, int]:
    """Return how many figures agree, differ, and are left out by us."""
    equal = different = left_out = 0
    for name in REPORTS:
        ours, theirs = _cells(folder / "ours" / name), _cells(folder / "resnet50" / name)
        for our_row, their_row in zip(ours, theirs, strict=True):
            for mine, their in zip(our_row, their_row, strict=False):
                if not mine:
                    left_out += 1
                elif math.isclose(float(mine), float(their), rel_tol=1e-9):
                    equal += 1
                else:
                    different += 1
    return equal, different, left_out


def _cells(path: Path) -> list[list[str]]:
    with path.open() as file:
        return [[cell.strip() for cell in row[:-1]] for row in csv.reader(file)][1:]


def main() -> None:
    """Run both, compare, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--scalesim-python", default=os.environ.get("BITTRUE_SCALESIM_PYTHON"))
    parser.add_argument("--size", type=int, default=32, help="rows and columns of the array")
    parser.add_argument("--layers", default="0:54", help="FIRST:END")
    parser.add_argument("--dataflow", nargs="+", default=["ws", "os", "is"], choices=["ws", "os", "is"])
    options = parser.parse_args()
    chosen = slice(*map(int, options.layers.split(":")))
    print(describe_machine())
    wrong = 0
    for dataflow in options.dataflow:
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            write_inputs(folder, options.size, dataflow, chosen)
            ours = min(run_ours(folder) for _ in range(5))
            cycles = sum(int(row[2]) for row in _cells(folder / "ours" / REPORTS[0]))
            line = f"{dataflow}  layers {options.layers}  {cycles:>12,} cycles  ours {1000 * ours:.1f} ms"
            if options.scalesim_python:
                theirs = run_theirs(options.scalesim_python, folder)
                equal, different, left_out = compare(folder)
                line += f"  SCALE-Sim {theirs:.1f} s  {theirs / ours:,.0f} x"
                line += f"  figures: {equal} equal, {different} differ, {left_out} left out"
                wrong += different
            print(line, flush=True)
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()
