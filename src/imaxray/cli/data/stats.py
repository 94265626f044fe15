"""Defines the command that counts what a dataset holds."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from imaxray._common.printing import say
from imaxray.cli.application import Format, app
from imaxray.cli.printing.densities import densities, densities_of_made, print_density
from imaxray.cli.printing.left_out import print_codes
from imaxray.cli.printing.tables import print_table


@app.command()
def stats(
    dataset: Annotated[Path, typer.Argument(help="Dataset folder.")], form: Format = "text"
) -> None:
    """Show a dataset's tasks per image, entries per task and split, and kept and rejected rows."""
    from imaxray.curation import open_dataset

    data = open_dataset(dataset)
    dense = {**densities(data.tables), **densities_of_made(data.tables)}
    if form == "json":
        account = data.tables.account.to_dicts()
        say(json.dumps({"density": dense, "account": account}, indent=1))
        return
    print_density(dataset.name, dense)
    print_table(
        "Rows in = kept + rejected",
        ["source", "file", "rows in", "kept", "rejected"],
        [[source, file, f"{rows:,}", f"{kept:,}", f"{rejected:,}"]
         for source, file, rows, kept, rejected in data.tables.account.iter_rows()],
    )  # fmt: skip
    print_codes(data.tables.rejects)
