"""The commands of `bittrue`, one module each. They import what they need when they run: `--help` stays quick."""
