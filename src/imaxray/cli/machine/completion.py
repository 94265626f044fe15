"""Defines the command that lets a shell complete the others."""

from __future__ import annotations

from typing import Annotated

import typer

from imaxray._common.printing import say
from imaxray.cli.application import app
from imaxray.cli.help.completion import Shell, completion_script


@app.command()
def completion(shell: Annotated[Shell, typer.Argument(help="Shell that you use.")]) -> None:
    """Print the lines by which a shell completes commands, options and values with the Tab key.

    Put `eval "$(imaxray completion bash)"` into ~/.bashrc, or the same with zsh into ~/.zshrc.
    """
    say(completion_script(shell))
