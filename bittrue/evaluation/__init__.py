"""Evaluation of a network on a data set; `bittrue.evaluate` is its front door."""
