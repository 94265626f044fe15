"""``python -m imaxray.cli``."""

from imaxray.cli import main

main()
