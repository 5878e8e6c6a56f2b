"""Three ways to cut the layers of a network beside each other: bytes loaded, cycles, time of the choice.

    python -m benchmarks.mappers [--networks deeplabv3_resnet50,fcn_vgg16] [--accelerators edge_32x32,...]

Bytes loaded and cycles are those of the layers on the array. `choice` is lowering, mapping and timing of the whole
network, processor time. Ends with an error where a layer of a search is worse than the rule in what it searches for.
"""

from __future__ import annotations

import time

import bittrue
from benchmarks.by_network import print_by_network
from benchmarks.plain_table import PlainTable
from simulator.accelerator.spec import Mapper
from simulator.mapping.search import search, shortlist

_DEVICES = ("edge_32x32", "edge_16x16_os", "edge_npu_256", "tpu_v1", "nvdla_small")


def array_layers(network: str, accelerator: bittrue.Accelerator) -> tuple[list[bittrue.LayerRecord], float]:
    """Return the records of the layers on the array, and the processor time they took, nothing kept from before."""
    search.cache_clear()
    shortlist.cache_clear()
    net = bittrue.load_network(network)
    begin = time.process_time()
    run = bittrue.simulate(net, accelerator)
    return [layer for layer in run.layers if layer.engine == "array"], time.process_time() - begin


def rows(network: str, name: str) -> list[list[str]]:
    """Measure the three mappers on one accelerator."""
    found = {m: array_layers(network, bittrue.load_accelerator(name).evolve({"mapper": m})) for m in Mapper}
    (traffic, _), (cycles, _), (rule, _) = (found[mapper] for mapper in Mapper)
    for a, b, c in zip(traffic, cycles, rule, strict=True):
        if a.dram_read_bytes > c.dram_read_bytes or b.total_cycles > min(a.total_cycles, c.total_cycles):
            raise SystemExit(f"{network} on {name}, layer {c.name}: the search is worse than the rule")
    table = []
    for mapper, (layers, seconds) in found.items():
        read, total = (
            sum(layer.dram_read_bytes for layer in layers),
            sum(layer.total_cycles for layer in layers),
        )
        by_read, by_total = sum(layer.dram_read_bytes for layer in rule), sum(layer.total_cycles for layer in rule)
        share = (f"{read / by_read:.3f}", f"{total:,}", f"{total / by_total:.3f}")
        table.append([network, name, str(mapper), f"{read / 1e6:,.1f}", *share, f"{seconds:.2f}"])
    return table


def main() -> None:
    """Print the machine and three rows for each network and accelerator."""
    table = PlainTable(
        *(("network", 18), ("accelerator", 13), ("mapper", 13), ("loaded MB", 9), ("of rule", 7)),
        *(("cycles", 13), ("of rule", 7), ("choice s", 8)),
    )
    bittrue.simulate(bittrue.load_network("unet"), bittrue.load_accelerator("edge_32x32"))  # compiles the timing
    print_by_network(__doc__, ("deeplabv3_resnet50", "fcn_vgg16"), _DEVICES, table, rows)


if __name__ == "__main__":
    main()
