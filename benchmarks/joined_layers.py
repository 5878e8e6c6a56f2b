"""What pools on the store path and concatenations in place are worth: DRAM bytes, cycles and energy with and without.

    python -m benchmarks.joined_layers [--networks unet,...] [--accelerators edge_32x32,...]

`pools` has both kinds of pools and a buffer of 16 KiB for windows that lie in several tiles. Ends with an error where
a network takes more cycles or moves more bytes than without.
"""

from __future__ import annotations

import bittrue
from benchmarks.by_network import print_by_network
from benchmarks.plain_table import PlainTable

_NETWORKS = ("deeplabv3_resnet50", "fcn_vgg16", "unet", "resnet50")
_DEVICES = ("edge_32x32", "edge_16x16_os", "edge_npu_256", "tpu_v1", "tpu_v4i", "nvdla_small")
_POOLS = {"store_path": {"pools": "max_and_average", "pool_buffer": "16 KiB"}}
_IN_PLACE = {"concatenations": "in_place"}


def row(network: str, name: str) -> list[str]:
    """Measure one network on one accelerator."""
    net, accelerator = bittrue.load_network(network), bittrue.load_accelerator(name)
    changes = ({}, _POOLS, _IN_PLACE, {**_POOLS, **_IN_PLACE})
    plain, *others = (bittrue.simulate(net, accelerator.evolve(change)).record for change in changes)
    moved = [record.dram_read_bytes + record.dram_write_bytes for record in (plain, *others)]
    if max(moved) > moved[0] or any(record.total_cycles > plain.total_cycles for record in others):
        raise SystemExit(f"{network} on {name}: worse than without")
    return [
        *(network, name, f"{moved[0] / 1e6:,.1f}", *(f"{size / moved[0]:.3f}" for size in moved[1:])),
        *(f"{plain.total_cycles:,}", *(f"{record.total_cycles / plain.total_cycles:.3f}" for record in others)),
        f"{others[-1].total_energy_pj / plain.total_energy_pj:.3f}",
    ]


def main() -> None:
    """Print the machine and a row for each network and accelerator."""
    shares = ("pools", 6), ("in place", 9), ("both", 6)
    table = PlainTable(
        *(("network", 18), ("accelerator", 13), ("DRAM MB", 9), *shares),
        *(("cycles", 14), *shares, ("energy both", 12)),
    )
    print_by_network(__doc__, _NETWORKS, _DEVICES, table, lambda network, name: [row(network, name)])


if __name__ == "__main__":
    main()
