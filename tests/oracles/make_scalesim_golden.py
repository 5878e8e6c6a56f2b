"""Run SCALE-Sim 3.0.0 in CALC mode on drawn layers and write what it reports: one CSV row a layer.

    PYTHON tests/oracles/make_scalesim_golden.py [--seeds FIRST END] OUT.csv

PYTHON is that of an environment with `scalesim==3.0.0` and `numpy<2.3`; nothing of bittrue is imported.
`tests/timing/test_scalesim.py` compares the rows of `tests/oracles/data/scalesim_golden.csv`, or of the file that
BITTRUE_SCALESIM_ROWS names, with the closed forms.
"""

from __future__ import annotations

import argparse
import csv
import random
import tempfile
from pathlib import Path

CONFIG = """[general]
run_name = run
[architecture_presets]
ArrayHeight = {rows}
ArrayWidth = {cols}
IfmapSramSzkB = {ifmap_kb}
FilterSramSzkB = {filter_kb}
OfmapSramSzkB = {ofmap_kb}
IfmapOffset = 0
FilterOffset = 10000000
OfmapOffset = 20000000
Dataflow = {dataflow}
Bandwidth = 10
MemoryBanks = 1
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
DEVICE = ("rows", "cols", "ifmap_kb", "filter_kb", "ofmap_kb", "dataflow")
LAYER = (*("ifmap_height", "ifmap_width", "filter_height", "filter_width", "channels", "filters", "stride"),)
SEEDS = (1, 23)
"""Of the committed file."""
REPORTS = ("COMPUTE_REPORT.csv", "BANDWIDTH_REPORT.csv", "DETAILED_ACCESS_REPORT.csv")


def draw_device(rng: random.Random) -> dict[str, int | str]:
    """Draw an array of up to 32 x 32 and buffers small enough to overflow now and then."""
    cols = rng.choice([1, 2, 3, 4, 5, 8, 13, 16, 32])
    return {
        "rows": rng.choice([2, 3, 4, 7, 8, 11, 16, 32]),
        "cols": cols,
        "ifmap_kb": rng.choice([1, 2, 4, 64]),
        "filter_kb": rng.choice([1, 2, 4, 64]),
        "ofmap_kb": rng.choice([1, 2, 4, 64]),
        "dataflow": rng.choice(["ws", "os", "is"]),
    }


def draw_layer(rng: random.Random) -> dict[str, int]:
    """Draw a convolution; strides beyond the filter and windows that hang over the edge are common."""
    height, width = rng.randint(1, 20), rng.randint(1, 20)
    return {
        "ifmap_height": height,
        "ifmap_width": width,
        "filter_height": rng.randint(1, min(height, 5)),
        "filter_width": rng.randint(1, min(width, 5)),
        "channels": rng.choice([1, 1, 2, 3, 5, 8, 16]),
        "filters": rng.choice([1, 2, 3, 7, 8, 17, 32]),
        "stride": rng.randint(1, 5),
    }


def run_scalesim(device: dict[str, int | str], layers: list[dict[str, int]]) -> list[list[str]]:
    """Return the columns of the three reports, without LayerID, of each layer."""
    from scalesim.scale_sim import scalesim

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "run.cfg").write_text(CONFIG.format(**device))
        (folder / "layout.csv").write_text("header\n")
        lines = [",".join(["layer", *(str(layer[key]) for key in LAYER)]) + ",\n" for layer in layers]
        (folder / "net.csv").write_text("header,\n" + "".join(lines))
        sim = scalesim(
            save_disk_space=True,
            verbose=False,
            config=str(folder / "run.cfg"),
            topology=str(folder / "net.csv"),
            layout=str(folder / "layout.csv"),
        )
        sim.run_scale(top_path=str(folder))
        return read_reports(folder / "run")


def read_reports(folder: Path) -> list[list[str]]:
    """Read the three reports side by side."""
    tables = []
    for name in REPORTS:
        with (folder / name).open() as file:
            tables.append([[cell.strip() for cell in row[1:-1]] for row in csv.reader(file)][1:])
    return [[cell for table in rows for cell in table] for rows in zip(*tables, strict=True)]


def main() -> None:
    """Draw, run, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("output", type=Path)
    parser.add_argument("--seeds", type=int, nargs=2, default=SEEDS, help="one device and six layers for each")
    options = parser.parse_args()
    with options.output.open("w", newline="") as file:
        file.write("# source: SCALE-Sim 3.0.0, CALC mode\n")
        writer = csv.writer(file, lineterminator="\n")
        for seed in range(*options.seeds):
            rng = random.Random(seed)
            device, layers = draw_device(rng), [draw_layer(rng) for _ in range(6)]
            for layer, cells in zip(layers, run_scalesim(device, layers), strict=True):
                writer.writerow([*(device[key] for key in DEVICE), *(layer[key] for key in LAYER), *cells])


if __name__ == "__main__":
    main()
