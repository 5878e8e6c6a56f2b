"""The machine: exact integer execution, mapping, timing and energy of a network on a systolic-array accelerator."""
