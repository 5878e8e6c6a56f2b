"""From a graph and an accelerator to layers: integer constants, array geometry, fold order, engine."""
