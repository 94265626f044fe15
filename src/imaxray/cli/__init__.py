"""Runs the command line: each command parses its options, calls the library and prints."""

from __future__ import annotations

import logging
import sys
import warnings
from typing import NoReturn

from imaxray._memory import keep_freed_memory
from imaxray._printing import printable, say

# importing a module registers its commands
from imaxray.cli import configs, data, models, studies  # noqa: F401
from imaxray.cli.application import app
from imaxray.errors import ImaxrayError

__all__ = ["app", "main"]


class _Clean(logging.Formatter):
    """Formats the log lines that reach the terminal without control characters."""

    def format(self, record: logging.LogRecord) -> str:
        return printable(super().format(record))


def _clean_warnings() -> None:
    """Let warnings and log lines name models and files without control characters."""
    as_text = warnings.formatwarning

    def clean(
        message: Warning | str,
        category: type[Warning],
        filename: str,
        lineno: int,
        line: str | None = None,
    ) -> str:
        return printable(as_text(message, category, filename, lineno, line))

    warnings.formatwarning = clean
    if logging.lastResort is not None:
        logging.lastResort.setFormatter(_Clean())


def main() -> NoReturn:
    """Run the command line; an error of a user or of a file is one sentence and exit code 2."""
    keep_freed_memory()
    _clean_warnings()
    try:
        app()
    except ImaxrayError as error:
        say(f"imaxray: {error}", file=sys.stderr)
        raise SystemExit(2) from None
    except OSError as error:
        if error.strerror is None:
            raise  # not an error of a file
        where = "" if error.filename is None else f" at {error.filename}"
        say(
            f"imaxray: Expected to read and write files{where}, but the system says: "
            f"{error.strerror}; check the path, its permissions and the free space.",
            file=sys.stderr,
        )
        raise SystemExit(2) from None
    raise SystemExit(0)
