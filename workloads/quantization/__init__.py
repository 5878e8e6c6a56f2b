"""From float networks to integer ones: float execution, calibration, quantization."""
