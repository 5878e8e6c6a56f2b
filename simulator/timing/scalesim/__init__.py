"""SCALE-Sim 3.0.0 in CALC mode as closed forms: for its users, and apart from our own mapping and timing."""
