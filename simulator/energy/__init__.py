"""Action counts times an energy table."""
