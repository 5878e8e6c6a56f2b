"""Built-in network architectures."""
