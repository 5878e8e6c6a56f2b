"""The network: tensors, operators, and a graph of them in single assignment form."""
