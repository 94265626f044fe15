"""Runs the command line for ``python -m imaxray.cli``."""

from imaxray.cli import main

main()
