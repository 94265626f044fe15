"""Defines the commands on the configurations that ship with the package."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from imaxray._common.printing import say
from imaxray.cli.application import Format, configs_app
from imaxray.cli.printing.tables import print_json

Name = Annotated[str, typer.Argument(help="Name, as `imaxray configs list` prints it.")]


@configs_app.command("list")
def configs_list(form: Format = "text") -> None:
    """List the built-in configurations, and the command that uses each."""
    from imaxray.configs import list_configs

    found = list_configs()
    if form == "json":
        print_json([{"name": c.name, "summary": c.summary, "command": c.command} for c in found])
        return
    for config in found:
        say(f"{config.name}: {config.summary}")
        say(f"  {config.command}")


@configs_app.command("show")
def configs_show(name: Name) -> None:
    """Print a built-in configuration."""
    from imaxray.configs import show_config

    say(show_config(name), end="")


@configs_app.command("copy")
def configs_copy(
    name: Name,
    out: Annotated[
        Path | None,
        typer.Option("--out", help="File to write; default: NAME.yaml in the current folder."),
    ] = None,
) -> None:
    """Copy a built-in configuration to a file that you can edit."""
    from imaxray.configs import copy_config

    say(f"Copied to {copy_config(name, out)}")
