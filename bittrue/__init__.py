"""bittrue: a bit-accurate, cycle-approximate simulator of fixed-point systolic-array accelerators."""
