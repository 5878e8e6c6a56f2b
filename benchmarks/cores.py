"""Networks on one to eight cores that share a DRAM: cycles, bytes, and how long the choice of splits takes.

    python -m benchmarks.cores [--networks deeplabv3_resnet50,...] [--accelerators edge_32x32,...]

`choice` is lowering, mapping and timing of the whole network from nothing, processor time, with `mapper: least_traffic`
and with `least_cycles`. Ends with an error where a core more makes a network slower.
"""

from __future__ import annotations

import time

import bittrue
from benchmarks.by_network import print_by_network
from benchmarks.plain_table import PlainTable
from simulator.mapping.search import search, shortlist

_COUNTS = (1, 2, 3, 4, 5, 6, 7, 8)
_MAPPERS = ("least_traffic", "least_cycles")


def evaluate(network: str, name: str, cores: int, mapper: str) -> tuple[bittrue.RunRecord, float]:
    """Return the record of a network on so many cores, and the processor time it took, nothing kept from before."""
    search.cache_clear()
    shortlist.cache_clear()
    net = bittrue.load_network(network)
    accelerator = bittrue.load_accelerator(name).evolve({"cores": cores, "mapper": mapper})
    begin = time.process_time()
    return bittrue.simulate(net, accelerator).record, time.process_time() - begin


def rows(network: str, name: str) -> list[list[str]]:
    """Measure all counts on one accelerator."""
    table, before, one = [], [0, 0], 0
    for cores in _COUNTS:
        found = [evaluate(network, name, cores, mapper) for mapper in _MAPPERS]
        cycles = [record.total_cycles for record, _ in found]
        if cores > 1 and any(now > then for now, then in zip(cycles, before, strict=True)):
            raise SystemExit(f"{network} on {name}: {cores} cores are slower than {cores - 1}")
        before, one = cycles, one or cycles[0]
        record = found[0][0]
        traffic = f"{record.total_cycles:,}", f"{one / record.total_cycles:.2f}", f"{record.dram_bytes / 1e6:,.1f}"
        table.append([network, name, str(cores), *traffic, f"{cycles[1]:,}", *(f"{s:.2f}" for _, s in found)])
    return table


def main() -> None:
    """Print the machine and a row for each network, accelerator and number of cores."""
    table = PlainTable(
        *(("network", 18), ("accelerator", 13), ("cores", 5), ("cycles", 13), ("faster", 6), ("DRAM MB", 8)),
        *(("least_cycles", 13), ("choice s", 8), ("least_cycles s", 14)),
    )
    bittrue.simulate(bittrue.load_network("unet"), bittrue.load_accelerator("edge_32x32").evolve({"cores": 2}))
    print_by_network(__doc__, ("deeplabv3_resnet50", "unet"), ("edge_32x32", "edge_16x16_os"), table, rows)


if __name__ == "__main__":
    main()
