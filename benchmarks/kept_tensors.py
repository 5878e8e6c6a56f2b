"""What keeping tensors on chip between layers is worth: DRAM bytes, cycles and energy with and without.

    python -m benchmarks.kept_tensors [--networks unet,...] [--accelerators edge_32x32,...]

Ends with an error where a layer takes more cycles or moves more bytes than without.
"""

from __future__ import annotations

import bittrue
from benchmarks.by_network import print_by_network
from benchmarks.plain_table import PlainTable

_NETWORKS = ("deeplabv3_resnet50", "fcn_vgg16", "fcn_resnet50", "unet", "resnet50")
_DEVICES = ("edge_32x32", "edge_16x16_os", "edge_npu_256", "tpu_v1", "tpu_v4i", "nvdla_small", "max78000_like")


def row(network: str, name: str) -> list[str]:
    """Measure one network on one accelerator."""
    net, accelerator = bittrue.load_network(network), bittrue.load_accelerator(name)
    before = bittrue.simulate(net, accelerator).record
    after = bittrue.simulate(net, accelerator.evolve({"between_layers": "on_chip"})).record
    for a, b in zip(after.layers, before.layers, strict=True):
        if a.total_cycles > b.total_cycles or a.dram_bytes > b.dram_bytes:
            raise SystemExit(f"{network} on {name}, layer {a.name}: worse than with all tensors in DRAM")
    old, new = (sum(layer.dram_bytes for layer in r.layers) for r in (before, after))
    return [
        *(network, name, f"{old / 1e6:,.1f}", f"{new / old:.3f}"),
        *(f"{before.total_cycles:,}", f"{after.total_cycles / before.total_cycles:.3f}"),
        f"{after.total_energy_pj / before.total_energy_pj:.3f}",
    ]


def main() -> None:
    """Print the machine and a row for each network and accelerator."""
    table = PlainTable(
        *(("network", 18), ("accelerator", 13), ("DRAM MB", 9), ("kept", 6)),
        *(("cycles", 15), ("kept", 6), ("energy kept", 11)),
    )
    print_by_network(__doc__, _NETWORKS, _DEVICES, table, lambda network, name: [row(network, name)])


if __name__ == "__main__":
    main()
