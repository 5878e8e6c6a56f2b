"""The vocabulary of fixed-point numbers: formats, modes, quantization parameters, and the scalar specification."""
