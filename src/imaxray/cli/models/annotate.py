"""Defines the command that lets a model answer the tasks that images lack."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from imaxray.cli.application import Format, Model, Out, app
from imaxray.cli.options import chosen, given, options_of
from imaxray.cli.printing.pseudo import print_annotation
from imaxray.cli.printing.tables import print_json
from imaxray.errors import ImaxrayError


@app.command(
    cls=options_of(
        "imaxray.pseudo:AnnotateConfig", flags={"tasks": "--task", "teachers": "--teacher"}
    )
)
def annotate(
    run: Model,
    data: Annotated[
        Path, typer.Option("--data", help="Dataset folder whose train images are annotated.")
    ],
    out: Out,
    form: Format = "text",
) -> None:
    """Let a model answer the tasks that the train images of a dataset lack.

    The same command again continues a stopped run. With other teachers, only their tasks are
    answered again.
    """
    from imaxray.pseudo import AnnotateConfig
    from imaxray.pseudo import annotate as annotate_data

    teachers = dict(_teacher(item) for item in given().get("teachers", ()))
    done = annotate_data(run, data, out, chosen(AnnotateConfig, teachers=teachers))
    if form == "json":
        print_json({
            "folder": done.folder, "candidates": done.candidates.height,
            "calibration": done.calibration.height, "tasks": done.summary().to_dicts(),
            "account": done.manifest["account"],
            "answered_by": done.manifest.get("answered_by", {}),
        })  # fmt: skip
        return
    print_annotation(done)


def _teacher(item: str) -> tuple[str, str]:
    task, sign, model = item.partition("=")
    if not (task and sign and model):
        raise ImaxrayError(
            f"Expected --teacher TASK=MODEL, but got {item}; for example rec=runs/rec."
        )
    return task, model
