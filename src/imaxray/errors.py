"""The one exception that a user is meant to read."""

from __future__ import annotations


class ImaxrayError(Exception):
    """A mistake that the user can mend: a missing file, a wrong column, an unknown name.

    The message is one sentence that says what was expected, what came, and what to do. The command
    line prints it without a traceback and exits with code 2. Anything else that escapes is a bug.
    """
