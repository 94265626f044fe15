"""Defines the command that writes what may be given to other people."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from imaxray._common.printing import say
from imaxray.cli.application import Format, Out, app
from imaxray.cli.printing.tables import print_json, print_table


@app.command()
def share(
    dataset: Annotated[Path, typer.Argument(help="Dataset folder.")],
    out: Out,
    form: Format = "text",
) -> None:
    """Write ids, splits and manifest of a dataset, without text, pixels, boxes and answers."""
    from imaxray.export import share_dataset

    report = share_dataset(dataset, out)
    if form == "json":
        print_json(asdict(report))
        return
    rows = [[name, f"{number:,}"] for name, number in report.counts.items()]
    print_table(f"Shared dataset at {out}", ["table", "rows"], rows)
    print_table("Left out", ["what", "content"], [[k, v] for k, v in report.left_out.items()])
    if report.numbered:
        say(
            f"The ids of {', '.join(report.numbered)} could name people and were replaced by "
            "numbers."
        )
