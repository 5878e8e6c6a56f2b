"""`python -m bittrue`: the command line."""

from bittrue.cli import main

main()
