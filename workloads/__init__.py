"""Networks: built-in ones, readers and writers of network files, quantization."""
