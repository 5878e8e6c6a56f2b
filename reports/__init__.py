"""What a user sees of a run: tables, figures, HTML, traces. Reads records only."""
