"""Tensors as files that hardware test benches read and write: .npz, raw binaries, Verilog $readmemh."""
