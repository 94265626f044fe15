"""Defines the command that writes the report of a finished study."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from imaxray._printing import say
from imaxray.cli.application import app


@app.command("report")
def report_command(
    study: Annotated[Path, typer.Argument(help="Folder of a finished study.")],
    out: Annotated[
        Path | None,
        typer.Option("--out", help="File to write; default: report.html in the study folder."),
    ] = None,
    images: Annotated[
        int | None,
        typer.Option(
            "--images",
            min=0,
            max=1000,  # each adds about 100 KB to the file
            help="Number of test images to show with their questions and answers; default: as the "
            "study says, which is none unless all its releases are synthetic or open.",
        ),
    ] = None,
) -> None:
    """Write the report of a finished study as one HTML file, from what its folder holds.

    Nothing is trained, answered or scored again. The file loads nothing from outside, and offers
    every table as CSV and LaTeX.
    """
    from imaxray.study import write_study_report

    say(f"Report: {write_study_report(study, out, images=images)}")
