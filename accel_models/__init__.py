"""Accelerators and energy tables that ship with bittrue, and how their files are read."""
