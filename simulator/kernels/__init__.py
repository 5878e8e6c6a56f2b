"""Numba only: arrays and integers in, arrays and counters out. No objects, no exceptions, no floats unless modelled."""
