"""Defines the command that writes the report of a finished study."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from imaxray._common.printing import say
from imaxray.cli.application import app
from imaxray.errors import ImaxrayError


@app.command("report")
def report_command(
    study: Annotated[
        Path, typer.Argument(help="Folder of a finished study, ablation or strategy.")
    ],
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
    """Write the report of a finished study, ablation or strategy as one HTML file.

    It is made from what the folder holds: nothing is trained, answered or scored again. The file
    loads nothing from outside, and offers every table as CSV and LaTeX.
    """
    kinds = [name for name in ("ablation", "strategy") if (study / f"{name}.json").is_file()]
    if not kinds:
        from imaxray.study import write_study_report

        say(f"Report: {write_study_report(study, out, images=images)}")
        return
    if images is not None:
        raise ImaxrayError(
            f"Expected a study for --images, but the report of {study} ({kinds[0]}) shows no "
            "images; leave --images out."
        )
    if kinds[0] == "ablation":
        from imaxray.ablation import write_ablation_report

        say(f"Report: {write_ablation_report(study, out)}")
        return
    from imaxray.strategy import write_strategy_report

    say(f"Report: {write_strategy_report(study, out)}")
