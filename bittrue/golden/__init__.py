"""Goldens: what a network on an accelerator must give, kept in a file and held to every change."""
