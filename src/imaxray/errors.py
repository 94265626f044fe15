"""Defines the exception for mistakes that a user can correct."""

from __future__ import annotations


class ImaxrayError(Exception):
    """Reports a mistake that the user can correct: a missing file, a wrong column, an unknown name.

    The message is one sentence that says what was expected, what came, and what to do. The command
    line prints it without a traceback and exits with code 2. Any other uncaught exception is a bug.
    """
