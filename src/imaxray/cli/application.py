"""Defines the application that all commands register with, and the options that they share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from imaxray._common.digests import always_read
from imaxray._common.printing import say
from imaxray._version import __version__
from imaxray.errors import ImaxrayError

app = typer.Typer(
    name="imaxray",
    help="Build chest X-ray datasets in which one image carries many tasks, train medical "
    "multimodal LLMs on them, and measure whether the data helped.\n\n"
    "An IMAX dataset has few images with many tasks each. A DMAX dataset has the same number of "
    "entries, spread over as many images as possible. Pseudo IMAX is DMAX with its missing tasks "
    "answered by a model.\n\n"
    "First steps: `imaxray study phantom --out study/phantom` runs a whole study on synthetic "
    "data.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
sources_app = typer.Typer(
    help="List the releases that can be read, or check a downloaded one.", no_args_is_help=True
)
configs_app = typer.Typer(
    help="List, show or copy the built-in configurations.", no_args_is_help=True
)
app.add_typer(sources_app, name="sources")
app.add_typer(configs_app, name="configs")

ConfigName = Annotated[
    str | None,
    typer.Argument(
        metavar="CONFIG",
        help="Name of a built-in configuration (`imaxray configs list`), or a YAML file.",
    ),
]
ConfigFile = Annotated[
    str | None, typer.Option("--config", help="Another way to give the configuration.")
]
Model = Annotated[
    str,
    typer.Argument(
        help="Model to use: a run folder, a name that `imaxray models` lists, a repository id, or "
        "a model folder."
    ),
]
Out = Annotated[Path, typer.Option("--out", help="Folder that the results are written to.")]
Root = Annotated[
    Path | None,
    typer.Option("--root", help="Folder that holds the releases, each in a folder of its own."),
]
Format = Annotated[
    Literal["text", "json"], typer.Option("--format", help="Format of what is printed.")
]


def one_config(argument: str | None, option: str | None) -> str:
    """Return the configuration that was given as the argument or with ``--config``.

    Raises:
        ImaxrayError: If no configuration is given, or both ways are used.
    """
    if argument is not None and option is not None:
        raise ImaxrayError(
            f"Expected one configuration, but got {argument} and --config {option}; leave one out."
        )
    found = argument or option
    if not found:
        raise ImaxrayError(
            "Expected a configuration, but none is given; name a built-in one (`imaxray configs "
            "list` lists them) or a YAML file."
        )
    return found


@app.callback(invoke_without_command=True)
def _common(
    version: Annotated[bool, typer.Option("--version", help="Print the version and exit.")] = False,
    verify: Annotated[
        Literal["changed", "full"],
        typer.Option(
            help="Files of datasets, runs and caches that are compared with their digests: those "
            "whose size or time changed since the last comparison (changed), or all (full)."
        ),
    ] = "changed",
) -> None:
    always_read(verify == "full")
    if version:
        say(__version__)
        raise typer.Exit
