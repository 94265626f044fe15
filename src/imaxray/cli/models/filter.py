"""Defines the command that keeps the pseudo annotations that can be trusted."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from imaxray._common.printing import say
from imaxray.cli.application import Format, Out, app
from imaxray.cli.options import chosen, options_of
from imaxray.cli.printing.pseudo import print_filter


@app.command("filter", cls=options_of("imaxray.pseudo:FilterConfig", leave_out=("perfect",)))
def filter_command(
    pseudo: Annotated[Path, typer.Argument(help="Folder that `imaxray annotate` wrote.")],
    data: Annotated[Path, typer.Option("--data", help="Dataset folder that was annotated.")],
    out: Out,
    clinical: Annotated[
        Path | None,
        typer.Option(
            help="YAML file whose `clinical:` block changes clinical rules; default: the block in "
            "the manifest of the dataset."
        ),
    ] = None,
    truth: Annotated[
        Path | None,
        typer.Option(
            "--truth",
            help="Dataset folder (a catalog) that tells which answers are right; only reported on.",
        ),
    ] = None,
    form: Format = "text",
) -> None:
    """Keep the pseudo annotations that can be trusted, and write pseudo IMAX.

    Pseudo IMAX is the annotated dataset with the kept pseudo annotations beside the real ones.
    """
    from imaxray.pseudo import FilterConfig, filter_folder

    done = filter_folder(pseudo, data, out, chosen(FilterConfig), truth=truth, clinical=clinical)
    report = done.as_dict()
    if form == "json":
        say(json.dumps(report, indent=1))
        return
    print_filter(report)
    say(f"{report['kept']:,} pseudo entries beside the real ones in {out}")
