"""Columns of a file of measured layers: this tool's own names, and those of Gemmini's published test rows."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

GEMM = ("m", "k", "n")
CONV = ("height", "width", "channels", "filters", "kernel")
CONV_OPTIONS = {"stride": 1, "padding": 0, "dilation": 1, "groups": 1}
POOL = ("pool_size", "pool_stride", "pool_padding")
TRAFFIC = ("dram_read_bytes", "dram_write_bytes", "commands")
"""Measured too, if given: compared, never fitted."""
COLUMNS = {
    "cycles": "Measured; needed.",
    "kind": "`gemm` or `conv`; empty = gemm where the row has an `m`.",
    "dataflow": "`ws` or `os`: weight or output stationary; empty = the accelerator's own.",
    "group": "Rows of one name are summed up together; default: kind, dataflow, output, bias and pool.",
    "m": "gemm: rows of the product.",
    "k": "gemm: length of the sums.",
    "n": "gemm: columns of the product.",
    "out": "gemm: `int8` (default) or `int32`, the accumulators as they are.",
    "bias": "`none` (default), `vector`; gemm also `matrix`.",
    "height": "conv: of the input, pixels.",
    "width": "conv: of the input, pixels.",
    "channels": "conv: of the input.",
    "filters": "conv: channels of the output.",
    "kernel": "conv: height and width of a filter.",
    "stride": "conv: default 1.",
    "padding": "conv: rows and columns of zeros on each side; default 0.",
    "dilation": "conv: default 1.",
    "groups": "conv: default 1.",
    "pool_size": "conv: height and width of a max pool behind it; empty = none.",
    "pool_stride": "conv: of that pool; needed with it.",
    "pool_padding": "conv: of that pool; default 0.",
    "dram_read_bytes": "Measured too, if given: compared by `--compare`, never fitted.",
    "dram_write_bytes": "As `dram_read_bytes`.",
    "commands": "As `dram_read_bytes`: commands that the host issued.",
}
"""Columns that a file may have, with their meaning; besides these, any dotted key of the accelerator holds for its row
alone."""

DATAFLOWS = {"ws": "weight_stationary", "os": "output_stationary"}
BIASES = {
    **dict.fromkeys(("", "none", "0", "false", "no"), ""),
    **dict.fromkeys(("1", "true", "yes", "vector", "repeating"), "vector"),
    **dict.fromkeys(("matrix", "full", "int32"), "matrix"),
}

_TEST_ROWS = {
    "M": "m",
    "N": "n",
    "K": "k",
    "H": "height",
    "W": "width",
    "C": "channels",
    "OC": "filters",
    "k": "kernel",
    "pad": "padding",
    "kdil": "dilation",
    "mem_latency": "dram.latency_cycles",
    "bytes_per_cycle": "dram.bytes_per_cycle",
    "rocc_cmds": "commands",
}
_BEATS = {"rd_beats16B": "dram_read_bytes", "wr_beats16B": "dram_write_bytes"}
_BEAT_BYTES = 16
_NOT_READ = ("macs", "util_of_256", "bit_exact")


def is_test_row(header: Sequence[str]) -> bool:
    """Whether a header is that of Gemmini's test rows: sizes in capitals."""
    return {"M", "N", "K"} <= set(header)


def own_names(cells: Mapping[str, str]) -> dict[str, str]:
    """Return a test row under this tool's column names.

    `host_gap` is cycles between commands; `pool` is size, stride and padding, set apart by anything that is no digit
    (stride = size and padding = 0 where they are left out); an empty W is H.
    """
    found = {_TEST_ROWS.get(name, name): text for name, text in cells.items() if name not in (*_NOT_READ, *_BEATS)}
    for name, own in _BEATS.items():
        if cells.get(name, "").isdigit():
            found[own] = str(_BEAT_BYTES * int(cells[name]))
    gap = found.pop("host_gap", "")
    if gap.isdigit():
        found["controller.host_cycles"] = str(1 + int(gap))
    elif gap:
        found["controller.host_cycles"] = gap
    pool = re.findall(r"\d+", found.pop("pool", ""))
    if pool and int(pool[0]) > 1:
        found |= dict(zip(POOL, [pool[0], *(pool[1:2] or pool[:1]), *(pool[2:3] or ["0"])], strict=True))
    if found.get("height") and not found.get("width"):
        found["width"] = found["height"]
    return found
