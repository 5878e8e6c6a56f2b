"""What waits for banks of the input scratchpad cost: cycles with and without, by the banks and their words.

    python -m benchmarks.bank_conflicts [--networks unet,...] [--accelerators edge_32x32,...]

`wait` is the share of the array's cycles in which pixels wait, `slower` what that makes of all cycles; then the layer
that waits for most of its cycles on the array.
"""

from __future__ import annotations

import bittrue
from benchmarks.by_network import print_by_network
from benchmarks.plain_table import PlainTable

_NETWORKS = ("deeplabv3_resnet50", "fcn_vgg16", "unet", "resnet50")
_BANKS = ((4, 256), (4, 64), (2, 64))
"""Banks and bits of their words: each as wide as the array has rows, as much in all banks together, half of that."""


def rows(network: str, name: str) -> list[list[str]]:
    """Measure one network on one accelerator, a row for each size of the banks."""
    net, accelerator = bittrue.load_network(network), bittrue.load_accelerator(name)
    before = bittrue.simulate(net, accelerator).record
    found = []
    for banks, width_bits in _BANKS:
        pad = {"banks": banks, "width_bits": width_bits, "bank_conflicts": "counted"}
        changes = {f"memories.input_scratchpad.{key}": value for key, value in pad.items()}
        after = bittrue.simulate(net, accelerator.evolve(changes)).record
        layers = [layer for layer in after.layers if layer.engine == "array" and layer.compute_cycles]
        waits = sum(layer.bank_conflict_cycles for layer in layers)
        worst = max(layers, key=lambda layer: layer.bank_conflict_cycles / layer.compute_cycles)
        found.append(
            [
                *(network, name, f"{banks} x {width_bits}", f"{after.total_cycles:,}"),
                f"{waits / sum(layer.compute_cycles for layer in layers):.1%}",
                f"{after.total_cycles / before.total_cycles - 1:.1%}",
                f"{worst.bank_conflict_cycles / worst.compute_cycles:.0%}",
                worst.name,
            ]
        )
    return found


def main() -> None:
    """Print the machine and the rows of each network and accelerator."""
    table = PlainTable(
        *(("network", 18), ("accelerator", 11), ("banks x bits", 12), ("cycles", 13), ("wait", 6), ("slower", 6)),
        *(("worst", 5), ("layer", 26)),
    )
    print_by_network(__doc__, _NETWORKS, ("edge_32x32",), table, rows)


if __name__ == "__main__":
    main()
