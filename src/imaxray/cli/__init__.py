"""Runs the command line: each command parses its options, calls the library and prints."""

from __future__ import annotations

import sys
from typing import NoReturn

from imaxray._memory import keep_freed_memory

# importing a module registers its commands
from imaxray.cli import configs, data, models, studies  # noqa: F401
from imaxray.cli.application import app
from imaxray.errors import ImaxrayError

__all__ = ["app", "main"]


def main() -> NoReturn:
    """Run the command line; a user error is one sentence on stderr and exit code 2."""
    keep_freed_memory()
    try:
        app()
    except ImaxrayError as error:
        print(f"imaxray: {error}", file=sys.stderr)
        raise SystemExit(2) from None
    raise SystemExit(0)
