"""Defines the command that checks the content of a dataset."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from imaxray._common.defaults import AUDIT_EXAMPLES, AUDIT_WORKERS, LARGEST, MOST_PROCESSES
from imaxray._common.printing import say
from imaxray.cli.application import Format, app


@app.command()
def audit(
    paths: Annotated[
        list[Path],
        typer.Argument(help="Dataset folder, export, or JSON, JSONL or Parquet files."),
    ],
    images: Annotated[
        Path | None, typer.Option(help="Folder of the images; default: where the dataset says.")
    ] = None,
    output: Format = "text",
    patient_field: Annotated[
        str | None,
        typer.Option(help="Name of the field with the patient's id, in files of other projects."),
    ] = None,
    patients: Annotated[
        Path | None,
        typer.Option(
            help="Table (CSV, TSV or Parquet) of images and their patients, for files of other "
            "projects whose records name none, e.g. the table of PadChest."
        ),
    ] = None,
    skip: Annotated[
        list[str] | None, typer.Option(help="Code of a check that is left out; can be repeated.")
    ] = None,
    examples: Annotated[
        int,
        typer.Option(
            min=0, max=LARGEST, help="Maximum number of examples that are printed per check."
        ),
    ] = AUDIT_EXAMPLES,
    workers: Annotated[
        int, typer.Option(min=1, max=MOST_PROCESSES, help="Number of processes that decode images.")
    ] = AUDIT_WORKERS,
    clinical: Annotated[
        Path | None,
        typer.Option(
            help="YAML file whose `clinical:` block changes clinical rules; default: the block in "
            "the manifest of the dataset."
        ),
    ] = None,
) -> None:
    """Check a dataset for leaks between splits, broken images, bad boxes and contradictions.

    The exit code is 1 if there are findings.
    """
    from imaxray.audit import audit_dataset as run_audit

    report = run_audit(
        paths, images=images, patient_field=patient_field, patients=patients, skip=skip or (),
        workers=workers, clinical=clinical,
    )  # fmt: skip
    say(report.to_json() if output == "json" else report.to_text(examples))
    if not report.clean:
        raise typer.Exit(1)
