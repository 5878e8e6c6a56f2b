"""Tune the timing constants of an accelerator to measured cycles."""
