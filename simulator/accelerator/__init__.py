"""The device: a validated, frozen description of an accelerator and of the energy of its actions."""
