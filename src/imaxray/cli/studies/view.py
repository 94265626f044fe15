"""Defines the command that shows datasets, studies, runs and pseudo annotations in a browser."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from imaxray._common.printing import say
from imaxray.cli.application import app


@app.command()
def view(
    paths: Annotated[
        list[Path],
        typer.Argument(
            metavar="DATASET|STUDY|RUN|PSEUDO",
            help="Dataset folder; study folder, or one that `imaxray build` wrote; run that was "
            "evaluated, result of `imaxray score` or file of answers; or folder that `imaxray "
            "annotate` wrote. Several are shown together.",
        ),
    ],
    data: Annotated[
        Path | None,
        typer.Option(
            "--data",
            help="Dataset folder that runs or pseudo annotations belong to; default: the one that "
            "they state, if it stands near them.",
        ),
    ] = None,
    split: Annotated[str, typer.Option(help="Split whose entries the runs answered.")] = "test",
    model: Annotated[
        list[str] | None,
        typer.Option(
            help="Model whose rendering of entries can be shown: run folder, name that `imaxray "
            "models` lists, or model folder; can be repeated. The runs of a study need none."
        ),
    ] = None,
    marks: Annotated[
        Path | None,
        typer.Option(
            help="File of your marks (JSON lines); default: marks.jsonl in the current folder. It "
            "is made with the first mark."
        ),
    ] = None,
    port: Annotated[
        int, typer.Option(min=0, max=65535, help="Port to listen on; 0 takes a free one.")
    ] = 0,
    browser: Annotated[
        bool, typer.Option("--browser/--no-browser", help="Open the page in your browser.")
    ] = False,
) -> None:
    """Look at images in a browser, with everything that is known about them.

    The page shows annotations with their provenance, boxes, conflicts, entries, and
    the answers of arms side by side. It is on this machine only, and only the
    address that is printed opens it. Ctrl-C ends it.
    """
    from imaxray.viewer import serve

    def ready(address: str) -> None:
        say(f"Open {address}")
        say("Only this address opens the viewer; Ctrl-C ends it.")

    serve(
        *paths, data=data, split=split, models=model or (), marks=marks, port=port,
        open_browser=browser, ready=ready,
    )  # fmt: skip
