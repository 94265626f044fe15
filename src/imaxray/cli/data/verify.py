"""Defines the command that compares a folder with its digests."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from imaxray._common.printing import say
from imaxray.cli.application import Format, app
from imaxray.cli.printing.tables import print_json


@app.command()
def verify(
    folder: Annotated[Path, typer.Argument(help="Folder that imaxray wrote.")],
    form: Format = "text",
) -> None:
    """Compare every file of a folder with the digest in its manifest.

    The folder is a dataset, an image cache, an export, a shared dataset, a phantom, a finished run,
    pseudo annotations, predictions, results of score, compare or dynamics, a study, a strategy or
    an ablation. Folders inside are compared, too. The exit code is 1 if a file is missing or was
    changed.
    """
    from imaxray._common.verifying import verify_folder

    manifest, changed = verify_folder(folder)
    if form == "json":
        print_json({"manifest": manifest, "changed": changed})
    else:
        for name in changed:
            say(f"missing or changed: {name}")
    if changed:
        raise typer.Exit(1)
    if form == "text":
        say(f"All files of {folder} are as they were written ({manifest}).")
