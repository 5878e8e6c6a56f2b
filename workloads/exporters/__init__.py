"""Writers of network files."""
