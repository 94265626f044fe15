"""Defines the command that rebuilds a dataset from its manifest."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from imaxray._common.defaults import MOST_PROCESSES
from imaxray.cli.application import Format, Out, app
from imaxray.cli.printing.tables import print_json, print_table
from imaxray.errors import ImaxrayError


@app.command()
def rebuild(
    manifest: Annotated[Path, typer.Argument(help="File manifest.json of the dataset to rebuild.")],
    out: Out,
    source: Annotated[
        list[str],
        typer.Option(help="NAME=PATH of a release; given once for each release that is needed."),
    ],
    workers: Annotated[
        int, typer.Option(min=1, max=MOST_PROCESSES, help="Number of processes.")
    ] = 2,
    exclude: Annotated[
        Path | None,
        typer.Option(help="File of marks with which the dataset was built, if there was one."),
    ] = None,
    form: Format = "text",
) -> None:
    """Rebuild a dataset from your own downloads, and check by sha256 that it is identical."""
    from imaxray.study import rebuild_dataset

    releases = {}
    for item in source:
        name, equals, path = item.partition("=")
        if not equals or not path:
            raise ImaxrayError(
                f"Expected --source NAME=PATH, but got {item}; give both the name and the path."
            )
        releases[name] = Path(path)
    report = rebuild_dataset(manifest, releases, out, workers=workers, exclude=exclude)
    if form == "json":
        print_json({"folder": out, "files": dict(report.files)})
        return
    rows = [[name, digest, "identical"] for name, digest in report.files.items()]
    print_table(f"{out}", ["file", "sha256", "compared with the manifest"], rows)
