"""Results as plain data: what a run found, layer by layer. Every field explains itself (`bittrue explain FIELD`)."""
