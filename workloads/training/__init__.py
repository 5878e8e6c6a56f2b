"""Integer training: from a float forward graph to the graph of one training step, and the loop around it."""
