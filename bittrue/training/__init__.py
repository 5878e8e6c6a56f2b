"""`bittrue train`: a run of integer training in a folder."""
