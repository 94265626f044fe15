"""Runs the command line: each command parses its options, calls the library and prints.

Only ``main`` is defined here. The commands are imported inside it, so that a stop by the user is
also one sentence while they are imported.
"""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, NoReturn

from imaxray._common.lazy import lazily

if TYPE_CHECKING:
    from imaxray.cli.commands import app
else:
    __getattr__, __dir__ = lazily(__name__, {"imaxray.cli.commands": ["app"]})

__all__ = ["app", "main"]


def main() -> NoReturn:
    """Run the command line; every mistake of a user or of a file is one sentence."""
    from imaxray.cli.border import run_command, stops_in_one_sentence

    stops_in_one_sentence()
    code = run_command(sys.argv[1:])
    if code in (130, 143):  # stopped: everything is cleaned up, and no thread is waited for
        sys.stderr.flush()
        os._exit(code)
    raise SystemExit(code)
