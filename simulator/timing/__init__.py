"""The schedule on time: cycles, stalls and a timeline. Never decides a value."""
