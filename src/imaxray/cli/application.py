"""The application that all commands register with, and the options they share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from imaxray._version import __version__

app = typer.Typer(
    name="imaxray",
    help="Image-centric multi-annotation data for medical multimodal LLMs.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
sources_app = typer.Typer(
    help="What releases can be read, and whether yours can.", no_args_is_help=True
)
app.add_typer(sources_app, name="sources")

Config = Annotated[Path, typer.Option("--config", help="Study configuration (YAML).")]
Out = Annotated[Path, typer.Option("--out", help="Folder to write.")]
Root = Annotated[Path | None, typer.Option("--root", help="Folder that holds the releases.")]
Format = Annotated[Literal["text", "json"], typer.Option("--format", help="How to print.")]


@app.callback(invoke_without_command=True)
def _version(
    version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False,
) -> None:
    if version:
        print(__version__)
        raise typer.Exit
