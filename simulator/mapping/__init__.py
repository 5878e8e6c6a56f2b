"""From layers to a schedule of tile operations: tiling, scratchpad allocation, loop order."""
