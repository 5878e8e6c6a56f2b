"""Whole layers on values: exact outputs and the overflow ledger. Knows no time."""
