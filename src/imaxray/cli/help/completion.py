"""Lets a shell complete commands, options and their values with the Tab key."""

from __future__ import annotations

import os
from typing import Any, Final, Literal

Shell = Literal["bash", "zsh", "fish", "powershell"]

VARIABLE: Final = "_IMAXRAY_COMPLETE"
"""Environment variable by which a shell asks for completions."""


def completion_script(shell: Shell) -> str:
    """Return the lines that a shell reads to complete `imaxray`."""
    from typer._completion_shared import get_completion_script

    return get_completion_script(prog_name="imaxray", complete_var=VARIABLE, shell=shell)


def is_asked() -> bool:
    """Return whether a shell asks for completions instead of running a command."""
    return VARIABLE in os.environ


def complete(command: Any) -> None:
    """Print what a shell asks for, and end the program as Typer does.

    Args:
        command: The command of the whole application.
    """
    from typer._completion_classes import completion_init

    completion_init()
    command.main(args=[], prog_name="imaxray", complete_var=VARIABLE, standalone_mode=True)
